"""The pool that verbs are tried on: two branches, three volumes, and every kind of change.

It is the same each time it is built, times included, so that two of them can be compared.
"""

import errno
import mmap
import os
import shutil
import stat
import zlib
from contextlib import suppress
from pathlib import Path

from dvol.engine.local import LocalEngine
from dvol.tree.delete import delete_tree
from tests.contract.inode_flags import set_flags, unlock

ANN = "Ann <ann@example.org>"
ODD = b"\xff\xfe-odd"
OLDEST = 1_600_000_000_000_000_007  # ns
LARGE = 9000  # bytes: more than btrfs keeps beside the name, and no whole number of blocks
LOOSE = "loose"  # the directory of files that are overwritten in place, synced or not
SYNCED = "fdatasynced"
UNSYNCED = ("written", "mapped")


def build(root: Path) -> None:
    """Make the pool at `root`; all of it is durable but the loose files."""
    pool = LocalEngine(root)
    for volume in ("other", "v"):
        _two_commits(pool, volume)
    master = root / "v" / "branches" / "master"
    pool.branch("v", "side")
    side = master.with_name("side")
    _put(side / "only-on-side", "3")
    _commit(pool, "v", side, "3")
    _put(side / "file", "not committed on side")
    pool.checkout("v", "master")
    _change(master)
    for tree in (master, side, root / "other" / "branches" / "master"):
        _set_times(tree)
    _sync(root)
    for volume in ("other", "v"):
        _loosen(root / volume / "branches" / "master", "at last")


def build_and_reset(root: Path) -> None:
    """The same, after a reset that can be undone."""
    build(root)
    LocalEngine(root).reset("v", "HEAD^")
    _sync(root)


def build_and_reset_together(root: Path) -> None:
    """The same, after a reset of both volumes as one, which can be undone."""
    build_together(root)
    LocalEngine(root).reset_group(["other", "v"], "", "HEAD^")
    _sync(root)


def build_and_tag(root: Path) -> None:
    """The same, with a tag."""
    build(root)
    LocalEngine(root).tag("v", "old", "HEAD^")
    _sync(root)


def build_and_remove(root: Path) -> None:
    """The same, after a volume was removed, which can be restored."""
    build(root)
    LocalEngine(root).rm("other")
    _sync(root)


def build_and_delete(root: Path) -> None:
    """The same, after a branch was deleted."""
    build(root)
    LocalEngine(root).delete_branch("v", "side")
    _sync(root)


def build_together(root: Path) -> None:
    """The same, after both volumes were committed as one, and changed since."""
    build(root)
    LocalEngine(root).commit_group(["other", "v"], "", "4", ANN)
    trees = [root / volume / "branches" / "master" for volume in ("other", "v")]
    for tree in trees:
        _put(tree / "file", "after the fourth")
        _put(tree / "later" / "in" / "it", "new")
        _set_times(tree)
    _sync(root)
    for tree in trees:
        _loosen(tree, "after the fourth")


def build_and_forget(root: Path) -> None:
    """The same, with a commit that no list names."""
    build(root)
    lines = root / "v" / "branches" / "master.json"
    before = lines.read_bytes()
    LocalEngine(root).commit("v", "forgotten", ANN)
    lines.write_bytes(before)
    _sync(root)


def build_locked(root: Path) -> None:
    """The same, with directories that not even their owner may write to: in live trees, in a fourth
    commit, and in the branch `locked`."""
    build(root)
    tree = root / "v" / "branches" / "master"
    _lock(tree)
    _commit_on(root, "locked")
    _unlock(tree)
    _change_back(tree)
    _set_times(tree)
    for one in (tree, root / "v" / "branches" / "side", root / "other" / "branches" / "master"):
        _lock(one)
    _sync(root)


def build_locked_and_reset(root: Path) -> None:
    """The same, after a reset that can be undone."""
    build_locked(root)
    LocalEngine(root).reset("v", "HEAD")
    _sync(root)


def build_locked_and_delete(root: Path) -> None:
    """The same, after a branch was deleted."""
    build_locked(root)
    LocalEngine(root).delete_branch("v", "side")
    _sync(root)


def build_flagged(root: Path) -> None:
    """The same, with append-only and immutable files and directories: in live trees, in a fourth
    commit, and in the branch `flagged`."""
    build(root)
    tree = root / "v" / "branches" / "master"
    _flag(tree)
    _commit_on(root, "flagged")
    unlock(tree)
    _change_back(tree)
    _put(tree / "file", "changed")
    (tree / "twin").unlink()
    _set_times(tree)
    set_flags(tree / "new", "d")
    for one in ("file", "to-file/a", "to-file", "to-directory", "deep/fresh/a", "deep/fresh"):
        set_flags(tree / one, "a")
    for one in ("deep", "deep/er", ""):
        set_flags(tree / one, "i")
    _sync(root)


def build_flagged_and_reset(root: Path) -> None:
    """The same, after a reset that can be undone."""
    build_flagged(root)
    LocalEngine(root).reset("v", "HEAD")
    _sync(root)


def build_flagged_and_delete(root: Path) -> None:
    """The same, after the branch was deleted."""
    build_flagged(root)
    LocalEngine(root).delete_branch("v", "flagged")
    _sync(root)


def build_flagged_and_drop(root: Path) -> None:
    """The same, after a branch was deleted that alone had a commit."""
    build_flagged(root)
    LocalEngine(root).delete_branch("v", "side")
    _sync(root)


def _commit_on(root: Path, branch: str) -> None:
    """The fourth commit, on master and on a new branch."""
    pool = LocalEngine(root)
    pool.commit("v", "4", ANN)
    pool.branch("v", branch)
    pool.checkout("v", "master")


def _change_back(tree: Path) -> None:
    """Change what `_change` did, and commit none of it."""
    _put(tree / "deep" / "er" / "kept", "changed")
    _put(tree / "deep" / "fresh" / "a", "fresh")
    shutil.rmtree(tree / "new-directory")
    (tree / "to-file").unlink()
    _put(tree / "to-file" / "a", "a directory again")
    shutil.rmtree(tree / "to-directory")
    _put(tree / "to-directory", "a file again")


def _flag(tree: Path) -> None:
    """Give flags to files and directories of each kind of change."""
    for one in ("deep/er/kept", "kept", "new-directory/in/it", "to-directory/a", "to-file", "twin"):
        set_flags(tree / one, "i")
    for one in ("file", "new", "same-size"):
        set_flags(tree / one, "ad")
    for one in ("new-directory/in", "new-directory", "to-directory", "deep/er", "empty", ""):
        set_flags(tree / one, "a")


def nothing(root: Path) -> None:
    """No pool at all."""


def wiped(root: Path) -> None:
    """Remove whatever pool there is."""
    delete_tree(root)


def _two_commits(pool: LocalEngine, volume: str) -> None:
    pool.init(volume)
    tree = pool.root / volume / "branches" / "master"
    _begin(tree)
    _commit(pool, volume, tree, "1")
    _loosen(tree, "before the second commit")
    _put(tree / "file", "2")
    _put(tree / "only-in-2", "2")
    (tree / "gone-in-2").unlink()
    _commit(pool, volume, tree, "2")


def _commit(pool: LocalEngine, volume: str, tree: Path, message: str) -> None:
    _set_times(tree)
    pool.commit(volume, message, ANN)


def _begin(tree: Path) -> None:
    """One file or directory for each change that is to come, and some that never change."""
    for name in ("file", "replaced", "deleted", "gone-in-2", "to-directory", "same-size"):
        _put(tree / name, "1")
    for name in ("mode", "attributes", "kept", "twin", "deep/er/kept", "deleted-directory/a"):
        _put(tree / name, name)
    for name in ("deleted-directory/b/c", "to-file/a", "to-file/b/c", f"{LOOSE}/{SYNCED}"):
        _put(tree / name, name)
    for name in UNSYNCED:
        _put(tree / LOOSE / name, name)
    os.link(tree / "twin", tree / "deep" / "twin")
    os.symlink("kept", tree / "symlink")
    os.mkfifo(tree / "fifo")
    _put(Path(os.fsdecode(os.path.join(os.fsencode(tree), ODD))), "odd")
    (tree / "empty").mkdir()


def _change(tree: Path) -> None:
    """Make every kind of change to a tree, and commit none."""
    _put(tree / "file", "not committed")
    _put(tree / "aside", "replaced by a rename")
    (tree / "aside").rename(tree / "replaced")
    (tree / "deleted").unlink()
    _put(tree / "new", "new")
    _put(tree / "new-directory" / "in" / "it", "new")
    shutil.rmtree(tree / "deleted-directory")
    (tree / "to-directory").unlink()
    _put(tree / "to-directory" / "a", "was a file")
    shutil.rmtree(tree / "to-file")
    _put(tree / "to-file", "was a directory")
    _put(tree / "same-size", "9")
    (tree / "mode").chmod(0o4711)
    _mark(tree / "attributes")
    (tree / "deep" / "twin").unlink()
    _put(tree / "deep" / "twin", "a twin no more")
    os.link(tree / "kept", tree / "deep" / "new-twin")
    (tree / "symlink").unlink()
    os.symlink("file", tree / "symlink")
    odd = Path(os.fsdecode(os.path.join(os.fsencode(tree), ODD)))
    _put(odd, "odd, changed")
    os.link(odd, os.fsencode(odd) + b"-too")


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(_large(text) if len(text) > 1 else text.encode())


def _large(text: str) -> bytes:
    return (text.encode() + b"\n") * (LARGE // (len(text) + 1))


def _mark(path: Path) -> None:
    """Set an extended attribute; do nothing where only root may, or the file system has none."""
    for name in ("user.dvol", "trusted.dvol"):
        try:
            os.setxattr(path, name, b"changed")
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise
        else:
            return


def _lock(tree: Path) -> None:
    """Take the write bit from each directory; no times change."""
    for directory, _, _ in os.walk(tree):
        Path(directory).chmod(0o555)


def _unlock(tree: Path) -> None:
    for directory, _, _ in os.walk(tree):
        Path(directory).chmod(0o755)


def _loosen(tree: Path, text: str) -> None:
    """Overwrite in place, by all that leaves size and names alone. After a power cut ext4 and
    XFS show the first one's new content under its old times."""
    _overwrite(tree / LOOSE / SYNCED, text, synced=True)
    written, mapped = (tree / LOOSE / name for name in UNSYNCED)
    _overwrite(written, text, synced=False)
    with mapped.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[: len(text)] = text.encode()


def _overwrite(path: Path, text: str, synced: bool) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(fd, text.encode(), 4096)
        if synced:
            os.fdatasync(fd)
    finally:
        os.close(fd)


def _set_times(tree: Path) -> None:
    """Times that follow from names and content, set only where they differ: what nobody changed
    must not look changed. Some changes keep their time, as a careless copy would."""
    for directory, names, files in os.walk(tree, topdown=False):
        for name in files:
            path = Path(directory, name)
            if path.parent.name != LOOSE:
                _set_time(path, _content(path))
        _set_time(Path(directory), os.fsencode(" ".join(sorted(names + files))))


def _content(path: Path) -> bytes:
    mode = path.lstat().st_mode
    if stat.S_ISREG(mode) and path.name != "same-size":
        return path.read_bytes()
    return os.fsencode(os.readlink(path)) if stat.S_ISLNK(mode) else b""


def _set_time(path: Path, content: bytes) -> None:
    seed = zlib.crc32(os.fsencode(path.name) + b"/" + content)
    time = OLDEST + seed % 100_000 * 1_000_000_000
    if path.lstat().st_mtime_ns != time:
        with suppress(NotImplementedError):
            os.utime(path, ns=(time, time), follow_symlinks=False)


def _sync(root: Path) -> None:
    from dvol.fs.syscalls import libc_call

    fd = os.open(root, os.O_RDONLY)
    try:
        libc_call("syncfs", fd)
    finally:
        os.close(fd)
