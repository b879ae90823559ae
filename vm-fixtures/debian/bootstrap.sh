#!/bin/bash
# Bootstraps a plain Debian SUITE into OUT.tar.zst: nothing of a machine's life
# in it yet, and no initramfs (the disk recipe builds it once, when the files
# that belong into it are there).
#
#     bootstrap.sh SUITE PACKAGES OUT.tar.zst
#
# Runs as root. Packages are unpacked below TMPDIR: a tmpfs makes that fast.
set -euo pipefail

usage='usage: bootstrap.sh SUITE PACKAGES OUT.tar.zst'
suite=${1:?$usage}
list=${2:?$usage}
out=${3:?$usage}

# The mirror this machine itself uses for Debian; on a machine of another
# distribution none is found and mmdebstrap takes its own default.
mirror() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(ORIGIN) $(CREATED_BY) $(REPO_URI)' \
        | awk '$1 == "Debian" && $2 == "Packages" && $3 !~ /security/ { print $3; exit }'
}

# How this machine reaches its mirrors is also how the bootstrap must.
apt_options() {
    apt-config dump | grep -E '^Acquire::(https?::Proxy|Check-(Valid-Until|Date)) ' || true
    echo 'Acquire::Languages "none";'
    echo 'APT::Install-Recommends "false";'
}

# What no test looks at, but every build would unpack and every image carry.
# This is dpkg's own configuration and set only after the essential packages are
# in: as --dpkgopt it would make mmdebstrap filter those through a slow script.
slim=$(mktemp)
trap 'rm -f "$slim"' EXIT
cat >"$slim" <<'EOF'
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=*/lib/modules/*/kernel/sound/*
path-exclude=*/lib/modules/*/kernel/drivers/gpu/*
path-exclude=*/lib/modules/*/kernel/drivers/media/*
path-exclude=*/lib/modules/*/kernel/drivers/net/wireless/*
EOF

# Our settings for apt and dpkg are no part of the guest.
# shellcheck disable=SC2016
options=(
    --mode=root --variant=minbase --architectures=amd64 --components=main
    --dpkgopt=force-unsafe-io
    "--essential-hook=cp '$slim' \"\$1/etc/dpkg/dpkg.cfg.d/slim\""
    '--customize-hook=rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$1"/etc/dpkg/dpkg.cfg.d/slim'
    '--customize-hook=rm -rf "$1"/usr/share/man/* "$1"/usr/share/info/* "$1"/usr/share/locale/*'
)
while read -r option; do
    options+=("--aptopt=$option")
done < <(apt_options)
packages=$(grep -v '^#' "$list" | paste -sd,)

# initramfs-tools' kernel hook makes no initramfs when told that none is wanted.
export INITRD=No
mapfile -t mirrors < <(mirror)
mmdebstrap "${options[@]}" --include="$packages" "$suite" - "${mirrors[@]}" \
    | zstd -q -T0 -1 -o "$out"
