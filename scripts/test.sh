#!/usr/bin/env bash
# Passes all tests: format, lints, unit tests, real disks, real boots.
# Installs what is missing first. Needs root for loop devices and mounts.
#
#     scripts/test.sh [--matrix] [ARGUMENTS OF cargo test]
#
# --matrix boots the guests of every suite, not of bookworm alone.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
# Where setup.sh puts Rust if there was none.
PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

shellcheck --external-sources .ci/run scripts/*.sh vm-fixtures/*/*.sh
cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- --deny warnings
RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --quiet
if command -v cargo-deny > /dev/null; then
    cargo deny --offline check licenses bans sources
fi

# The disk that the end-to-end tests boot, made here so that its making is seen.
vm-fixtures/debian/build.sh bookworm target/vm-fixtures/test-bookworm.raw

# All targets at once, so that the programs and the tests share every dependency.
cargo build --workspace --all-targets
if [[ ${1:-} == --matrix ]]; then
    shift
    set -- "$@" -- --include-ignored
fi
exec cargo test --workspace --no-fail-fast "$@"
