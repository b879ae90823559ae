#!/bin/bash
# Puts a bootstrapped Debian onto a disk of LAYOUT, broken as a machine is that
# leaves VMware: life.sh says how.
#
#     disk.sh BOOTSTRAP.tar.zst LAYOUT OUT.raw
#
# LAYOUT.sh is sourced. It says which packages the guest keeps ($keeps) and which
# modules its initramfs names ($modules), and defines
#
#     table         prints the partition table, as sfdisk reads it
#     file_systems  makes and mounts the file systems, prints nothing
#     fstab         prints the guest's /etc/fstab
#     boot_loader   installs GRUB where the firmware looks for it
#
# Runs as root in mount and process namespaces of its own (../debian/build.sh
# makes them): mounts are left to end with them, and loop devices end with their
# mount and this script. Neither device nodes for partitions nor a device mapper
# are needed.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
usage='usage: disk.sh BOOTSTRAP.tar.zst LAYOUT OUT.raw'
tarball=${1:?$usage}
layout=${2:?$usage}
disk=${3:?$usage}
# shellcheck source=vm-fixtures/debian/lived-in.env
source "$here/../debian/lived-in.env"
# For the layouts.
export BOOT_UUID=2b8f0c64-7e1d-4f39-b5a2-94d0c3e8f716
export SWAP_UUID=90d4e7b1-3c58-4a06-8f2e-d17b6a95c043

root=$(mktemp -d -p "$(dirname "$disk")")
declare -A devices # by the names that they have in the guest, without /dev/
keeps=()
modules=()
answers=() # for grub-probe

# VALUE as BYTES bytes, little-endian, written at OFFSET of the disk.
poke() { # OFFSET BYTES VALUE
    local i escaped=''
    for ((i = 0; i < $2; i++)); do
        escaped+=$(printf '\\x%02x' $((($3 >> (8 * i)) & 255)))
    done
    printf '%b' "$escaped" | dd of="$disk" bs=1 seek="$1" conv=notrunc status=none
}

# Where a partition is: its first sector and how many there are.
extent() { # NUMBER
    sfdisk --dump "$disk" | sed -n "s|^$disk$1 : start= *\([0-9]*\), size= *\([0-9]*\).*|\1 \2|p"
}

# Gives sectors of the disk the device NAME. It is detached at once, which the
# kernel does when nobody has it open any more: at the latest, when this ends.
attach() { # NAME FIRST SECTORS
    local device descriptor 
    device=$(losetup --show --find --offset $(($2 * 512)) --sizelimit $(($3 * 512)) "$disk")
    # shellcheck disable=SC2034 # it is to stay open
    exec {descriptor}<"$device"
    losetup --detach "$device"
    devices[$1]=$device
}

partitions() { # NUMBER...
    local number first sectors
    for number; do
        read -r first sectors < <(extent "$number")
        attach "sda$number" "$first" "$sectors"
    done
}

# The features are spelt out: what GRUB 2.06 and Linux 5.10 read, whatever this
# machine's tools have as their own defaults.
ext4() { # NAME UUID
    mke2fs -q -F -t ext4 -U "$2" \
        -O none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum \
        -E "hash_seed=$2,lazy_itable_init=0,lazy_journal_init=0" "${devices[$1]}"
}

xfs() { # NAME UUID
    local inodes=()
    # Old versions know neither the feature nor how to leave it out.
    if mkfs.xfs -N -i nrext64=0 "${devices[$1]}" >/dev/null 2>&1; then
        inodes=(-i nrext64=0)
    fi
    mkfs.xfs -q -m "uuid=$2,crc=1,finobt=1,reflink=1,rmapbt=0,bigtime=0,inobtcount=0" "${inodes[@]}" "${devices[$1]}"
}

swap() { # NAME
    mkswap --uuid "$SWAP_UUID" "${devices[$1]}" >/dev/null
}

mount_at() { # NAME PATH [OPTIONS]
    mkdir -p "$root$2"
    mount -o "${3:-rw}" "${devices[$1]}" "$root$2"
}

# What grub-probe is to say of the volume that is / or /boot.
probed() { # root|boot NAME FS UUID PARTMAP HINT [ABSTRACTION]
    answers+=("$1_device=/dev/$2" "$1_fs=$3" "$1_fs_uuid=$4" "$1_partmap=$5"
        "$1_compatibility_hint=$6" "$1_hints_string=--hint='$6' " "$1_abstraction=${7:-}")
}

in_guest() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
}

unpack() {
    tar --extract --zstd --numeric-owner --xattrs --xattrs-include='*' \
        --file "$tarball" --directory "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys"
    mount -t tmpfs tmpfs "$root/run"
    mkdir "$root/run/lock"
    mount -t tmpfs tmpfs "$root/dev"
    local name numbers
    for name in null zero full random urandom tty; do
        cp -a "/dev/$name" "$root/dev"
    done
    ln -s /proc/self/fd "$root/dev/fd"
    for name in "${!devices[@]}"; do
        read -ra numbers < <(stat -c '0x%t 0x%T' "${devices[$name]}")
        mkdir -p "$(dirname "$root/dev/$name")"
        mknod "$root/dev/$name" b "${numbers[@]}"
    done
}

# The suite is bootstrapped once for all layouts; a guest of btrfs has no LVM.
remove_packages() {
    local package unused=()
    for package in btrfs-progs dosfstools grub-efi-amd64-bin grub-pc-bin lvm2 xfsprogs; do
        if [[ " ${keeps[*]} " != *" $package "* && -e $root/var/lib/dpkg/info/$package.list ]]; then
            unused+=("$package")
        fi
    done
    if ((${#unused[@]} > 0)); then
        in_guest DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 purge --auto-remove "${unused[@]}" >/dev/null
    fi
}

# GRUB's own files, as grub-install copies them.
grub_files() { # PLATFORM
    local grub=$root/boot/grub platform=$root/usr/lib/grub/$1
    mkdir -p "$grub/$1" "$grub/fonts"
    cp "$platform"/*.mod "$platform"/*.lst "$grub/$1"
    cp "$root/usr/share/grub/unicode.pf2" "$grub/fonts"
    in_guest grub-editenv /boot/grub/grubenv create
}

# GRUB for BIOS: boot.img in the first sector, the core image from sector FIRST,
# of SECTORS that are free.
grub_bios() { # FIRST SECTORS PREFIX MODULE...
    local first=$1 sectors=$2 prefix=$3 platform=$root/boot/grub/i386-pc
    shift 3
    grub_files i386-pc
    cp "$root/usr/lib/grub/i386-pc/boot.img" "$platform"
    in_guest grub-mkimage -O i386-pc -d /usr/lib/grub/i386-pc -p "$prefix" \
        -o /boot/grub/i386-pc/core.img biosdisk "$@"
    if (($(stat -c %s "$platform/core.img") > sectors * 512)); then
        echo "disk.sh: core.img does not fit" >&2
        exit 1
    fi
    dd if="$platform/boot.img" of="$disk" bs=440 count=1 conv=notrunc status=none
    dd if="$platform/core.img" of="$disk" bs=512 seek="$first" conv=notrunc status=none
    poke 92 8 "$first"
    poke 102 2 $((0x9090)) # as grub-install: believe in the first hard disk
    # The core image's first sector loads the rest of it.
    poke $((first * 512 + 500)) 8 $((first + 1))
}

grub_cfg() {
    mount --bind "$here/grub-probe" "$root/usr/sbin/grub-probe"
    in_guest "${answers[@]}" grub-mkconfig -o /boot/grub/grub.cfg
    umount "$root/usr/sbin/grub-probe"
}

close() {
    local name device
    umount --recursive "$root"
    rmdir "$root"
    for name in "${!devices[@]}"; do
        device=${devices[$name]}
        case $(blkid -p -s TYPE -o value "$device") in
            ext4) e2fsck -fn "$device" ;;
            xfs) xfs_repair -n "$device" 2>/dev/null ;;
            btrfs) btrfs check --readonly "$device" >/dev/null ;;
        esac
    done
}

# shellcheck source=/dev/null
source "$here/$layout.sh"
# shellcheck source=vm-fixtures/layouts/life.sh
source "$here/life.sh"
truncate -s 2G "$disk"
table | sfdisk --quiet --no-reread --no-tell-kernel "$disk"
file_systems
unpack
remove_packages
life
boot_loader
grub_cfg
close
