#!/usr/bin/env bash
# Docker: `docker plugin create` refuses a plugin whose root file system equals that of a plugin
# that is there already, also under another name and with another config.json.
#
# An image may have any number of names, and containers share their layers; so one would expect two
# plugins of one build, with other settings, to share a root file system. But `plugin create` writes
# it to a store of contents in which nothing may be written twice: the second create fails with
# "content sha256:...: already exists", which names neither plugin. A byte more in any file helps,
# or to remove the first plugin. (moby: plugin/backend_linux.go, CreateFromContext.)
#
# Seen: docker.io 20.10.24+dfsg1-1+deb12u1+b6 (Debian bookworm, amd64), as root.
set -euo pipefail

versions="docker.io=20.10.24+dfsg1-1+deb12u1+b6 containerd=1.6.20~ds1-1+deb12u3
          runc=1.1.5+ds1-1+deb12u1 busybox-static=1:1.35.0-4+deb12u1+b1"
here=$(mktemp -d /var/tmp/finding-XXXXXX)
daemon=""
cleanup() {
  if [ -n "$daemon" ]; then
    docker plugin rm -f one two > /dev/null 2>&1 || true
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

mkdir -p "$here/plugin/rootfs"
echo content > "$here/plugin/rootfs/file"
cat > "$here/plugin/config.json" << 'EOF'
{"description": "a plugin that is never enabled", "entrypoint": ["/file"],
 "interface": {"types": ["docker.volumedriver/1.0"], "socket": "plugin.sock"}}
EOF
create() { docker plugin create "$1" "$here/plugin" 2>&1 || true; }
first=$(create one)
same=$(create two)
sed -i 's/a plugin/another plugin/' "$here/plugin/config.json"
other_config=$(create two)
echo more >> "$here/plugin/rootfs/file"
other_files=$(create two)
docker plugin rm one two > /dev/null
removed=$(create one)
printf '%s\n' "one: $first" "two, the same: $same" "two, with another config: $other_config" \
  "two, with another file: $other_files" "one, when both are gone: $removed"
docker plugin rm one > /dev/null
[ "$first/$other_files/$removed" = one/two/one ]
for refusal in "$same" "$other_config"; do
  [[ "$refusal" == *"content sha256:"*": already exists" ]]
done
