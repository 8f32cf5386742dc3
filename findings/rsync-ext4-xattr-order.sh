#!/usr/bin/env bash
# rsync -X: on ext4 a file whose extended attributes fit can lose one when it is copied, with "No
# space left on device", though the disk is empty.
#
# ext4 keeps attributes in the inode while there is room, and the rest in one block; what is set
# first goes to the inode. Whether a set of attributes fits thus depends on the order in which they
# are set. rsync sets them in the order of their names. cp -a and tar set them in the order in which
# the kernel lists them, inode first, and that fits wherever it did.
# (rsync: xattrs.c, rsync_xal_get sorts the list; ext4: fs/ext4/xattr.c, ext4_xattr_set_handle.)
#
# Seen: rsync 3.5.0+ds1-0+deb12u1 (Debian bookworm, amd64), Linux 6.18, as root.
set -euo pipefail

versions="rsync=3.5.0+ds1-0+deb12u1 libpopt0=1.19+dfsg-1 libxxhash0=0.8.1-1"
here=$(mktemp -d /var/tmp/finding-XXXXXX)
cleanup() {
  cd /
  if mountpoint -q "$here/disk"; then umount "$here/disk"; fi
  rm -rf "$here"
}
trap cleanup EXIT

mkdir "$here/debs" "$here/root" "$here/disk" && cd "$here/debs"
# shellcheck disable=SC2086
apt-get -qq -o APT::Sandbox::User=root download $versions
for deb in *.deb; do dpkg-deb -x "$deb" "$here/root"; done
export LD_LIBRARY_PATH="$here/root/usr/lib/x86_64-linux-gnu"
rsync="$here/root/usr/bin/rsync"
"$rsync" --version > "$here/version" && head -1 "$here/version"

truncate -s 64M "$here/image"
mkfs.ext4 -q -b 4096 -I 256 "$here/image"
mount -o loop "$here/image" "$here/disk"
cd "$here/disk"

# z goes to the inode, a and b fill the block
mkdir original
python3 - <<'EOF'
import os
open("original/file", "w").close()
os.setxattr("original/file", "user.z", b"z" * 60)
os.setxattr("original/file", "user.a", b"a" * 30)
for size in range(4096, 0, -4):
    try:
        os.setxattr("original/file", "user.b", b"b" * size)
        break
    except OSError:
        pass
EOF
names() {
  python3 -c 'import os, sys; print(*sorted(os.listxattr(sys.argv[1])))' "$1"
}
cp -a original by-cp
mkdir by-tar
tar --xattrs --xattrs-include='user.*' -c -C original file |
  tar --xattrs --xattrs-include='user.*' -x -C by-tar
code=0
"$rsync" -aX original/ by-rsync/ || code=$?

echo "original: $(names original/file)"
echo "cp -a:    $(names by-cp/file)"
echo "tar:      $(names by-tar/file)"
echo "rsync:    $(names by-rsync/file), exit code $code"
[ "$(names by-cp/file)" = "$(names original/file)" ]
[ "$(names by-tar/file)" = "$(names original/file)" ]
[ "$code" = 23 ] && [ "$(names by-rsync/file)" = "user.a user.b" ]
echo "as described"
