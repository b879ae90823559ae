#!/bin/bash
# Installs what building and testing byoi needs on Debian 12 or Ubuntu 22.04 and
# 24.04: apt packages, and Rust through rustup. Does nothing, quickly, where all
# of it is there. Run as root, or as a user who may sudo.
#
#     scripts/setup.sh
set -euo pipefail

min_rust=1.89
backports_source=/etc/apt/sources.list.d/byoi-backports.sources

packages=(
    # building: the C toolchain, bindgen's libclang
    gcc libc6-dev libclang-dev ca-certificates curl git
    # disks, file systems, archives
    e2fsprogs xfsprogs btrfs-progs lvm2 dmsetup fdisk util-linux cpio zstd xz-utils
    # what the tests compare with: other tables, file systems, boot code, packers
    patch parted gdisk dosfstools mtools ntfs-3g exfatprogs cryptsetup-bin mdadm
    syslinux-common grub-legacy bzip2 lz4
    # guests: made by mmdebstrap, made bootable by GRUB, booted by QEMU
    mmdebstrap grub-pc-bin grub-common qemu-system-x86 qemu-utils ovmf openssh-client
    # a network with a storage server beside a guest; a kernel of old
    iproute2 strace
    # readers of network configurations
    netplan.io
    # scripts, the schema of the report
    shellcheck python3-jsonschema
)

say() { echo "setup.sh: $*" >&2; }
die() {
    say "$*"
    exit 1
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=600 install --yes --no-install-recommends "$@"
}

apt_update() {
    as_root apt-get -o DPkg::Lock::Timeout=600 update
}

# The wanted packages that are not installed, one a line. A libclang of any
# version will do for bindgen.
missing() {
    local installed package
    # shellcheck disable=SC2016
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 'libclang-*-dev' 2>/dev/null \
        | sed -n 's/^installed //p' | sed 's/^libclang-[0-9]*-dev$/libclang-dev/') || true
    for package in "${packages[@]}"; do
        grep -qxF "$package" <<<"$installed" || echo "$package"
    done
}

version_of() { # PACKAGE; nothing if it is not installed
    # shellcheck disable=SC2016
    dpkg-query -W -f '${db:Status-Status} ${Version}' "$1" 2>/dev/null | sed -n 's/^installed //p' || true
}

candidate_of() { # PACKAGE
    LC_ALL=C apt-cache policy "$1" | sed -n 's/^ *Candidate: //p'
}

# QEMU's packages must be of one version. Where qemu-utils came from backports,
# the suites that are enabled may offer the system emulator only of a version
# that conflicts with it.
needs_backports() {
    local utils emulator
    utils=$(version_of qemu-utils)
    emulator=$(candidate_of qemu-system-x86)
    [[ $utils == *~bpo* ]] && dpkg --compare-versions "$utils" gt "${emulator:-0}"
}

# Enables CODENAME-backports from where this machine gets CODENAME: the same
# URI, verified with the same key. Prints the suite's name.
enable_backports() {
    local codename suite uri entry key
    # shellcheck disable=SC1091
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    suite=$codename-backports
    # shellcheck disable=SC2016
    if [[ -z $(apt-get indextargets --format '$(CODENAME)' 'Created-By: Packages' "Codename: $suite") ]]; then
        read -r uri entry < <(apt-get indextargets --format '$(REPO_URI) $(SOURCESENTRY)' \
            'Created-By: Packages' "Codename: $codename") \
            || die "no apt source of $codename to derive one of $suite from"
        # Either a stanza's field or an option in brackets, by the file's format.
        key=$(sed -n -e 's/^Signed-By: *//p' -e 's/^deb .*[[ ]signed-by=\([^] ]*\).*/\1/p' "${entry%:*}" | head -n 1)
        say "enabling $suite in $backports_source"
        {
            printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "${uri%/}" "$suite"
            [[ -z $key ]] || printf 'Signed-By: %s\n' "$key"
        } | as_root tee "$backports_source" >/dev/null
        apt_update >&2
    fi
    echo "$suite"
}

system_packages() {
    local wanted suite
    mapfile -t wanted < <(missing)
    if ((${#wanted[@]} == 0)); then
        return
    fi
    command -v apt-get >/dev/null || die "needs apt, to install: ${wanted[*]}"
    say "installing ${wanted[*]}"
    apt_update
    if [[ " ${wanted[*]} " == *' qemu-'* ]] && needs_backports; then
        suite=$(enable_backports)
        apt_install --target-release "$suite" qemu-system-x86 qemu-utils
        mapfile -t wanted < <(missing)
    fi
    if ((${#wanted[@]} > 0)); then
        apt_install "${wanted[@]}"
    fi
}

# ifquery reads the network configuration that byoi writes for ifupdown. Its
# package would take this machine's network over, so only the program is taken.
ifquery_program() {
    if command -v ifquery >/dev/null; then
        return
    fi
    say "installing ifquery without ifupdown"
    local dir
    dir=$(mktemp -d)
    if (cd "$dir" && apt-get -qq download ifupdown && dpkg-deb -x ifupdown_*.deb .); then
        as_root install -m 0755 "$(readlink -e "$dir"/sbin/ifup || readlink -e "$dir"/usr/sbin/ifup)" \
            /usr/local/bin/ifquery
    else
        say "no ifquery to be had: tests that want it will be skipped"
    fi
    rm -r "$dir"
}

rust_is_new_enough() {
    local version
    version=$(cargo --version 2>/dev/null | cut -d' ' -f2) || return 1
    [[ -n $version && $(printf '%s\n' "$min_rust" "$version" | sort -V | head -n 1) == "$min_rust" ]]
}

rust_toolchain() {
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    if rust_is_new_enough; then
        return
    fi
    if command -v rustup >/dev/null; then
        say "updating Rust"
        rustup toolchain install stable --profile minimal --component clippy --component rustfmt
        rustup default stable
    else
        say "installing Rust through rustup"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs \
            | sh -s -- -y --profile minimal --component clippy --component rustfmt \
            || die "no Rust $min_rust and none to be had from https://sh.rustup.rs: install it and run this again"
    fi
    rust_is_new_enough || die "found $(cargo --version), but byoi needs Rust $min_rust or newer"
}

system_packages
ifquery_program
rust_toolchain
