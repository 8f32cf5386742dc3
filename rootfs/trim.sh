#!/bin/sh
# Runs inside the image: removes files that the plugin never uses. The image is flattened later, so
# that the plugin becomes smaller.
set -eu

lib="/usr/lib/$(uname -m)-linux-gnu"
python="$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"

# No more packages are installed from here on; dpkg's status stays, for scanners to read.
rm -rf /var/lib/apt /var/cache /var/log /var/lib/dpkg/info /usr/lib/apt /etc/apt /usr/share/keyrings
rm -rf "$lib"/libapt-* /usr/bin/apt* /usr/bin/sqv /usr/bin/dpkg* /usr/bin/debconf* \
  /usr/share/perl5 "$lib/perl-base" /usr/bin/perl* "$lib"/libdb-* "$lib"/libsqlite3*
# Documentation, and character conversions that only iconv uses
rm -rf /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale /usr/share/zoneinfo \
  /usr/share/bash-completion /usr/share/lintian /usr/share/common-licenses \
  "$lib/gconv" "$lib/audit" /usr/bin/localedef
# Parts of Python that a server has no use for
for part in pydoc_data idlelib ensurepip test tkinter turtledemo lib2to3 _pyrepl sqlite3; do
  rm -rf "${python:?}/$part"
done
mkdir -p /var/cache /var/log
rm -f /tmp/trim.sh
