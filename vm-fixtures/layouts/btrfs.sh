# shellcheck shell=bash disable=SC2034,SC2154
# One partition with btrfs: / is the subvolume @, /home is @home, and who names
# no subvolume gets the one that holds both.

modules=(btrfs)
keeps=(btrfs-progs grub-pc-bin)
BTRFS_UUID=6a1fd2c8-07b5-4e93-a4d7-3b9e5c802f61 # mkfs.btrfs wants one that no other device has

table() {
    cat <<END
label: dos
label-id: 0x$DISK_SIGNATURE
sda1 : start=2048, type=83, bootable
END
}

file_systems() {
    partitions 1
    mkfs.btrfs --quiet --uuid "$BTRFS_UUID" "${devices[sda1]}"
    mount_at sda1 /
    btrfs --quiet subvolume create "$root/@"
    btrfs --quiet subvolume create "$root/@home"
    umount "$root"
    mount_at sda1 / subvol=@
    mount_at sda1 /home subvol=@home
    probed root sda1 btrfs "$BTRFS_UUID" msdos hd0,msdos1
}

fstab() {
    cat <<END
/dev/sda1 / btrfs defaults,subvol=@ 0 0
/dev/sda1 /home btrfs defaults,subvol=@home 0 0
END
}

boot_loader() {
    grub_bios 1 2047 '(,msdos1)/@/boot/grub' part_msdos btrfs
}
