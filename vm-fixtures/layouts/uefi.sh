# shellcheck shell=bash disable=SC2034,SC2154
# UEFI: an EFI system partition whose boot loader is found by the entry that the
# installer left in the old machine's NVRAM, and by nothing else.

modules=(ext4)
keeps=(dosfstools grub-efi-amd64-bin)
ESP_UUID=5E1F-09AC
esp='' # the partition, for mtools: this kernel may not know FAT

table() {
    cat <<END
label: gpt
label-id: 7A94E2C6-1B0D-4835-AF57-5F3C9A1E62D8
sda1 : start=2048, size=128MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=49B0D7E2-8C63-4A1F-95E4-6D02F7A3B81C
sda2 : type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=1F7C93A5-E204-4B6D-8D39-C05E8A4B76F2
END
}

file_systems() {
    local first
    partitions 1 2
    read -r first _ < <(extent 1)
    esp=$disk@@$((first * 512))
    mformat -i "$esp" -F -T $((128 * 2048)) -N "${ESP_UUID/-/}" -v '' ::
    ext4 sda2 "$ROOT_UUID"
    mount_at sda2 /
    mkdir -p "$root/boot/efi"
    probed root sda2 ext2 "$ROOT_UUID" gpt hd0,gpt2
}

fstab() {
    cat <<END
/dev/sda2 / ext4 errors=remount-ro 0 1
/dev/sda1 /boot/efi vfat umask=0077 0 1
END
}

# As grub-install with --no-uefi-secure-boot, less the NVRAM.
boot_loader() {
    grub_files x86_64-efi
    cat >"$root/boot/grub/x86_64-efi/load.cfg" <<END
search.fs_uuid $ROOT_UUID root hd0,gpt2
set prefix=(\$root)'/boot/grub'
END
    in_guest grub-mkimage -O x86_64-efi -d /usr/lib/grub/x86_64-efi \
        -c /boot/grub/x86_64-efi/load.cfg -p '' -o /boot/grub/x86_64-efi/core.efi \
        part_gpt ext2 search_fs_uuid
    mmd -i "$esp" ::/EFI ::/EFI/debian
    mcopy -i "$esp" "$root/boot/grub/x86_64-efi/core.efi" ::/EFI/debian/grubx64.efi
}
