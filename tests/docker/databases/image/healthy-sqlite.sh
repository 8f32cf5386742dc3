#!/bin/sh
exec test -e /data/log.db
