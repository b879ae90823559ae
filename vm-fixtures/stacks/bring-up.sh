#!/bin/bash
# Gives the guest on DISK the network configuration of STACK: its files, and the
# units that are to be enabled. Runs as root in a mount namespace of its own.
#
#     bring-up.sh DISK STACK
set -euo pipefail

here=$(dirname "$(realpath "$0")")
disk=${1:?usage: bring-up.sh DISK STACK}
stack=${2:?usage: bring-up.sh DISK STACK}
root=$(mktemp -d)
trap 'umount "$root" 2>/dev/null || true; rmdir "$root"' EXIT

mount -t ext4 -o loop,offset=$((2048 * 512)) "$disk" "$root"
cp -R --no-preserve=ownership "$here/$stack/root/." "$root"
# NetworkManager reads no profile that others can.
chmod -f 0600 "$root"/etc/NetworkManager/system-connections/* "$root"/etc/netplan/* || true
while read -r unit; do
    chroot "$root" systemctl enable "$unit"
done <"$here/$stack/enabled"
if grep -q cloud-init "$here/$stack/enabled"; then
    rm "$root/etc/cloud/cloud-init.disabled"
fi
