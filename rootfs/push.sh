#!/usr/bin/env bash
# push.sh NAME: publishes build/plugin as NAME (REGISTRY/clusterhq/dvol:latest).
set -euo pipefail

name=$1
rootfs/create.sh "$name"
# Docker pushes only an installed plugin; this one is removed again.
trap 'docker plugin rm -f "$name" > /dev/null' EXIT
docker plugin push "$name"
