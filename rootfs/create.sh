#!/usr/bin/env bash
# create.sh NAME: makes a Docker plugin called NAME from build/plugin, not yet enabled.
set -euo pipefail

name=$1
# Docker refuses a root file system that it has already: another plugin's, or one whose plugin was
# just removed and that is not collected yet. A stamp makes each one unique.
for attempt in 1 2 3; do
  echo "$(date +%s.%N) $$" > build/plugin/rootfs/etc/dvol-build
  error=$(docker plugin create "$name" build/plugin 2>&1 > /dev/null) && exit 0
  [[ $error == *content*already\ exists* ]] || break
  sleep "$attempt"
done
echo "dvol: $error" >&2
exit 1
