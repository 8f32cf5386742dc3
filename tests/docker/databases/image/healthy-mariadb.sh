#!/bin/sh
exec mariadb-admin --no-defaults --socket=/tmp/mariadb.sock -u root ping > /dev/null
