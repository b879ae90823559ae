#!/usr/bin/env bash
# Measures `byoi-agent check` on a real guest: time, memory, system calls, child
# processes; beside virt-sysprep on the same disk where that is installed, as
# ratios. Needs root for the mount.
#
#     scripts/bench-agent.sh [DISK.raw]
#
# DISK.raw has its root file system at 1 MiB; the default is the lived-in Debian
# of vm-fixtures.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

disk=${1:-target/vm-fixtures/test-bookworm.raw}
[[ $# -gt 0 || -e $disk ]] || vm-fixtures/debian/build.sh bookworm "$disk"
cargo build --release --workspace --quiet
agent=$PWD/target/x86_64-unknown-linux-gnu/release/byoi-agent

root=$(mktemp -d)
clean_up() {
    umount "$root" 2>/dev/null || true
    rmdir "$root"
}
trap clean_up EXIT
mount -t ext4 -o "ro,noload,loop,offset=$((1024 * 1024))" "$disk" "$root"

# The best of some runs: milliseconds, and the most memory that one process of it
# had resident, in MiB. What the command says and its exit code do not matter.
measure() { # RUNS COMMAND...
    python3 - "$@" <<'EOF'
import resource, subprocess, sys, time
runs, command = int(sys.argv[1]), sys.argv[2:]
best = None
for _ in range(runs):
    start = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    taken = (time.monotonic() - start) * 1000
    best = taken if best is None else min(best, taken)
memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"{best:.1f} {memory:.1f}")
EOF
}

# System calls and processes started.
calls() { # COMMAND...
    if ! command -v strace >/dev/null; then
        echo "- -"
        return
    fi
    local trace
    trace=$(mktemp)
    strace --follow-forks --quiet=all --output="$trace" "$@" >/dev/null 2>&1 || true
    echo "$(wc -l <"$trace") $(grep -cE ' execve\(' "$trace" || true)"
    rm -f "$trace"
}

row() { # NAME RUNS COMMAND...
    local name=$1 runs=$2 time memory calls processes
    shift 2
    read -r time memory < <(measure "$runs" "$@")
    read -r calls processes < <(calls "$@")
    printf '%-34s %10s %10s %12s %10s\n' "$name" "$time" "$memory" "$calls" "$processes"
    last=("$time" "$memory")
}

printf '%-34s %10s %10s %12s %10s\n' '' 'ms' 'MiB' 'system calls' 'processes'
row 'byoi-agent check' 20 "$agent" check --root "$root"
ours=("${last[@]}")
mapfile -t apart < <("$agent" rules --format json |
    grep -o '"id": "[^"]*"' | cut -d '"' -f 4 | grep -v '/initramfs-' | sed 's/^/--only=/')
row 'the same, initramfs scan apart' 20 "$agent" check --root "$root" "${apart[@]}"
if command -v virt-sysprep >/dev/null; then
    row 'virt-sysprep --dry-run' 1 virt-sysprep --dry-run -a "$disk"
    awk -v a="${ours[0]}" -v b="${last[0]}" -v m="${ours[1]}" -v n="${last[1]}" \
        'BEGIN { printf "virt-sysprep takes %.0f times as long and %.1f times the memory\n", b / a, n / m }'
else
    echo 'virt-sysprep is not installed (package guestfs-tools)'
fi
printf 'byoi-agent is one file of %.1f MiB\n' "$(stat -c %s "$agent" | awk '{ print $1 / 1048576 }')"
