#!/usr/bin/env bash
# install.sh NAME DATA RUN: creates and enables the plugin NAME from build/plugin, its pool in
# DATA/dvol and its control socket in RUN/dvol. An installed dvol plugin of that name is replaced.
set -euo pipefail

name=$1 data=$2 run=$3

refuse() {
  echo "dvol: $1" >&2
  exit 4
}

inspect() {
  docker plugin inspect -f "$1" "$name"
}

source_of() {
  inspect "{{range .Settings.Mounts}}{{if eq .Name \"$1\"}}{{.Source}}{{end}}{{end}}"
}

bound() {
  grep -q "/plugins/$1/propagated-mount" /proc/self/mountinfo
}

# Docker would refuse these too, but only after the old plugin is removed.
for directory in "$data" "$run"; do
  [ -d "$directory" ] || refuse "$directory is no directory of this machine"
done

if inspect '{{.Id}}' > /dev/null 2>&1; then
  [ "$(inspect '{{.Config.Interface.Socket}}')" = dvol.sock ] \
    || refuse "the plugin $name is not dvol; choose another name with PLUGIN="
  # With another directory all volumes would look empty, and Docker would forget them.
  [ "$(source_of data)" = "$data" ] \
    || refuse "the plugin $name keeps its data in $(source_of data): install with DATA=$(source_of data)"
  echo "Replacing the plugin $name; volumes and running containers keep their data."
  id=$(inspect '{{.Id}}')
  docker plugin disable -f "$name" > /dev/null 2>&1 || true
  # Docker answers before it unmounts (26.1 and 28.5: some milliseconds), and deletes the plugin's
  # directories even if it could not unmount the data bound in them.
  for _ in {1..100}; do
    bound "$id" || break
    sleep 0.1
  done
  ! bound "$id" \
    || refuse "the data of $name is still mounted in Docker's directory; the plugin is disabled"
  docker plugin rm -f "$name" > /dev/null
fi

rootfs/create.sh "$name"
docker plugin set "$name" "data.source=$data" "run.source=$run"
# Without a timeout for connecting, as after `docker plugin install` and after each daemon start.
docker plugin enable --timeout 0 "$name" > /dev/null
echo "The volume driver $name is enabled; its data is in $data/dvol."
[ "$run" = /run ] || echo "For the command: export DVOL_HOST=unix://$run/dvol/control.sock"
