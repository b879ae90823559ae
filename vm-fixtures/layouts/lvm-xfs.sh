# shellcheck shell=bash disable=SC2034,SC2154
# As Oracle Linux installs itself: /boot on a partition with ext4, and a volume
# group with / on XFS and swap.

modules=(dm-mod xfs ext4)
keeps=(grub-pc-bin lvm2 xfsprogs)
PV_UUID=Jr7zFk-2Lq0-x9dE-Gm4T-bW1c-Vh8S-uA3nYp
VG_UUID=c0QmZ5-tR8k-4vWJ-hX2d-Ls7B-yN1f-EoP6gU
ROOT_LV_UUID=Hk3vT9-Wd6m-1rXQ-aZ8j-Fb2N-pC5y-Lg7sEo
SWAP_LV_UUID=m8XeK1-Uq4z-7tPB-nJ3w-Rd6H-vG0c-Ys9fLa

table() {
    cat <<END
label: dos
label-id: 0x$DISK_SIGNATURE
sda1 : start=2048, size=256MiB, type=83, bootable
sda2 : type=8e
END
}

# A tool of LVM that sees nothing of this machine but the physical volume. It has
# much to say about the device mapper that it misses: that is shown if it fails.
lvm_tool() { # TOOL ARGUMENT...
    local tool=$1 said
    shift
    said=$(LVM_SUPPRESS_FD_WARNINGS=1 "$tool" --devices "${devices[sda2]}" --driverloaded n --config \
        'global { activation = 0 locking_type = 1 } backup { backup = 0 archive = 0 }' "$@" 2>&1) \
        || { echo "$said" >&2 && return 1; }
}

# One-segment volumes on extents of 4 MiB; the metadata is ours for the sake of
# the UUIDs.
volume_group() {
    local metadata=$root/metadata first sectors
    read -r first sectors < <(extent 2)
    local extents=$(((sectors - 2048) / 8192)) swap=32
    logical_volume() { # NAME UUID FIRST EXTENTS
        cat <<END
        $1 {
            id = "$2"
            status = ["READ", "WRITE", "VISIBLE"]
            segment_count = 1
            segment1 {
                start_extent = 0
                extent_count = $4
                type = "striped"
                stripe_count = 1
                stripes = ["pv0", $3]
            }
        }
END
        attach "mapper/vg-$1" $((first + 2048 + $3 * 8192)) $(($4 * 8192))
    }
    {
        cat <<END
contents = "Text Format Volume Group"
version = 1
vg {
    id = "$VG_UUID"
    seqno = 1
    format = "lvm2"
    status = ["RESIZEABLE", "READ", "WRITE"]
    extent_size = 8192
    max_lv = 0
    max_pv = 0
    metadata_copies = 0
    physical_volumes {
        pv0 {
            id = "$PV_UUID"
            status = ["ALLOCATABLE"]
            dev_size = $sectors
            pe_start = 2048
            pe_count = $extents
        }
    }
    logical_volumes {
END
        logical_volume swap "$SWAP_LV_UUID" 0 "$swap"
        logical_volume root "$ROOT_LV_UUID" "$swap" $((extents - swap))
        echo '}}'
    } >"$metadata"
    lvm_tool pvcreate --yes --uuid "$PV_UUID" --restorefile "$metadata" "${devices[sda2]}"
    lvm_tool vgcfgrestore --file "$metadata" vg
    rm "$metadata"
}

file_systems() {
    partitions 1 2
    volume_group
    ext4 sda1 "$BOOT_UUID"
    xfs mapper/vg-root "$ROOT_UUID"
    swap mapper/vg-swap
    # A clone may be mounted beside it.
    mount_at mapper/vg-root / rw,nouuid
    mount_at sda1 /boot
    probed root mapper/vg-root xfs "$ROOT_UUID" msdos "lvmid/$VG_UUID/$ROOT_LV_UUID" lvm
    probed boot sda1 ext2 "$BOOT_UUID" msdos hd0,msdos1
}

fstab() {
    cat <<END
/dev/mapper/vg-root / xfs defaults 0 0
/dev/sda1 /boot ext4 defaults 0 2
/dev/mapper/vg-swap none swap sw 0 0
END
}

boot_loader() {
    # LVM is to look at the old machine's disk only.
    mkdir -p "$root/etc/lvm/devices"
    cat >"$root/etc/lvm/devices/system.devices" <<END
VERSION=1.1.1
IDTYPE=sys_wwid IDNAME=naa.6000c29a5f3c9a1e0b6d4e0f8c2d7a94 DEVNAME=/dev/sda2 PVID=${PV_UUID//-/} PART=2
END
    grub_bios 1 2047 '(,msdos1)/grub' part_msdos ext2
}
