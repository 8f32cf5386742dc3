# The single door: every task has one name here. Longer steps live beside what they make, in
# rootfs/ and tests/lab/. All targets honour DOCKER_HOST.
.DEFAULT_GOAL := help
SHELL         := bash
.SHELLFLAGS   := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON    ?= python3
PLUGIN    ?= dvol
DATA      ?= /var/lib
RUN       ?= /run
PREFIX    ?= /usr/local
EXEC_ROOT ?= /run/docker
REGISTRY  ?=
REQUIRE   ?=
BENCH     ?=
ENGINES   ?= 26.1 28.5
ARGS      ?= --help

BIN     := .venv/bin
SOURCES := $(shell find dvol plugin -name '*.py' | sort)
define REQUIREMENTS
import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
print(*project.get("dependencies", []), *project["optional-dependencies"]["server"], sep="\n")
endef

# A version manager's shim on the PATH would cost each command more than dvol itself does.
define FASTEST_PYTHON
/usr/bin/python3 -c 'import sys; sys.version_info < (3, 11) and sys.exit(1); print(sys.executable)' \
  2> /dev/null || $(BIN)/python -c 'import sys; print(sys._base_executable)'
endef

help:        ## This list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Settings: DATA=$(DATA) RUN=$(RUN) PREFIX=$(PREFIX) PLUGIN=$(PLUGIN) EXEC_ROOT=$(EXEC_ROOT)"

setup: system .venv/.ready              ## What demo and test want: system packages, .venv
demo: setup                             ## The walk-through on a real, throw-away Docker Engine
	$(BIN)/python -m tests.demo

test: setup                             ## Every ring that this machine can run (REQUIRE=1: all)
	DVOL_REQUIRE=$(REQUIRE) $(BIN)/pytest -q -n 4 -m "not docker and not acceptance" $(ARGS_PYTEST)
	DVOL_REQUIRE=$(REQUIRE) $(BIN)/pytest -q -m docker $(ARGS_PYTEST)
	for engine in $(ENGINES); do \
	  DVOL_REQUIRE=$(REQUIRE) $(BIN)/pytest -q -m engines --engine $$engine tests/docker $(ARGS_PYTEST) \
	    || exit 1; done
test-unit: .venv/.ready                 ## Units and imports, in seconds: no root, no Docker
	$(BIN)/pytest -q tests/unit tests/test_architecture.py $(ARGS_PYTEST)
test-quick: .venv/.ready                ## The inner loop: no root, no Docker
	$(BIN)/pytest -q -n 4 -m "not root and not docker and not acceptance and not slow" $(ARGS_PYTEST)
test-crash: setup                       ## Every point of the crash rings; counts go to build/crash.json
	DVOL_REQUIRE=$(REQUIRE) $(BIN)/pytest -q -n 4 --every-point tests/crash $(ARGS_PYTEST)
test-engines: setup                     ## The docker ring on this machine's Engine, on 26.1 and 28.5
	failed=; for engine in "" $(ENGINES); do \
	  DVOL_REQUIRE=$(REQUIRE) $(BIN)/pytest -q $${engine:+--engine $$engine} tests/docker $(ARGS_PYTEST) \
	    || failed=1; done; [ -z "$$failed" ]
acceptance: setup                       ## In virtual machines: installed, rebooted, cut off, upgraded
	@$(PYTHON) tests/lab/system.py acceptance
	DVOL_REQUIRE=$(REQUIRE) $(BIN)/pytest -q -s -m acceptance $(ARGS_PYTEST)
bench: .venv/.ready                     ## Times beside cp, rsync, restic, btrfs; BENCH="ext4:database" for a part
	@$(PYTHON) tests/lab/system.py bench
	$(BIN)/python -m tests.bench $(BENCH)
bench-docker: setup                     ## Reset, commit --pause and load of a running PostgreSQL
	$(BIN)/python -m tests.bench.databases
lint: .venv/.ready                      ## Style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
types: .venv/.ready                     ## Types
	$(BIN)/mypy --strict dvol plugin
check: lint types test-quick            ## What must be green before a commit

plugin: build/plugin/config.json build/plugin/rootfs/.ready  ## Build the managed plugin in build/plugin
cli: build/dvol                         ## Build the one-file command build/dvol

install: plugin build/dvol-here         ## Enable the plugin under PLUGIN, and dvol in PREFIX/bin
	install -D -m 755 build/dvol-here "$(PREFIX)/bin/dvol"
	rootfs/install.sh "$(PLUGIN)" "$(DATA)" "$(RUN)"
uninstall: .venv/.ready                 ## Remove both; the data stays
	$(BIN)/python -m plugin.uninstall "$(PLUGIN)"
	rm -f "$(PREFIX)/bin/dvol"
push: plugin                            ## Publish to REGISTRY=HOST[:PORT] as clusterhq/dvol:latest
	@: $(if $(REGISTRY),,$(error say where to: make push REGISTRY=HOST))
	rootfs/push.sh "$(REGISTRY)/clusterhq/dvol:latest"
exec:                                   ## The command inside the plugin: make exec ARGS="list"
	@id=$$(docker plugin inspect -f '{{.Id}}' "$(PLUGIN)"); \
	  state=$$(ls -d "$(EXEC_ROOT)"/runtime-runc/plugins.moby*/"$$id"); \
	  runc --root "$${state%/*}" exec "$$id" dvol $(ARGS)

clean:                                  ## Remove what make has made
	rm -rf build .venv *.egg-info .pytest_cache .mypy_cache .ruff_cache

system:
	@$(PYTHON) tests/lab/system.py

# A development tree needs no Docker: of the system's packages only Python's own are asked for here.
.venv/.ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dvol: Python 3.11 or newer, please: make PYTHON=...")'
	$(PYTHON) -c 'import ensurepip' 2> /dev/null || $(PYTHON) tests/lab/system.py
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -qq --disable-pip-version-check -e '.[dev]'
	touch $@

# The runtime libraries as files that any Python can use: pure wheels only.
build/site/.ready: pyproject.toml | .venv/.ready
	rm -rf build/site
	mkdir -p build && $(BIN)/python -c '$(REQUIREMENTS)' > build/requirements.txt
	$(BIN)/pip install -qq --disable-pip-version-check --target build/site --no-compile -r build/requirements.txt \
	  --only-binary=:all: --implementation py --abi none --platform any
	rm -rf build/site/bin && touch $@

build/plugin/config.json: config.json
	install -D -m 644 $< $@
build/plugin/rootfs/.ready: $(SOURCES) build/sources build/site/.ready $(wildcard rootfs/*) .dockerignore
	rootfs/build.sh build/plugin/rootfs
	touch $@

# Compiled files beside the sources: a Python of the same version starts at once, others compile.
build/dvol: Makefile rootfs/onefile.py $(SOURCES) build/sources build/site/.ready
	rm -rf build/zip
	cp -r build/site build/zip && cp -r dvol build/zip/
	rm -rf build/zip/{.ready,bottle*,waitress*} && find build/zip -name __pycache__ -prune -exec rm -r {} +
	cp rootfs/onefile.py build/zip/__main__.py
	$(BIN)/python -m compileall -q -b --invalidation-mode unchecked-hash build/zip
	$(BIN)/python -m zipapp -p '/usr/bin/env python3' -o $@ build/zip
	chmod 755 $@

build/dvol-here: build/dvol
	$(BIN)/python -m zipapp -p "$$($(FASTEST_PYTHON)) -IS" -o $@ build/dvol

# The list of sources: removing one is a change, too.
build/sources: FORCE
	@mkdir -p build && printf '%s\n' $(SOURCES) | cmp -s - $@ || printf '%s\n' $(SOURCES) > $@
FORCE:

.PHONY: help setup demo test test-unit test-quick test-crash test-engines acceptance bench bench-docker lint types check plugin cli install uninstall push exec \
  clean system FORCE
