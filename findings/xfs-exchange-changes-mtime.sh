#!/usr/bin/env bash
# XFS: renameat2(RENAME_EXCHANGE) of two directories with different parents changes the mtime of
# both, while a plain rename to another parent changes that of neither. ext4 and btrfs never do.
#
# A rename changes the ctime of what it renames, and the mtime of the directories that hold the
# names; the content of what is renamed stays as it is. XFS counts the new ".." as a change of
# content when two directories are exchanged, though not when one is renamed, and not for files or
# within one parent. So a tree that was staged with its times and is exchanged with the live one has
# other times afterwards, on one file system of three. (linux: fs/xfs/xfs_inode.c,
# xfs_cross_rename.)
#
# Seen: Linux 6.18, xfsprogs 6.1.0-1, e2fsprogs 1.47.0-2+b2, btrfs-progs 6.2-1+deb12u2 (Debian
# bookworm, amd64), as root.
set -euo pipefail

versions="xfsprogs=6.1.0-1 libinih1=55-1 e2fsprogs=1.47.0-2+b2 btrfs-progs=6.2-1+deb12u2"
here=$(mktemp -d /var/tmp/finding-XXXXXX)
cleanup() {
  mountpoint -q "$here/mnt" && umount "$here/mnt"
  rm -rf "$here"
}
trap cleanup EXIT

mkdir "$here/debs" "$here/root" "$here/mnt" && cd "$here/debs"
# shellcheck disable=SC2086
apt-get -qq -o APT::Sandbox::User=root download $versions
for deb in *.deb; do dpkg-deb -x "$deb" "$here/root"; done
export PATH="$here/root/sbin:$here/root/bin:$PATH"
export LD_LIBRARY_PATH="$here/root/usr/lib/x86_64-linux-gnu"

changed() { # what a rename, and what an exchange, changes the mtime of
  python3 - "$1" << 'EOF'
import ctypes, os, sys
at_fdcwd, rename_exchange = -100, 2
libc = ctypes.CDLL(None, use_errno=True)
os.chdir(sys.argv[1])

def renamed(flags):
    paths = [f"{flags}/one/first", f"{flags}/two/second"]
    was = {}
    for path in paths:
        os.makedirs(os.path.dirname(path))
        if flags or path == paths[0]:
            os.mkdir(path)
            os.utime(path, (1_000_000_000, 1_000_000_000))
            was[os.stat(path).st_ino] = os.path.basename(path)
    if libc.renameat2(at_fdcwd, paths[0].encode(), at_fdcwd, paths[1].encode(), flags):
        raise OSError(ctypes.get_errno(), "renameat2")
    found = [os.stat(path) for path in paths if os.path.exists(path)]
    names = sorted(was[one.st_ino] for one in found if one.st_mtime != 1_000_000_000)
    return ",".join(names) or "none"

print(f"rename={renamed(0)};exchange={renamed(rename_exchange)}", end="")
EOF
}

uname -r
found=""
for kind in ext4 xfs btrfs; do
  truncate -s 400M "$here/image"
  case $kind in
    ext4) mkfs.ext4 -q -F "$here/image" ;;
    xfs) mkfs.xfs -q -f "$here/image" ;;
    btrfs) mkfs.btrfs -q -f "$here/image" 2> /dev/null ;;
  esac
  mount -o loop -t "$kind" "$here/image" "$here/mnt"
  changed=$(changed "$here/mnt")
  echo "$kind: mtime changed by $changed"
  found="$found $kind:$changed"
  umount "$here/mnt"
  rm "$here/image"
done
same="rename=none;exchange=none"
[ "$found" = " ext4:$same xfs:rename=none;exchange=first,second btrfs:$same" ]
