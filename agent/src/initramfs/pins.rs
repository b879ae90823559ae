//! Which files inside an initramfs can tie it to the machine it was built on.
//!
//! Tools that build images copy configuration of the running system into them: initramfs-tools all
//! `.link` files and local udev rules, dracut its `cmdline.d`, kdump connection profiles. An address
//! or name in such a copy acts before the root file system is mounted. Here is only what to look at;
//! judging it is the rules' business.

/// Trees of which every file is configuration. A leading `lib/` also stands for `usr/lib/`.
const TREES: &[&str] = &[
    "conf/conf.d/",
    "config/",
    "etc/NetworkManager/",
    "etc/cmdline.d/",
    "etc/conf.d/",
    "etc/dhcp/",
    "etc/fcoe/",
    "etc/iscsi/",
    "etc/lvm/devices/",
    "etc/modprobe.d/",
    "etc/multipath/",
    "etc/netplan/",
    "etc/nvme/",
    "etc/sysconfig/network-scripts/",
    "etc/sysconfig/network/",
    "etc/systemd/network/",
    "etc/udev/rules.d/",
    "etc/wicked/",
    "lib/NetworkManager/",
    "lib/systemd/network/",
    "var/lib/iscsi/",
];

/// Where an image keeps arguments that are added to those of the kernel: dracut.cmdline(7).
pub const KERNEL_ARGS: &[&str] = &["etc/cmdline", "etc/cmdline.d/"];

/// Single files.
const FILES: &[&str] = &[
    "conf/initramfs.conf",
    "conf/param.conf",
    "cryptroot/crypttab",
    "etc/cmdline",
    "etc/crypttab",
    "etc/dhclient.conf",
    "etc/fstab",
    "etc/hostname",
    "etc/hosts",
    "etc/initiatorname.iscsi",
    "etc/iscsi.initramfs",
    "etc/mdadm.conf",
    "etc/mdadm/mdadm.conf",
    "etc/modules",
    "etc/multipath.conf",
    "etc/resolv.conf",
    "etc/sysconfig/network",
];

/// Whether the content of this path is worth keeping: it may name an address, an interface, a disk
/// or an iSCSI target of the old machine.
pub fn is_config(path: &str) -> bool {
    let path = without_usr(path);
    if let Some(rules) = path.strip_prefix("lib/udev/rules.d/") {
        return is_net_rule(rules);
    }
    FILES.contains(&path) || path.starts_with("etc/ifcfg") || is_below_any(path, TREES)
}

/// Whether a path is one of these files, or below one of these directories, which end with `/`.
pub fn is_below_any(path: &str, places: &[&str]) -> bool {
    places
        .iter()
        .any(|place| path == *place || (place.ends_with('/') && path.starts_with(place)))
}

/// `lib/…` for `usr/lib/…`.
pub fn without_usr(path: &str) -> &str {
    path.strip_prefix("usr/")
        .filter(|rest| rest.starts_with("lib/"))
        .unwrap_or(path)
}

/// Vendor rules are the same on every machine, except those that a generator wrote.
fn is_net_rule(name: &str) -> bool {
    name.starts_with("70-persistent")
        || name
            .strip_suffix(".rules")
            .is_some_and(|stem| stem.contains("-net"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_is_told_from_the_rest() {
        for (path, expected) in [
            ("etc/udev/rules.d/70-persistent-net.rules", true),
            ("etc/udev/rules.d/99-local.rules", true),
            ("lib/udev/rules.d/70-persistent-net.rules", true),
            ("usr/lib/udev/rules.d/80-net-setup-link.rules", true),
            ("usr/lib/udev/rules.d/60-block.rules", false),
            ("usr/lib/systemd/network/99-default.link", true),
            ("lib/systemd/network/10-eth.link", true),
            ("etc/systemd/network/10-eth.network", true),
            ("etc/systemd/system/x.service", false),
            ("conf/initramfs.conf", true),
            ("conf/conf.d/resume", true),
            ("conf/param.conf", true),
            ("conf/modules", false),
            ("etc/cmdline", true),
            ("etc/cmdline.d/95iscsi.conf", true),
            ("etc/iscsi.initramfs", true),
            ("etc/initiatorname.iscsi", true),
            (
                "etc/iscsi/nodes/iqn.2001-01.com.example/10.0.0.1,3260,1/default",
                true,
            ),
            ("etc/sysconfig/network-scripts/ifcfg-eth0", true),
            (
                "etc/NetworkManager/system-connections/eth0.nmconnection",
                true,
            ),
            ("usr/lib/NetworkManager/conf.d/00-server.conf", true),
            ("etc/multipath/bindings", true),
            ("etc/crypttab", true),
            ("cryptroot/crypttab", true),
            ("etc/fstab", true),
            ("etc/lvm/devices/system.devices", true),
            ("etc/lvm/lvm.conf", false),
            ("etc/modprobe.d/bonding.conf", true),
            ("etc/ifcfg-eth0", true),
            ("usr/etc/fstab", false),
            ("usr/bin/udevadm", false),
            ("etc/fstab.d", false),
        ] {
            assert_eq!(is_config(path), expected, "{path}");
        }
    }
}
