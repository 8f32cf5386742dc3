"""Changes at random to what belongs to an entry beside its content: mode, owner, times, extended
attributes, ACLs and flags.

Each function changes the entry at a path; what the file system has no room for is left out.
"""

import errno
import os
import stat
import struct
from collections.abc import Callable
from random import Random

from tests.contract.contents import CAPABILITY
from tests.trees import flags

Change = Callable[[Random, bytes], None]

IDS = (0, 1, 999, 1000, 65_534, 70_000, 1 << 31, (1 << 32) - 2)
SECONDS = (
    -2_000_000_000,
    -1,
    0,
    1_700_000_000,
    2_147_483_648,
    4_000_000_000,
    6_000_000_000,
    1 << 34,
)
NOT_TAKEN = (errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.EOPNOTSUPP, errno.EINVAL)
EVERYBODY = 0xFFFFFFFF  # the id in an ACL's entries that name no user or group


def status_of(path: bytes) -> os.stat_result:
    return os.stat(path, follow_symlinks=False)


def mode(rng: Random, path: bytes) -> None:
    """A user's own files must stay readable, and directories open, or dvol can't read them."""
    status = status_of(path)
    if stat.S_ISLNK(status.st_mode):
        return
    needed = 0 if os.geteuid() == 0 else 0o500 if stat.S_ISDIR(status.st_mode) else 0o400
    os.chmod(path, rng.choice([rng.getrandbits(12), 0o555, 0o644, 0o6755, 0o1777]) | needed)


def owner(rng: Random, path: bytes) -> None:
    os.chown(path, rng.choice(IDS), rng.choice(IDS), follow_symlinks=False)


def times(rng: Random, path: bytes) -> None:
    modified = rng.choice(SECONDS) * 10**9 + rng.choice([0, 1, 123_456_789, 999_999_999])
    os.utime(path, ns=(rng.choice(SECONDS) * 10**9, modified), follow_symlinks=False)


def user_attribute(rng: Random, path: bytes) -> None:
    if flags.has_flags(status_of(path)):
        _set(path, f"user.{rng.randrange(4)}", rng.randbytes(rng.choice([0, 1, 20, 300])))


def many_attributes(rng: Random, path: bytes) -> None:
    if flags.has_flags(status_of(path)):
        for number in range(rng.randint(5, 40)):
            _set(path, f"user.many-{number}", rng.randbytes(rng.randrange(60)))


def large_attribute(rng: Random, path: bytes) -> None:
    """As large as the file system takes: ext4 3 KB or so, btrfs 16, XFS 64."""
    if flags.has_flags(status_of(path)):
        for size in (65_536, 15_000, 3_900, 3_000, 1_500):
            if _set(path, "user.large", rng.randbytes(size)):
                return


def trusted_attribute(rng: Random, path: bytes) -> None:
    _set(path, f"trusted.{rng.randrange(2)}", rng.randbytes(rng.randrange(50)))


def capability(rng: Random, path: bytes) -> None:
    if stat.S_ISREG(status_of(path).st_mode):
        _set(path, "security.capability", CAPABILITY)


def access_list(rng: Random, path: bytes) -> None:
    if not stat.S_ISLNK(status_of(path).st_mode):
        _set(path, "system.posix_acl_access", acl(rng))


def default_list(rng: Random, path: bytes) -> None:
    if stat.S_ISDIR(status_of(path).st_mode):
        _set(path, "system.posix_acl_default", acl(rng))


def fewer_attributes(rng: Random, path: bytes) -> None:
    names = sorted(os.listxattr(path, follow_symlinks=False))
    for name in rng.sample(names, rng.randint(0, len(names))):
        if os.geteuid() == 0 or name.startswith(("user.", "system.")):
            try:
                os.removexattr(path, name, follow_symlinks=False)
            except OSError as error:
                if error.errno != errno.ENODATA:  # an ACL that XFS lists and does not have
                    raise


def inode_flags(rng: Random, path: bytes) -> None:
    if flags.has_flags(status_of(path)):
        fd = flags.opened(path)
        try:
            flags.change(rng, fd)
        finally:
            os.close(fd)


def acl(rng: Random) -> bytes:
    """An ACL with a user and a group of its own. Its owner may read, write and search, so that a
    user's own files stay readable."""
    entries = [(0x01, 7, EVERYBODY), (0x02, rng.randrange(8), rng.choice(IDS[:-1]))]
    entries += [(0x04, rng.randrange(8), EVERYBODY), (0x08, rng.randrange(8), rng.choice(IDS[:-1]))]
    entries += [(0x10, rng.randrange(8), EVERYBODY), (0x20, rng.randrange(8), EVERYBODY)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def _set(path: bytes, name: str, value: bytes) -> bool:
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NOT_TAKEN:
            raise
        return False
    return True


# how often each is made, in proportion
WEIGHTS: dict[Change, int] = {
    mode: 5, times: 5, user_attribute: 3, many_attributes: 1, large_attribute: 1,
    access_list: 3, default_list: 2, fewer_attributes: 2, inode_flags: 4,
}  # fmt: skip
OF_ROOT: dict[Change, int] = {owner: 4, trusted_attribute: 2, capability: 1}
