#!/usr/bin/env bash
# The main job, end to end, on a real disk: makes the disk of a Debian VM that OCI would accept and
# that would then never answer, and turns it into a QCOW2 that boots by DHCP under a new MAC.
# Installs what is missing first. Needs root for loop devices and mounts.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
# Where setup.sh puts Rust if there was none.
PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
cargo build --release

out=${1:-target/demo}
mkdir -p "$out"
vm-fixtures/debian/build.sh bookworm "$out/disk.raw"

target/x86_64-unknown-linux-gnu/release/byoi-builder build "$out/disk.raw" -o "$out/disk.qcow2" \
    --report "$out/report.json"
ls -l "$out"
