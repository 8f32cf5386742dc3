"""`python -m tests.bench`: everything, and the document from it. With names of parts: only those,
briefly unless --full is given, on the terminal and with no document."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from tests.bench import acceptance, machine, page, tables
from tests.bench.parts import PARTS, Depth, Part, introduce
from tests.bench.results import Results
from tests.bench.subject import ROOT, build

KEPT = ROOT / "build" / "bench" / "run.json"
LAST = ROOT / "build" / "bench" / "partial.json"
DOCUMENT = ROOT / "docs" / "performance.md"


def main() -> int:
    """0, whatever was measured: nothing here passes or fails a build."""
    asked = _arguments()
    if asked.render:
        page.write(Results.load(KEPT), DOCUMENT)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that mounts are undone
    whole = not asked.parts
    depth = Depth(asked.rounds or (9 if whole or asked.full else 5), _brief(asked), _verbs(asked))
    results = _measure(_chosen(asked.parts), depth, KEPT if whole else LAST, whole)
    if whole:
        page.write(results, DOCUMENT)
    print(f"\n{acceptance.table(results, whole)}")
    return 0


def _measure(parts: list[Part], depth: Depth, path: Path, whole: bool) -> Results:
    build()
    results = Results(facts=machine.facts())
    introduce(results)
    if whole:
        machine.touch_memory()
    for part in parts:
        start = time.monotonic()
        known = len(results.notes)
        part.run(depth, results)
        results.save(path)
        print(f"\n{part.name}, {time.monotonic() - start:.0f} s\n")
        print(tables.of_part(results, part.name), *results.notes[known:], sep="\n", flush=True)
    return results


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    names = ", ".join(part.name for part in PARTS)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{names}; a prefix is enough")
    parser.add_argument("--rounds", type=int, help="timings per case, after one warm-up")
    parser.add_argument("--verbs", help="such as commit,reset; branch includes switch")
    parser.add_argument("--full", action="store_true", help="all peers and changes for these parts")
    parser.add_argument("--render", action="store_true", help="write the document again from JSON")
    return parser.parse_args()


def _chosen(names: list[str]) -> list[Part]:
    for name in names:
        if not any(part.name.startswith(name) for part in PARTS):
            sys.exit(f"no such part: {name}; see python -m tests.bench --help")
    return [part for part in PARTS if not names or part.name.startswith(tuple(names))]


def _brief(asked: argparse.Namespace) -> bool:
    return bool(asked.parts) and not asked.full


def _verbs(asked: argparse.Namespace) -> tuple[str, ...]:
    """A brief run leaves branches out, unless they are asked for: on ext4 they are copies."""
    if asked.verbs:
        return tuple(asked.verbs.split(","))
    return ("reset", "commit") if _brief(asked) else ("reset", "commit", "branch")


if __name__ == "__main__":
    sys.exit(main())
