#!/bin/bash
# Builds a bootable Debian disk that looks lived-in: see vm-fixtures/README.md.
#
#     build.sh SUITE OUT.raw        SUITE: bullseye, bookworm, trixie
#
# Runs as root, on two levels of cache below ${BYOI_CACHE:-target/vm-fixtures}:
# the bootstrapped SUITE and the finished disk, each named by a hash over the
# files that it was made from. OUT.raw is a sparse copy (a reflink where the
# file system has them).
set -euo pipefail

if (($# != 2)); then
    echo "usage: build.sh SUITE OUT.raw" >&2
    exit 2
fi
if ((EUID != 0)); then
    echo "build.sh: needs root, to mount the new disk's file system" >&2
    exit 3
fi
suite=$1
out=$2
here=$(dirname "$(realpath "$0")")
cache=${BYOI_CACHE:-$here/../../target/vm-fixtures}
mkdir -p "$cache"
cache=$(realpath "$cache")

# A hash over the names and contents of files of this directory, and a word. This
# script is left out: it decides when to make things, not what is in them.
key() { # WORD FILE...
    local word=$1
    shift
    (cd "$here" && { echo "$word" && find "$@" -type f ! -name build.sh -print0 | sort -z | xargs -0 sha256sum; }) \
        | sha256sum | cut -c1-16
}
bootstrap_key=$(key "$suite" bootstrap.sh packages)
disk_key=$(key "$suite" .)
tarball=$cache/debian-$suite-bootstrap-$bootstrap_key.tar.zst
disk=$cache/debian-$suite-$disk_key.raw

work=''
sandbox_pid=''

# Runs COMMAND… FILE in mount and process namespaces of its own, where TMPDIR is
# a tmpfs if there is memory for it, and copies FILE to $work/made. Everything
# that is started and mounted in there ends with it, whatever happens.
sandbox() { # COMMAND...
    # shellcheck disable=SC2016
    setpriv --pdeathsig KILL \
        unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
        bash -euc '
            export TMPDIR=$0/tmp
            mkdir "$TMPDIR"
            free=$(sed -n "s/^MemAvailable: *\([0-9]*\) kB/\1/p" /proc/meminfo)
            if ((free > 6 * 1024 * 1024)); then mount -t tmpfs -o size=4g tmpfs "$TMPDIR"; fi
            "$@" "$TMPDIR/made"
            cp --sparse=always "$TMPDIR/made" "$0/made"
        ' "$work" "$@" >&2 9>&- &
    sandbox_pid=$!
    wait "$sandbox_pid"
    sandbox_pid=''
}

clean_up() {
    if [[ -n $sandbox_pid ]]; then
        kill -KILL "$sandbox_pid" 2>/dev/null || true
        wait "$sandbox_pid" 2>/dev/null || true
    fi
    if [[ -n $work ]]; then
        rm -rf --one-file-system "$work"
    fi
    rm -f "$out.partial.$$"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Makes FILE unless it is there: FILE gets its name only when it is complete.
make() { # FILE COMMAND...
    local file=$1
    shift
    if [[ ! -e $file ]]; then
        echo "build.sh: making $file" >&2
        work=$(mktemp -d "$cache/.work-$suite.XXXXXX")
        chmod 0755 "$work" # apt downloads as a user of its own
        sandbox "$@"
        mv "$work/made" "$file"
        rm -rf --one-file-system "$work"
        work=''
    fi
}

if [[ ! -e $disk ]]; then
    # One build of a suite at a time. What lies around then is of a killed one.
    exec 9>"$cache/debian-$suite.lock"
    flock 9
    rm -rf --one-file-system "$cache/.work-$suite".*
    make "$tarball" "$here/bootstrap.sh" "$suite"
    make "$disk" "$here/disk.sh" "$tarball"
    exec 9>&-
fi
cp --reflink=auto --sparse=always "$disk" "$out.partial.$$"
mv "$out.partial.$$" "$out"
