#!/bin/bash
# Builds a bootable Debian disk that looks lived-in: see vm-fixtures/README.md.
#
#     build.sh SUITE OUT.raw [STACK]    SUITE: bullseye, bookworm, trixie
#     build.sh SUITE OUT.raw --layout LAYOUT
#
# With STACK, a directory of ../stacks, the guest is one whose network is brought
# up by that stack instead; with LAYOUT, a script of ../layouts, one whose disk is
# laid out in that way.
#
# Runs as root, on two levels of cache below ${BYOI_CACHE:-target/vm-fixtures}:
# the bootstrapped SUITE and the finished disk, each named by a hash over the
# files that it was made from. OUT.raw is a sparse copy (a reflink where the
# file system has them).
set -euo pipefail

usage() {
    echo "usage: build.sh SUITE OUT.raw [STACK | --layout LAYOUT]" >&2
    exit 2
}

here=$(dirname "$(realpath "$0")")
recipes=$(dirname "$here")
stack=''
layout=''
case $#:${3:-} in
    2:) ;;
    4:--layout) layout=$4 ;;
    3:-*) usage ;;
    3:*) stack=$3 ;;
    *) usage ;;
esac
suite=$1
out=$2
if ((EUID != 0)); then
    echo "build.sh: needs root, to mount the new disk's file system" >&2
    exit 3
fi
# Relative to the recipes, so that the cache does not depend on where they are:
# what is bootstrapped, and what the disk is made from and by.
list=debian/packages
life=debian/lived-in.sh
name=debian-$suite
if [[ -n $stack ]]; then
    list=stacks/packages
    [[ ! -e $recipes/stacks/$stack/packages ]] || list=stacks/$stack/packages
    life=stacks/plain.sh
    name+=-stacks
elif [[ -n $layout ]]; then
    list=layouts/packages
    [[ ! -e $recipes/layouts/$layout.packages ]] || list=layouts/$layout.packages
    name+=-layouts
fi
cache=${BYOI_CACHE:-$here/../../target/vm-fixtures}
mkdir -p "$cache"
cache=$(realpath "$cache")

# A hash over the names and contents of recipes, and a word. This script is left
# out: it decides when to make things, not what is in them.
key() { # WORD FILE...
    local word=$1
    shift
    (cd "$recipes" && { echo "$word" && find "$@" -type f ! -name build.sh -print0 | sort -z | xargs -0 sha256sum; }) \
        | sha256sum | cut -c1-16
}
bootstrap_key=$(key "$suite" debian/bootstrap.sh "$list")
tarball=$cache/$name-bootstrap-$bootstrap_key.tar.zst
if [[ -n $layout ]]; then
    disk=$cache/$name-$layout-$(key "$suite" debian/bootstrap.sh debian/lived-in.env layouts).raw
    recipe=("$recipes/layouts/disk.sh" "$tarball" "$layout")
else
    disk=$cache/$name-$(key "$suite" debian "$list" "$life").raw
    recipe=("$here/disk.sh" "$tarball" "$recipes/$life")
fi

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
        work=$(mktemp -d "$cache/.work-$name.XXXXXX")
        chmod 0755 "$work" # apt downloads as a user of its own
        sandbox "$@"
        mv "$work/made" "$file"
        rm -rf --one-file-system "$work"
        work=''
    fi
}

if [[ ! -e $disk ]]; then
    # One build of a suite at a time. What lies around then is of a killed one.
    exec 9>"$cache/$name.lock"
    flock 9
    rm -rf --one-file-system "$cache/.work-$name".*
    make "$tarball" "$here/bootstrap.sh" "$suite" "$recipes/$list"
    make "$disk" "${recipe[@]}"
    exec 9>&-
fi
cp --reflink=auto --sparse=always "$disk" "$out.partial.$$"
if [[ -n $stack ]]; then
    unshare --mount --propagation private "$recipes/stacks/bring-up.sh" "$out.partial.$$" "$stack"
fi
mv "$out.partial.$$" "$out"
