#!/bin/sh
# As the official image: initdb at the first start, the server as its own user and as process 1.
set -e
data=${PGDATA:-/data}
PORT=${PORT:-${PGPORT:-5432}}
if [ "$(id -u)" = 0 ]; then
  chown postgres: "$data"
  chmod 700 "$data"
  exec setpriv --reuid postgres --regid postgres --init-groups -- "$0" "$@"
fi
PATH=/usr/lib/postgresql/17/bin:$PATH
[ -s "$data/PG_VERSION" ] || initdb -k -D "$data" -U postgres --auth=trust > /dev/null
exec postgres -D "$data" -h 127.0.0.1 -p "$PORT" -k /tmp -c jit=off "$@"
