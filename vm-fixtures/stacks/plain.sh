#!/bin/bash
# Makes a freshly bootstrapped Debian at ROOT a server that answers: a root file
# system found by its UUID, a console, a password for root. No network stack is
# enabled; bring-up.sh does that, one stack a disk.
#
#     plain.sh ROOT
set -euo pipefail

root=${1:?usage: plain.sh ROOT}

in_guest() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
}

echo web01 >"$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n127.0.1.1\tweb01\n' >"$root/etc/hosts"
echo "UUID=${ROOT_UUID:?from disk.sh} / ext4 errors=remount-ro 0 1" >"$root/etc/fstab"
cat >"$root/etc/default/grub" <<'EOF'
GRUB_DEFAULT=0
GRUB_TIMEOUT=1
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"
EOF
in_guest chpasswd <<<root:byoi
for unit in NetworkManager NetworkManager-wait-online NetworkManager-dispatcher \
    systemd-networkd systemd-networkd-wait-online cloud-init-local cloud-init cloud-config cloud-final; do
    in_guest systemctl disable "$unit.service" 2>/dev/null || true
done
mkdir -p "$root/etc/cloud"
touch "$root/etc/cloud/cloud-init.disabled"
