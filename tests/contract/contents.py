"""What a tree can hold: one function for each kind of content, which writes it into a tree.

`CONTENTS` are the kinds that any user can write, `ROOTS` the kinds that need root.
"""

import os
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path

DAY = 86_400 * 10**9


def files(tree: Path) -> None:
    for size in (0, 1, 4095, 4096, 4097, 16_383, 16_384, 1_000_001):
        (tree / f"{size}.bytes").write_bytes(os.urandom(size))
    (tree / "zeros").write_bytes(bytes(100_000))


def modes(tree: Path) -> None:
    for mode in (0o400, 0o644, 0o777, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777):
        (tree / f"file-{mode:o}").touch()
        (tree / f"file-{mode:o}").chmod(mode)
        (tree / f"directory-{mode | 0o700:o}").mkdir(exist_ok=True)
        (tree / f"directory-{mode | 0o700:o}").chmod(mode | 0o700)
    tree.chmod(0o1770)


def times(tree: Path) -> None:
    (tree / "directory").mkdir()
    (tree / "link").symlink_to("nowhere")
    for number, name in enumerate(("file", "old", "future", "before-1970")):
        (tree / name).write_text(name)
        moments = (1_700_000_000, 86_400, 4_000_000_000, -1_000_000)
        os.utime(tree / name, ns=(moments[number] * 10**9 + 1, moments[number] * 10**9 + 123456789))
    for name in ("directory", "link", "."):
        os.utime(tree / name, ns=(DAY + 7, 1_600_000_000_987_654_321), follow_symlinks=False)


def attributes(tree: Path) -> None:
    (tree / "directory").mkdir()
    (tree / "file").write_text("x")
    for name in ("directory", "file", "."):
        os.setxattr(tree / name, "user.one", b"a value with \0 and \xff")
        os.setxattr(tree / name, "user.empty", b"")


def attributes_that_fit_in_one_order(tree: Path) -> None:
    """On ext4 the first one is in the inode, and the two others fill the one block beside it: in
    the order of their names there would be no room for it."""
    (tree / "file").touch()
    os.setxattr(tree / "file", "user.z", b"z" * 60)
    os.setxattr(tree / "file", "user.a", b"a" * 30)
    for size in range(os.statvfs(tree).f_bsize, 0, -4):
        with suppress(OSError):
            os.setxattr(tree / "file", "user.b", b"b" * size)
            return


def symlinks(tree: Path) -> None:
    (tree / "relative").symlink_to("target")
    (tree / "target").write_text("x")
    (tree / "absolute").symlink_to("/etc/passwd")
    (tree / "dangling").symlink_to("nowhere/at/all")
    (tree / "loop").symlink_to("loop")
    (tree / "up").symlink_to("../../..")
    (tree / "to-directory").symlink_to(".")
    (tree / "long").symlink_to("x" * 1000)  # XFS takes 1023
    (tree / "not-utf-8").symlink_to(os.fsdecode(b"\xff\xfe"))


def special(tree: Path) -> None:
    os.mkfifo(tree / "fifo", 0o640)
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(tree)
        try:
            listening.bind("socket")  # relative, because a socket's path is short
        finally:
            os.chdir(here)
    (tree / "socket").chmod(0o755)


def hard_links(tree: Path) -> None:
    (tree / "a").write_text("in one directory")
    os.link(tree / "a", tree / "b")
    for name in ("deep/er/one", "other/two", "three"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / "three").write_text("across directories")
    os.link(tree / "three", tree / "deep/er/one")
    os.link(tree / "three", tree / "other/two")
    os.mkfifo(tree / "fifo")
    os.link(tree / "fifo", tree / "deep/fifo")
    (tree / "link").symlink_to("a")
    os.link(tree / "link", tree / "deep/link", follow_symlinks=False)


def links_to_outside(tree: Path) -> None:
    """Names of one inode also outside the tree, which are no part of it."""
    outside = tree.with_name("outside")
    outside.mkdir()
    (tree / "one").write_text("linked")
    os.link(tree / "one", tree / "two")
    (tree / "alone").write_text("linked once")
    with suppress(OSError):  # no link leads out of a subvolume
        os.link(tree / "one", outside / "three")
        os.link(tree / "alone", outside / "other")


def look_alikes(tree: Path) -> None:
    """Equal in everything but their inodes: two files, not one."""
    for name in ("one", "two"):
        (tree / name).write_text("the same")
        os.utime(tree / name, ns=(DAY, DAY))


def sparse(tree: Path) -> None:
    with (tree / "holes").open("wb") as file:
        file.write(b"start")
        file.seek(50 << 20)
        file.write(b"middle")
        file.truncate(100 << 20)
    with (tree / "only-a-hole").open("wb") as file:
        file.truncate(10 << 20)
    with (tree / "data-at-the-end").open("wb") as file:
        file.seek(20 << 20)
        file.write(b"end")


def odd_names(tree: Path) -> None:
    for name in (
        b"\xff\xfe",
        b"new\nline",
        b" ",
        b"-rf",
        b"...",
        b"\x01",
        "ü".encode(),
        b"x" * 255,
    ):
        (tree / os.fsdecode(name)).write_bytes(name)
    (tree / os.fsdecode(b"\xff-directory")).mkdir()
    (tree / os.fsdecode(b"\xff-directory") / ("y" * 255)).touch()


def temporary_names(tree: Path) -> None:
    """Names that a copier or a deleter might think its own."""
    for name in (
        ".deleting-1",
        ".dvol",
        "tree.links",
        "commits.json",
        "entry.json",
        "tree",
        "staging",
    ):
        (tree / name).mkdir()
        (tree / name / ".deleting-1").write_text(name)


def empty_directories(tree: Path) -> None:
    (tree / "empty").mkdir()
    (tree / "a" / "b" / "c").mkdir(parents=True)


def many(tree: Path) -> None:
    for number in range(300):
        (tree / f"{number:04d}").write_text(str(number))


CONTENTS = {
    content.__name__: content
    for content in (
        files, modes, times, attributes, attributes_that_fit_in_one_order, symlinks, special,
        hard_links, links_to_outside, look_alikes, sparse, odd_names, temporary_names,
        empty_directories, many,
    )
}  # fmt: skip

ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, permissions, id)
    for tag, permissions, id in (
        (0x01, 6, 0xFFFFFFFF),  # the owner
        (0x02, 6, 1234),  # a user
        (0x04, 4, 0xFFFFFFFF),  # the group
        (0x08, 5, 5678),  # a group
        (0x10, 7, 0xFFFFFFFF),  # the mask
        (0x20, 0, 0xFFFFFFFF),  # others
    )
)
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service=ep


def owners(tree: Path) -> None:
    (tree / "directory").mkdir()
    (tree / "link").symlink_to("nowhere")
    os.mkfifo(tree / "fifo")
    for number, name in enumerate(("file", "directory", "link", "fifo")):
        if name == "file":
            (tree / name).touch()
        os.chown(tree / name, 1000 + number, 70_000 + number, follow_symlinks=False)
    os.chown(tree, 999, 999)


def setuid_of_others(tree: Path) -> None:
    """chown clears these bits, so the order of copying counts."""
    for mode in (0o4755, 0o2755, 0o6755, 0o1755):
        for owner in (0, 1234):
            path = tree / f"{mode:o}-{owner}"
            path.write_text("#!")
            os.chown(path, owner, owner)
            path.chmod(mode)
    (tree / "directory").mkdir()
    os.chown(tree / "directory", 1234, 1234)
    (tree / "directory").chmod(0o2770)
    (tree / "directory" / "inherits").mkdir()


def devices(tree: Path) -> None:
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(tree / "loop", stat.S_IFBLK | 0o660, os.makedev(7, 0))
    os.mknod(tree / "whiteout", stat.S_IFCHR | 0o000, os.makedev(0, 0))
    os.mknod(tree / "big", stat.S_IFCHR | 0o600, os.makedev(300, 70_000))
    os.chown(tree / "null", 12, 34)


def acls(tree: Path) -> None:
    (tree / "file").touch()
    (tree / "directory").mkdir()
    for name in ("file", "directory"):
        os.setxattr(tree / name, "system.posix_acl_access", ACL)
    os.setxattr(tree / "directory", "system.posix_acl_default", ACL)
    (tree / "directory" / "inherits").touch()
    (tree / "directory" / "inherits-too").mkdir()
    (tree / "directory" / "plain").touch()
    os.removexattr(tree / "directory" / "plain", "system.posix_acl_access")
    os.setxattr(tree, "system.posix_acl_default", ACL)


def capabilities(tree: Path) -> None:
    for name, owner in (("mine", 0), ("others", 1234)):
        (tree / name).write_text("#!")
        os.chown(tree / name, owner, owner)
        (tree / name).chmod(0o755)
        os.setxattr(tree / name, "security.capability", CAPABILITY)


def trusted_attributes(tree: Path) -> None:
    (tree / "link").symlink_to("nowhere")
    (tree / "directory").mkdir()
    os.mkfifo(tree / "fifo")
    os.mknod(tree / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    for name in ("link", "directory", "fifo", "device"):
        os.setxattr(tree / name, "trusted.one", name.encode(), follow_symlinks=False)


def closed_directories(tree: Path) -> None:
    """For a container's own root no mode is a hindrance, nor for ours."""
    (tree / "secret").write_text("x")
    (tree / "secret").chmod(0o000)
    (tree / "closed" / "inner").mkdir(parents=True)
    (tree / "closed" / "inner" / "file").write_text("x")
    (tree / "closed" / "inner").chmod(0o000)
    (tree / "closed").chmod(0o000)


ROOTS = {
    content.__name__: content
    for content in (
        owners, setuid_of_others, devices, acls, capabilities, trusted_attributes,
        closed_directories,
    )
}  # fmt: skip


def linked_groups(tree: Path) -> None:
    """Hard links across directories, to files, a symlink and a FIFO, and two files that look alike
    and are not linked."""
    for name in ("a", "b", "c"):
        (tree / name).mkdir()
    for name in ("one", "two", "three"):
        (tree / "a" / name).write_text(name)
        os.link(tree / "a" / name, tree / "b" / name)
    for name in ("like", "alike"):
        (tree / "c" / name).write_text("the same")
        os.utime(tree / "c" / name, ns=(10**18, 10**18))
    (tree / "a" / "link").symlink_to("one")
    os.link(tree / "a" / "link", tree / "b" / "link", follow_symlinks=False)
    os.mkfifo(tree / "a" / "fifo")
    os.link(tree / "a" / "fifo", tree / "b" / "fifo")
