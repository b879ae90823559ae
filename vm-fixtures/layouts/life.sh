# shellcheck shell=bash disable=SC2154
# The guest's life, sourced by disk.sh: a machine of VMware whose administrators
# knew its hardware. None of this holds at Oracle Cloud:
#
# - /etc/fstab names partitions as the kernel counts them, and a volume that is
#   on no disk of this image;
# - the kernel is told root= in the same way (but for a logical volume, whose
#   name is right everywhere), and nothing of a serial console;
# - the initramfs has the drivers of VMware's devices and no others;
# - the network has a static address on ens192.

# The drivers of VMware's disks and network cards.
VMWARE_MODULES=(mptspi vmw_pvscsi sd_mod ata_piix e1000 vmxnet3)

settings() {
    echo "$OLD_HOSTNAME" >"$root/etc/hostname"
    printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n' "$OLD_HOSTNAME" >"$root/etc/hosts"
    echo "nameserver $OLD_NAMESERVER" >"$root/etc/resolv.conf"
    {
        fstab
        echo "# second virtual disk"
        echo "UUID=$ABSENT_UUID /srv/archive ext4 defaults 0 2"
    } >"$root/etc/fstab"
    mkdir -p "$root/srv/archive"
    cat >"$root/etc/network/interfaces" <<END
auto lo
iface lo inet loopback

auto $OLD_NIC
iface $OLD_NIC inet static
	address $OLD_ADDRESS
	netmask $OLD_NETMASK
	gateway $OLD_GATEWAY
END
    cat >"$root/etc/default/grub" <<'END'
GRUB_DEFAULT=0
GRUB_TIMEOUT=1
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX=""
END
    # Logical volumes go by their own names anyway.
    if [[ ! -e $root/dev/mapper ]]; then
        echo GRUB_DISABLE_LINUX_UUID=true >>"$root/etc/default/grub"
    fi
    in_guest chpasswd <<<"root:$ROOT_PASSWORD"
}

initramfs() {
    local drivers=("${VMWARE_MODULES[@]}" "${modules[@]}") kernel
    if [[ -x $root/usr/bin/dracut ]]; then
        kernel=$(ls "$root/lib/modules")
        # Nothing of the machine that builds: it is another one.
        mount -t tmpfs tmpfs "$root/sys"
        printf 'hostonly="yes"\nadd_dracutmodules+=" lvm "\nfilesystems+=" xfs "\ndrivers=" %s "\n' \
            "${drivers[*]}" >"$root/etc/dracut.conf.d/vmware.conf"
        in_guest dracut --force --tmpdir /run "/boot/initrd.img-$kernel" "$kernel"
        umount "$root/sys"
        return
    fi
    sed -i 's/^MODULES=.*/MODULES=list/' "$root/etc/initramfs-tools/initramfs.conf"
    printf '%s\n' "${drivers[@]}" >>"$root/etc/initramfs-tools/modules"
    in_guest TMPDIR=/run update-initramfs -c -k all
}

life() {
    settings
    initramfs
}
