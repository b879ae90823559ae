#!/bin/bash
# Puts a bootstrapped Debian onto a bootable disk and lets it live a little:
# DOS partition table, one active ext4 partition, GRUB for BIOS. LIFE is a script
# that is given the mounted root.
#
#     disk.sh BOOTSTRAP.tar.zst LIFE OUT.raw
#
# Runs as root in mount and process namespaces of its own (build.sh makes them):
# mounts are left to end with them, and the loop device ends with its mount. It
# needs no device nodes for partitions, so kernels without partition support do.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
usage='usage: disk.sh BOOTSTRAP.tar.zst LIFE OUT.raw'
tarball=${1:?$usage}
life=${2:?$usage}
disk=${3:?$usage}
# shellcheck source=vm-fixtures/debian/lived-in.env
source "$here/lived-in.env"
export ROOT_UUID DISK_SIGNATURE

sectors=$((4 * 1024 * 1024)) # 2 GiB
first=2048                   # where the partition starts: 1 MiB
root=$(mktemp -d -p "$(dirname "$disk")")

# VALUE as BYTES bytes, little-endian, written at OFFSET of the disk.
poke() { # OFFSET BYTES VALUE
    local i escaped=''
    for ((i = 0; i < $2; i++)); do
        escaped+=$(printf '\\x%02x' $((($3 >> (8 * i)) & 255)))
    done
    printf '%b' "$escaped" | dd of="$disk" bs=1 seek="$1" conv=notrunc status=none
}

partition_table() {
    truncate -s $((sectors * 512)) "$disk"
    poke 440 4 $((16#$DISK_SIGNATURE))
    # Active, type Linux; first and last sector once as CHS, once as LBA.
    poke 446 4 $((0x00212080))
    poke 450 4 $((0xfffffe83))
    poke 454 4 "$first"
    poke 458 4 $((sectors - first))
    poke 510 2 $((0xaa55))
}

# The features are spelt out: what GRUB 2.06 reads, whatever this machine's
# mke2fs has as its own default.
file_system() {
    mke2fs -q -F -t ext4 -U "$ROOT_UUID" -L '' \
        -O none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum \
        -E "offset=$((first * 512)),hash_seed=$ROOT_UUID,lazy_itable_init=0,lazy_journal_init=0" \
        "$disk" "$(((sectors - first) / 2))k"
}

mount_root() {
    mount -t ext4 -o "loop,offset=$((first * 512)),nodiscard" "$disk" "$root"
    tar --extract --zstd --numeric-owner --xattrs --xattrs-include='*' \
        --file "$tarball" --directory "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys"
    mount -t tmpfs tmpfs "$root/run"
    mkdir "$root/run/lock"
    mount -t tmpfs tmpfs "$root/dev"
    devices
}

# The guest's /dev: the loop device begins where the partition does, so under
# the partition's name it shows the guest what it will see when it runs.
devices() {
    local name numbers
    for name in null zero full random urandom tty; do
        cp -a "/dev/$name" "$root/dev"
    done
    ln -s /proc/self/fd "$root/dev/fd"
    read -ra numbers < <(stat -c '0x%t 0x%T' "$(findmnt -no SOURCE "$root")")
    mknod "$root/dev/sda1" b "${numbers[@]}"
}

in_guest() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
        ROOT_UUID="$ROOT_UUID" DISK_SIGNATURE="$DISK_SIGNATURE" "$@"
}

# Copies of what the tool's hooks find in /etc go in, as in real life.
initramfs() {
    if [[ -x $root/usr/bin/dracut ]]; then
        local kernel
        kernel=$(ls "$root/lib/modules")
        in_guest dracut --force --no-hostonly "/boot/initrd.img-$kernel" "$kernel"
        return
    fi
    sed -i 's/^MODULES=.*/MODULES=most/' \
        "$root/etc/initramfs-tools/initramfs.conf"
    # On /run, which is a tmpfs: faster, and no copies of it in free space.
    in_guest TMPDIR=/run update-initramfs -c -k all
}

# What grub-install does, less its search for the partition's device.
boot_loader() {
    local grub=$root/boot/grub modules=/usr/lib/grub/i386-pc
    mkdir -p "$grub/i386-pc" "$grub/fonts"
    cp "$root$modules"/*.mod "$root$modules"/*.lst "$root$modules/boot.img" "$grub/i386-pc"
    cp "$root/usr/share/grub/unicode.pf2" "$grub/fonts"
    in_guest grub-editenv /boot/grub/grubenv create
    in_guest grub-mkimage -O i386-pc -d "$modules" -p '(,msdos1)/boot/grub' \
        -o /boot/grub/i386-pc/core.img biosdisk part_msdos ext2
    local core=$grub/i386-pc/core.img
    if (($(stat -c %s "$core") > (first - 1) * 512)); then
        echo "disk.sh: core.img does not fit in front of the partition" >&2
        exit 1
    fi
    dd if="$grub/i386-pc/boot.img" of="$disk" bs=440 count=1 conv=notrunc status=none
    poke 102 2 $((0x9090)) # as grub-install: believe in the first hard disk
    dd if="$core" of="$disk" bs=512 seek=1 conv=notrunc status=none

    mount --bind "$here/grub-probe" "$root/usr/sbin/grub-probe"
    in_guest grub-mkconfig -o /boot/grub/grub.cfg
    umount "$root/usr/sbin/grub-probe"
}

# Old contents in free space: files that were there once and were deleted.
remains() {
    local dir=$root/var/backups/network
    mkdir -p "$dir"
    for ((i = 0; i < 64; i++)); do
        cat "$root/etc/network/interfaces" "$root/etc/iscsi/iscsid.conf" \
            "$root/var/lib/dhcp/dhclient.$OLD_NIC.leases" >"$dir/$i"
    done
    sync -f "$dir"
    rm -r "$dir"
}

close() {
    umount "$root/run" "$root/dev" "$root/sys" "$root/proc"
    umount "$root"
    rmdir "$root"
    e2fsck -fn "$disk?offset=$((first * 512))"
}

partition_table
file_system
mount_root
"$life" "$root"
initramfs
boot_loader
if [[ -e $root/var/lib/dhcp/dhclient.$OLD_NIC.leases ]]; then
    remains
fi
close
