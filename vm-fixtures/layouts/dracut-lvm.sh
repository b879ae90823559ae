# shellcheck shell=bash disable=SC2154
# The disk of lvm-xfs; dracut makes the initramfs, for this machine only.

# shellcheck source=vm-fixtures/layouts/lvm-xfs.sh
source "$here/lvm-xfs.sh"
