#!/usr/bin/env bash
# build.sh DIR: builds the plugin's root file system and unpacks it, flat, into DIR.
# Uses the Docker Engine that answers; if none does, a private one, which needs root.
set -euo pipefail

dir=$1
image=dvol-rootfs:build
python=.venv/bin/python
if ! timeout 20 docker version > /dev/null 2>&1; then
  echo "dvol: no Docker Engine answers; building in a private one" >&2
  exec "$python" -m tests.lab.engine -- "$0" "$@"
fi

base=${BASE:-$(rootfs/base.sh)}
# The host's network, because a private engine has no bridge network; refused with --userns-remap.
network=host
[[ $(docker info -f '{{.SecurityOptions}}') != *name=userns* ]] || network=default
docker build -q --network="$network" --build-arg BASE="$base" -f rootfs/Dockerfile -t "$image" . \
  > build/docker.log 2>&1 || { cat build/docker.log >&2; exit 1; }
container=$(docker create "$image" true)
# Only the base image stays in the engine.
trap 'docker rm -f "$container" > /dev/null; docker rmi "$image" > /dev/null' EXIT

rm -rf "$dir" "$dir.part"
mkdir -p "$dir.part"
docker export "$container" | tar -x -C "$dir.part" --exclude='dev/*' --exclude=.dockerenv
mv "$dir.part" "$dir"
