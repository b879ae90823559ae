#!/usr/bin/env bash
# Measures `byoi-builder` beside what others use: `convert` beside qemu-img and
# virt-sparsify, `build` beside virt-sysprep and virt-sparsify where they are
# installed (package guestfs-tools). Prints tables for README.md. Needs root, for
# loop devices and mounts, and some room in $TMPDIR: eight times MIB.
#
#     scripts/bench.sh [MIB [ROUNDS]]
#     scripts/bench.sh --agent [DISK.raw]    byoi-agent beside virt-sysprep instead
#
# MIB (default 2048) is the size of the files on a disk of 10 GiB: of /usr, of an
# archive and of a database. A quarter as much was deleted from it. The guest is
# the lived-in Debian of vm-fixtures. BYOI_BUILDER is the program, where it is not
# to be built. The default takes less than half an hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
[[ ${1:-} != --agent ]] || exec scripts/bench-agent.sh "${@:2}"
PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

mib=${1:-2048}
rounds=${2:-5}
guest=target/vm-fixtures/test-bookworm.raw
[[ -e $guest ]] || vm-fixtures/debian/build.sh bookworm "$guest" >&2
if [[ -z ${BYOI_BUILDER:-} ]]; then
    cargo build --release --package byoi-builder --quiet
    BYOI_BUILDER=$PWD/target/x86_64-unknown-linux-gnu/release/byoi-builder
fi

work=$(mktemp -d)
clean_up() {
    umount --quiet "$work/mount" || true
    rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 3' INT TERM HUP
disk=$work/disk.raw

# A selection of the files of /usr, the same each time, that are so large together.
files_of_usr() { # MIB
    find /usr -xdev -type f -printf '%s %p\n' | sort -k 2 | shuf --random-source=<(yes) |
        awk -v left="$(($1 * 1048576))" '(left -= $1) > 0 { sub(/^[0-9]+ /, ""); print }'
}

# Pages of a real database.
make_database() { # FILE MIB
    python3 - "$@" <<'END'
import random, sqlite3, sys
noise = random.Random(1)
rows = int(sys.argv[2]) * 6000
with sqlite3.connect(sys.argv[1]) as database:
    database.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, token BLOB, sum REAL)")
    database.executemany(
        "INSERT INTO customer VALUES (?, ?, ?, ?)",
        ((n, f"customer {n % 9973} of branch {n % 97}", noise.randbytes(96), n / 7) for n in range(rows)),
    )
END
}

make_disk() {
    truncate --size 10G "$disk"
    sfdisk --quiet --no-tell-kernel "$disk" <<<$'label: dos\nstart=1M,bootable'
    mkfs.ext4 -q -E "offset=1048576,lazy_itable_init=0" "$disk" $(((10240 - 1) * 1024))k
    mkdir "$work/mount"
    mount -o loop,offset=1048576 "$disk" "$work/mount"
    files_of_usr $((mib * 3 / 4)) >"$work/files"
    tar --create --files-from "$work/files" 2>/dev/null | tar --extract --directory "$work/mount"
    make_database "$work/mount/database" $((mib / 8))
    tar --create --files-from "$work/files" 2>/dev/null | gzip --fast |
        head --bytes "$((mib / 8))M" >"$work/mount/archive" || true
    # Last, so that nothing takes the place of what was deleted.
    mkdir "$work/mount/deleted"
    files_of_usr $((mib / 4)) >"$work/files"
    tar --create --files-from "$work/files" 2>/dev/null |
        tar --extract --directory "$work/mount/deleted"
    sync --file-system "$work/mount"
    rm -r "$work/mount/deleted"
    umount "$work/mount"
}

make_disk
python3 -u scripts/bench-image.py "$BYOI_BUILDER" "$work" "$guest" "$rounds"
