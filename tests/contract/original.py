"""Pools as the original dvol left them, in Python and in Go."""

import json
from pathlib import Path

ONE, TWO, THREE = (digit * 40 for digit in "123")


def python_pool(place: Path) -> Path:
    """As the original in Python left it: trees of mode 0777, message before id, no
    `current_branch.json` before the first checkout, no `running_point` before the first mount."""
    pool = place / "volumes"
    listed = {"foo": {"master": [ONE, TWO], "alpha": [ONE, TWO, THREE]}, "bar": {"master": []}}
    for volume, branches in listed.items():
        for branch, ids in branches.items():
            tree = pool / volume / "branches" / branch
            tree.mkdir(parents=True)
            tree.chmod(0o777)
            (tree / "file").write_text(f"live in {branch}")
            if ids:
                write(
                    tree.parent / f"{branch}.json",
                    [{"message": f"m{id[0]}", "id": id} for id in ids],
                )
            for id in ids:
                frozen(pool / volume, id)
    write(pool / "foo" / "current_branch.json", {"current_branch": "alpha"})
    write(pool / "current_volume.json", {"current_volume": "foo"})
    return place


def go_pool(place: Path) -> Path:
    """As the original in Go left it: a configuration file, and an absolute symlink to the tree."""
    pool = python_pool(place) / "volumes"
    (pool / "config.yml").write_text("user.name: Ann\nuser.email: ann@example.org\n")
    (pool / "config.yml").chmod(0o600)
    (pool / "foo" / "running_point").symlink_to("/var/lib/dvol/volumes/foo/branches/alpha")
    (pool / "bar" / "running_point").symlink_to(pool / "bar" / "branches" / "master")
    return place


def frozen(volume: Path, id: str) -> None:
    tree = volume / "commits" / id
    tree.mkdir(parents=True, exist_ok=True)
    tree.chmod(0o777)
    (tree / "file").write_text(f"state {id[0]}")


def write(path: Path, document: object) -> None:
    path.write_text(json.dumps(document))
