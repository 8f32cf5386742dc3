#!/usr/bin/env bash
# Docker: a healthy container counts as unhealthy from its pause until the first probe after its
# unpause, though no probe has ever failed.
#
# A probe's failures are counted in FailingStreak, and `--health-retries` of them make a container
# unhealthy. So one would expect a pause of some milliseconds, as a backup makes, to leave the
# status as it was. But Docker sets it to unhealthy when it stops to probe, and unpause does not set
# it back: with an interval of 30 s, the default, a healthy database counts as unhealthy for up to
# 30 s, with a streak of 0, and whoever restarts what is unhealthy, or waits for it, acts on that.
# (moby: daemon/health.go, updateHealthMonitor; container/health.go, CloseMonitorChannel.)
#
# Seen: docker.io 20.10.24+dfsg1-1+deb12u1+b6 (Debian bookworm, amd64), as root.
set -euo pipefail

versions="docker.io=20.10.24+dfsg1-1+deb12u1+b6 containerd=1.6.20~ds1-1+deb12u3
          runc=1.1.5+ds1-1+deb12u1 busybox-static=1:1.35.0-4+deb12u1+b1"
here=$(mktemp -d /var/tmp/finding-XXXXXX)
daemon=""
cleanup() {
  if [ -n "$daemon" ]; then
    docker rm -f app > /dev/null 2>&1 || true
    kill "$daemon" && wait "$daemon" || true
  fi
  rm -rf "$here"
}
trap cleanup EXIT

mkdir "$here/debs" "$here/root" "$here/run" && cd "$here/debs"
# shellcheck disable=SC2086
apt-get -qq -o APT::Sandbox::User=root download $versions
for deb in *.deb; do dpkg-deb -x "$deb" "$here/root"; done
export PATH="$here/root/usr/sbin:$here/root/usr/bin:$PATH"
export DOCKER_HOST="unix://$here/run/docker.sock"

dockerd --data-root "$here/data" --exec-root "$here/run/exec" --pidfile "$here/run/pid" \
  --host "$DOCKER_HOST" --bridge none --iptables=false > "$here/log" 2>&1 &
daemon=$!
for _ in $(seq 100); do docker version > /dev/null 2>&1 && break; sleep 0.2; done
echo "Docker $(docker version --format '{{.Server.Version}}')"

mkdir -p "$here/image/bin"
cp "$here/root/bin/busybox" "$here/image/bin/"
for name in sh sleep true; do ln -s busybox "$here/image/bin/$name"; done
tar -C "$here/image" -c . | docker import - box > /dev/null

status() {
  docker inspect --format '{{.State.Health.Status}} (streak {{.State.Health.FailingStreak}})' app
}
probe="--health-cmd true --health-interval 4s"
# shellcheck disable=SC2086
docker run -d --name app --network none $probe box sleep 1000 > /dev/null
for _ in $(seq 100); do [ "$(status)" = "healthy (streak 0)" ] && break; sleep 0.2; done
before=$(status)
docker pause app > /dev/null && docker unpause app > /dev/null
after=$(status)
sleep 6
later=$(status)
echo "before: $before; after pause and unpause: $after; after the next probe: $later"
failed=$(docker inspect --format '{{range .State.Health.Log}}{{.ExitCode}} {{end}}' app |
  tr -d '0 ')
[ "$before/$after/$later" = "healthy (streak 0)/unhealthy (streak 0)/healthy (streak 0)" ]
[ -z "$failed" ]
