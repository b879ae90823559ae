# shellcheck shell=bash disable=SC2034,SC2154
# A GPT on a machine with BIOS: GRUB's core image in a partition of its own.

modules=(ext4)
keeps=(grub-pc-bin)

table() {
    cat <<END
label: gpt
label-id: 3D1C5A70-96B4-4E0F-8C2D-5F3C9A1E0B6D
sda1 : start=2048, size=1MiB, type=21686148-6449-6E6F-744E-656564454649, uuid=C75A2E18-0D4B-4F63-9A81-3E6B7F20D5C1
sda2 : type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=E80B6D3F-51A2-4C97-B7D0-2A49F6C81E35
END
}

file_systems() {
    partitions 2
    ext4 sda2 "$ROOT_UUID"
    mount_at sda2 /
    probed root sda2 ext2 "$ROOT_UUID" gpt hd0,gpt2
}

fstab() {
    echo "/dev/sda2 / ext4 errors=remount-ro 0 1"
}

boot_loader() {
    local first sectors
    read -r first sectors < <(extent 1)
    grub_bios "$first" "$sectors" '(,gpt2)/boot/grub' part_gpt ext2
}
