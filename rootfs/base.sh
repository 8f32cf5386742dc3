#!/usr/bin/env bash
# Prints the name of an image to build on: Debian's own where the engine has it or can pull it,
# else one made here by mmdebstrap, under a name of its own.
set -euo pipefail

DEBIAN=debian:trixie-slim
OWN=dvol-base:trixie
TAR=build/base-trixie-$(uname -m).tar

# A registry that can't be reached must cost seconds only, but a slow one may take 10 minutes:
# Docker prints "Pulling from" within 8 s if a registry answers at all.
pull() {
  local log=build/pull.log pid
  : > "$log"
  timeout 600 docker pull "$1" > "$log" 2>&1 &
  pid=$!
  for _ in {1..80}; do
    if ! kill -0 "$pid" 2> /dev/null || grep -q 'Pulling from' "$log"; then
      wait "$pid" && return 0 || return 1
    fi
    sleep 0.1
  done
  kill "$pid" 2> /dev/null || true
  wait "$pid" || return 1
}

bootstrap() {
  [ -s "$TAR" ] && return
  if [ "$(id -u)" != 0 ] || ! command -v mmdebstrap > /dev/null; then
    echo "dvol: no registry answers for $DEBIAN, and without it root and mmdebstrap are needed" >&2
    return 1
  fi
  echo "dvol: no registry answers for $DEBIAN; making a base with mmdebstrap (half a minute)" >&2
  mmdebstrap --quiet --format=tar --variant=minbase --include=python3 --skip=output/dev \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' trixie "$TAR.part" > build/mmdebstrap.log 2>&1 \
    || { tail -n 20 build/mmdebstrap.log >&2; return 1; }
  mv "$TAR.part" "$TAR"
}

mkdir -p build
if docker image inspect "$DEBIAN" > /dev/null 2>&1 || pull "$DEBIAN"; then
  echo "$DEBIAN"
  exit
fi
docker image inspect "$OWN" > /dev/null 2>&1 || { bootstrap && docker import "$TAR" "$OWN" > /dev/null; }
echo "$OWN"
