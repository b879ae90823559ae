#!/bin/bash
# Unpacks into DIR the programs by which network stacks read their configuration,
# for tests to ask them: ifquery and nmcli. Nothing is installed, nothing started.
#
#     readers.sh DIR
set -euo pipefail

dir=${1:?usage: readers.sh DIR}
if [[ -e $dir ]]; then
    exit 0
fi
mkdir -p "$(dirname "$dir")"
work=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 0755 "$work" # apt downloads as a user of its own
(cd "$work" && apt-get -qq download ifupdown network-manager libnm0 libndp0)
mkdir "$work/root"
for package in "$work"/*.deb; do
    dpkg-deb --extract "$package" "$work/root"
done
mv --no-target-directory "$work/root" "$dir"
