#!/usr/bin/env bash
# Fuzzes the parsers of untrusted bytes, each for a while; a finding ends it.
#
#     scripts/fuzz.sh [SECONDS [TARGET ...]]      600 seconds, and all targets, unless told
#
# Needs cargo-fuzz, any toolchain, qemu-utils, mtools and the programs that make file systems. The
# corpus is made from real disks, images and configurations, and grows in fuzz/corpus; what is found
# goes to fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
shift || true
targets=("$@")
if ((${#targets[@]} == 0)); then
    targets=(disk repair volume_group image initramfs loader_config guest_config guest deflate)
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
corpus=fuzz/corpus
mkdir -p "$corpus"/{disk,repair,volume_group,image,initramfs,loader_config,guest_config,guest,deflate}

# A disk of 96 KiB with this table of partitions, and this at sector 40, where the first one is.
seed_disk() {
    local name=$1 content=$2 table=$3
    local disk=$corpus/disk/$name
    rm -f "$disk"
    truncate -s 96K "$disk"
    sfdisk --quiet --no-tell-kernel "$disk" <<< "$table"
    dd if="$content" of="$disk" bs=512 seek=40 count=100 conv=notrunc status=none
}

truncate -s 16M "$work/ext4" "$work/swap"
truncate -s 320M "$work/xfs"
truncate -s 50K "$work/esp"
chmod 600 "$work/swap"
mkfs.ext4 -q -L root "$work/ext4"
mkfs.xfs -q "$work/xfs"
mkswap "$work/swap" > "$work/log" 2>&1
mkfs.vfat "$work/esp" > "$work/log"
head -c 512 /dev/zero > "$work/efi"
printf 'MZ' | dd of="$work/efi" conv=notrunc status=none
printf '\200' | dd of="$work/efi" bs=1 seek=60 conv=notrunc status=none
printf 'PE\0\0\144\206' | dd of="$work/efi" bs=1 seek=128 conv=notrunc status=none
printf '\013\002' | dd of="$work/efi" bs=1 seek=152 conv=notrunc status=none
printf '\012' | dd of="$work/efi" bs=1 seek=220 conv=notrunc status=none
mmd -i "$work/esp" ::EFI ::EFI/BOOT ::EFI/debian
mcopy -i "$work/esp" "$work/efi" ::EFI/debian/shimx64.efi
cp "$work/esp" "$work/vendor"
mcopy -i "$work/esp" "$work/efi" ::EFI/BOOT/BOOTX64.EFI

dos=$'label: dos\nstart=40,size=100,type=83,bootable\nstart=140,type=5\nstart=144,size=8\nstart=154,size=8'
gpt=$'label: gpt\nfirst-lba: 34\nstart=40,size=100,type=U\nstart=140,size=10,type=21686148-6449-6E6F-744E-656564454649'
for content in ext4 xfs swap esp vendor; do
    seed_disk "dos-$content" "$work/$content" "$dos"
    seed_disk "gpt-$content" "$work/$content" "$gpt"
done
seed_disk dos-efi "$work/vendor" "${dos/type=83/type=ef}"
cp "$corpus"/disk/{dos,gpt}-* "$corpus/repair"
cp "$work/esp" "$corpus/disk/esp"

# GRUB 2 before the first partition, where it fits.
grub=/usr/lib/grub/i386-pc
if [[ -d $grub ]]; then
    grub-mkimage -O i386-pc -p '(,msdos1)/boot/grub' -o "$work/core" biosdisk part_msdos
    core=$corpus/disk/grub
    rm -f "$core"
    truncate -s 96K "$core"
    sfdisk --quiet --no-tell-kernel "$core" <<< $'label: dos\nstart=160,size=30,bootable'
    dd if="$grub/boot.img" of="$core" bs=440 count=1 conv=notrunc status=none
    dd if="$work/core" of="$core" bs=512 seek=1 conv=notrunc status=none
    # The block list, as the installer writes it: from sector 2, all but the first sector.
    sectors=$((($(stat -c %s "$work/core") + 511) / 512 - 1))
    printf '%b' "\\x02\\0\\0\\0\\0\\0\\0\\0\\x$(printf %x $((sectors % 256)))\\0\\x20\\x08" |
        dd of="$core" bs=1 seek=$((512 + 500)) conv=notrunc status=none
fi

head -c 64K README.md > "$corpus/deflate/text"
head -c 64K /bin/sh > "$corpus/deflate/program"

cat > "$corpus/volume_group/seed" << 'EOF'
vg {
id = "gggggg-gggg-gggg-gggg-gggg-gggg-gggggg"
seqno = 3
status = ["RESIZEABLE", "READ", "WRITE"]
extent_size = 8
physical_volumes {
pv0 {
id = "aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa"
pe_start = 136
pe_count = 16
}
}
logical_volumes {
root {
id = "bbbbbb-bbbb-bbbb-bbbb-bbbb-bbbb-bbbbbb"
status = ["READ", "VISIBLE"]
segment_count = 2
segment1 {
start_extent = 0
extent_count = 2
type = "striped"
stripe_count = 1
stripes = ["pv0", 0]
}
segment2 {
start_extent = 2
extent_count = 4
type = "striped"
stripe_count = 2
stripe_size = 8
stripes = ["pv0", 4, "pv0", 8]
}
}
thin {
id = "cccccc-cccc-cccc-cccc-cccc-cccc-cccccc"
status = ["READ", "VISIBLE"]
segment_count = 1
segment1 {
start_extent = 0
extent_count = 1
type = "thin"
thin_pool = "root"
transaction_id = 0
device_id = 1
}
}
}
}
contents = "Text Format Volume Group"
version = 1
EOF

dd if=/dev/urandom of="$work/raw" bs=4K count=4 status=none
truncate -s 256K "$work/raw"
for format in qcow2 vmdk vdi vpc vhdx; do
    qemu-img convert -q -f raw -O "$format" "$work/raw" "$corpus/image/$format"
done
qemu-img convert -q -f raw -O vmdk -o subformat=streamOptimized "$work/raw" "$corpus/image/stream"
qemu-img convert -q -f raw -O vpc -o subformat=fixed "$work/raw" "$corpus/image/vhd-fixed"
qemu-img convert -q -c -f raw -O qcow2 "$work/raw" "$corpus/image/qcow2-compressed"
tar -C "$corpus/image" -cf "$work/ova" stream
mv "$work/ova" "$corpus/image/ova"
for packer in gzip xz zstd; do
    "$packer" -c "$work/raw" > "$corpus/image/raw-$packer"
done

(cd vm-fixtures && find layouts debian | cpio --quiet -o -H newc) > "$work/cpio"
cp "$work/cpio" "$corpus/initramfs/cpio"
for packer in gzip xz zstd bzip2 lzma; do
    "$packer" -c "$work/cpio" > "$corpus/initramfs/$packer"
    cat "$work/cpio" "$corpus/initramfs/$packer" > "$corpus/initramfs/early-$packer"
done

number=0
while read -r -d '' file; do
    number=$((number + 1))
    case $file in
        *grub.cfg | *menu.lst | *grub.conf | */entries/* | *syslinux* | *grubenv)
            cp "$file" "$corpus/loader_config/$number" ;;
    esac
    cp "$file" "$corpus/guest_config/$number"
done < <(find vm-fixtures/roots -type f -size -16k -print0)
for root in vm-fixtures/roots/*/before; do
    # A path and a content, each ended by a NUL.
    (cd "$root" && find . -type f -size -16k -exec sh -c \
        'for file; do printf "%s\\0" "${file#./}"; cat "$file"; printf "\\0"; done' sh {} +) \
        > "$work/files"
    # There are fewer than 40 rules.
    for rule in {0..39}; do
        printf '%b' "\\x$(printf %02x "$rule")" | cat - "$work/files" \
            > "$corpus/guest/$(basename "$(dirname "$root")")-$rule"
    done
done

# No sanitizer: the code is safe Rust, and checks for overflow are on by themselves.
for target in "${targets[@]}"; do
    cargo fuzz run --sanitizer none "$target" -- \
        -max_total_time="$seconds" -timeout=30 -rss_limit_mb=1024 -print_final_stats=1
done
