#!/usr/bin/env bash
# Passes all tests: format, lints, unit tests, real disks, real boots.
# Installs what is missing first. Needs root for loop devices and mounts.
#
#     scripts/test.sh [--matrix] [ARGUMENTS OF cargo test]
#
# --matrix boots the guests of every suite, stack and layout, and checks the documentation too.
set -euo pipefail
cd "$(dirname "$0")/.."

matrix=
if [[ ${1:-} == --matrix ]]; then
    matrix=yes
    shift
    set -- "$@" -- --include-ignored
fi

scripts/setup.sh
# Where setup.sh puts Rust if there was none.
PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

# The disk that the end-to-end tests boot. Making it is mostly waiting, for packages and for one
# process after the other, so it goes on beside the compiler.
disk_log=$(mktemp)
vm-fixtures/debian/build.sh bookworm target/vm-fixtures/test-bookworm.raw >"$disk_log" 2>&1 &
disk_pid=$!
clean_up() {
    jobs -rp | xargs --no-run-if-empty kill
    wait
    rm -f "$disk_log"
}
trap clean_up EXIT

shellcheck --external-sources .ci/run scripts/*.sh vm-fixtures/*/*.sh
cargo fmt --all --check
if [[ -n $matrix ]]; then
    RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --quiet
fi
if command -v cargo-deny > /dev/null; then
    cargo deny --offline check licenses bans sources
fi

# Clippy compiles in place of rustc, as "cargo clippy" has it check: dependencies are not read
# twice. All targets at once, so that the programs and the tests share every one of them.
export RUSTC_WORKSPACE_WRAPPER=clippy-driver
export CLIPPY_ARGS=--deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__
cargo build --workspace --all-targets
if ! wait "$disk_pid"; then
    cat "$disk_log" >&2
    exit 1
fi
cargo test --workspace --no-fail-fast "$@"
