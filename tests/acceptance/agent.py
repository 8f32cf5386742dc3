"""What runs in the guest: changes one volume's files and asks dvol for verbs, told line by line.

    python agent.py VOLUME

Each line on stdin is `["verb", argument...]`, each on stdout its answer. What a file holds follows
from its name and its blocks' numbers, so that whoever knows those knows the content: `content` is
used on both sides. A write is durable when it is answered. Nothing here knows what is expected.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

POOL = Path("/var/lib/dvol/volumes")
BLOCK = 4096
ANN = "Ann <ann@example.org>"
Blocks = list[int]


def content(name: str, blocks: Blocks) -> bytes:
    """What a file of these blocks holds."""
    return b"".join(block(name, place, number) for place, number in enumerate(blocks))


def block(name: str, place: int, number: int) -> bytes:
    seed = hashlib.sha256(f"{name}:{place}:{number}".encode()).digest()
    return seed * (BLOCK // len(seed))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Agent:
    """The verbs, by their names."""

    def __init__(self, volume: str) -> None:
        import dvol

        self.volume = volume
        self.engine = dvol.open(host="unix:///run/dvol/control.sock")

    def write(self, branch: str, files: dict[str, tuple[Blocks, list[int]]]) -> None:
        """Files by name: all their blocks, and which of them to overwrite in place; a file without
        blocks is removed, and with none to overwrite it is replaced by a new one."""
        tree = self._tree(branch)
        for name, (blocks, places) in files.items():
            path = tree / name
            if not blocks:
                path.unlink(missing_ok=True)
            elif places:
                _overwrite(path, [(place, block(name, place, blocks[place])) for place in places])
            else:
                _replace(path, content(name, blocks))
        _sync(tree)

    def init(self) -> None:
        self.engine.init(self.volume)

    def rm(self) -> None:
        self.engine.rm(self.volume)

    def commit(self) -> str:
        return self.engine.commit(self.volume, "x", ANN).id

    def reset(self, revision: str) -> None:
        self.engine.reset(self.volume, revision)

    def undo(self) -> bool:
        """Whether there was something to undo."""
        from dvol.errors import NothingToUndo

        try:
            self.engine.undo(self.volume)
        except NothingToUndo:
            return False
        return True

    def branch(self, name: str) -> None:
        self.engine.branch(self.volume, name)

    def checkout(self, name: str) -> None:
        self.engine.checkout(self.volume, name)

    def delete_branch(self, name: str) -> None:
        self.engine.delete_branch(self.volume, name)

    def gc(self) -> None:
        self.engine.gc(now=True)

    def look(self) -> dict[str, Any]:
        """The volume as it is: its branches, what their trees hold, and their commits; and how much
        of it, or of one of its name, can be restored."""
        from dvol.errors import VolumeNotFound

        thrown = [one for one in self.engine.discarded() if one.volume == self.volume]
        trash = sum(one.verb in ("rm", "branch -d") for one in thrown)
        try:
            branches = self.engine.branches(self.volume)
        except VolumeNotFound:
            return {"trash": trash, "current": "", "trees": {}, "lines": {}, "commits": {}}
        lines = {one.name: self._line(one.name) for one in branches}
        ids = {id for line in lines.values() for id in line}
        return {
            "trash": trash,
            "current": next(one.name for one in branches if one.current),
            "trees": {one.name: held(self._tree(one.name)) for one in branches},
            "lines": lines,
            "commits": {id: held(POOL / self.volume / "commits" / id) for id in ids},
        }

    def _line(self, branch: str) -> list[str]:
        """The ids of its commits, oldest first."""
        from dvol.errors import RevisionNotFound

        try:
            return [one.id for one in reversed(self.engine.log(self.volume, branch))]
        except RevisionNotFound:
            return []

    def _tree(self, branch: str) -> Path:
        return POOL / self.volume / "branches" / branch


def held(tree: Path) -> dict[str, str]:
    """Each file in it, by its path, with the digest of its content; but for those that were being
    written anew, which have a dot before their name."""
    if not tree.is_dir():
        raise NotADirectoryError(tree)
    paths = sorted(path for path in tree.rglob("[!.]*") if path.is_file())
    return {str(path.relative_to(tree)): digest(path.read_bytes()) for path in paths}


def _overwrite(path: Path, pieces: list[tuple[int, bytes]]) -> None:
    with path.open("r+b") as file:
        for place, data in pieces:
            file.seek(place * BLOCK)
            file.write(data)
        _flush(file)


def _replace(path: Path, data: bytes) -> None:
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        file.write(data)
        _flush(file)
    new.replace(path)


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync(tree: Path) -> None:
    fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def main() -> None:
    agent = Agent(sys.argv[1])
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        print(json.dumps(getattr(agent, verb)(*arguments)), flush=True)


if __name__ == "__main__":
    main()
