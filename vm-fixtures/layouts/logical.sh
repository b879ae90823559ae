# shellcheck shell=bash disable=SC2034,SC2154
# A small /boot on a primary partition; / and swap on logical ones.

modules=(ext4)
keeps=(grub-pc-bin)

table() {
    cat <<END
label: dos
label-id: 0x$DISK_SIGNATURE
sda1 : start=2048, size=256MiB, type=83, bootable
sda2 : type=5
sda5 : size=1600MiB, type=83
sda6 : type=82
END
}

file_systems() {
    partitions 1 5 6
    ext4 sda1 "$BOOT_UUID"
    ext4 sda5 "$ROOT_UUID"
    swap sda6
    mount_at sda5 /
    mount_at sda1 /boot
    probed root sda5 ext2 "$ROOT_UUID" msdos hd0,msdos5
    probed boot sda1 ext2 "$BOOT_UUID" msdos hd0,msdos1
}

fstab() {
    cat <<END
/dev/sda5 / ext4 errors=remount-ro 0 1
/dev/sda1 /boot ext4 defaults 0 2
/dev/sda6 none swap sw 0 0
END
}

boot_loader() {
    grub_bios 1 2047 '(,msdos1)/grub' part_msdos ext2
}
