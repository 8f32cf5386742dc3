#!/bin/sh
test "$(redis-cli -p "$PORT" ping)" = PONG
