#!/bin/sh
# As the official image: a new data directory at the first start, the server as its own user.
set -e
chown mysql: /data
[ -d /data/mysql ] || mariadb-install-db --user=mysql --datadir=/data \
  --auth-root-authentication-method=normal --skip-test-db > /dev/null 2>&1
exec mariadbd --no-defaults --user=mysql --datadir=/data --bind-address=127.0.0.1 --port="$PORT" \
  --socket=/tmp/mariadb.sock "$@"
