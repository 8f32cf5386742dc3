#!/bin/sh
# As the official image: the server as its own user, with the default persistence.
set -e
if [ "$(id -u)" = 0 ]; then
  chown redis: /data
  exec setpriv --reuid redis --regid redis --init-groups -- "$0" "$@"
fi
exec redis-server --dir /data --bind 127.0.0.1 --port "$PORT" "$@"
