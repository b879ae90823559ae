//! What a file inside an initramfs holds of the old machine.
//!
//! Files are told apart by their paths. A blocker is what keeps the root or the lease from being
//! found; an identity or a name that only bothers is a warning.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::finding::Severity;
use crate::initramfs::pins::{KERNEL_ARGS, is_below_any, without_usr};
use crate::parse::kargs::{self, Format};
use crate::parse::{mac, shell_vars, unit_file};
use crate::redact::redact;
use crate::rules::net_cmdline::{self, BOOT_PORTAL, Verdict};
use crate::rules::net_dhcp_identity::identities;
use crate::rules::net_udev::{link_pins, udev_pins};

/// Something that ties an image to its old machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pin {
    /// How much it matters.
    pub severity: Severity,
    /// What it does.
    pub message: &'static str,
    /// What it says, without secrets.
    pub evidence: String,
}

/// A judge of the text of one kind of file. It knows the drivers on the way to the root.
type Judge = fn(&str, &[&str]) -> Vec<Pin>;

/// Which files are of which kind: a directory ends with `/`.
const KINDS: [(&[&str], Judge); 13] = [
    (KERNEL_ARGS, |text, _| kernel_args(text)),
    (&["etc/conf.d/"], |text, _| kernel_args(text)),
    (
        &["conf/conf.d/", "conf/initramfs.conf", "conf/param.conf"],
        |text, _| configured_address(text),
    ),
    (&["config/"], |text, _| addresses(text, is_mkinitrd_address)),
    (&["etc/dhclient.conf", "etc/dhcp/"], |text, _| {
        dhcp_identities(text)
    }),
    (&["etc/iscsi.initramfs"], |text, _| iscsi_target(text)),
    (
        &["etc/initiatorname.iscsi", "etc/iscsi/initiatorname.iscsi"],
        |text, _| initiator_name(text),
    ),
    (
        &[
            "etc/iscsi/nodes/",
            "etc/iscsi/send_targets/",
            "var/lib/iscsi/",
        ],
        |text, _| iscsi_record(text),
    ),
    (
        &["etc/multipath/bindings", "etc/multipath/wwids"],
        |text, _| multipath_names(text),
    ),
    (&["etc/crypttab", "cryptroot/crypttab"], |text, _| {
        crypttab(text)
    }),
    (&["etc/mdadm.conf", "etc/mdadm/mdadm.conf"], |text, _| {
        mdadm_conf(text)
    }),
    (&["etc/lvm/devices/"], lvm_devices),
    (&["etc/netplan/"], |text, _| {
        addresses(text, is_netplan_address)
    }),
];

/// The pins in the file at a path.
pub(super) fn pins(path: &str, text: &str, root: &[&str]) -> Vec<Pin> {
    let path = without_usr(path);
    let (_, file) = path.rsplit_once('/').unwrap_or(("", path));
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "rules" => return udev(&udev_pins(text)),
        "link" => return udev(&link_pins(text)),
        _ => {}
    }
    if let Some((_, judge)) = KINDS.iter().find(|(places, _)| is_below_any(path, places)) {
        return judge(text, root);
    }
    if let Some(interface) = file.strip_prefix("ifcfg-") {
        return if interface == "lo" {
            Vec::new()
        } else {
            addresses(text, is_ifcfg_address)
        };
    }
    if path.contains("NetworkManager/system-connections/") {
        return addresses(text, is_keyfile_address);
    }
    if path.contains("systemd/network/") {
        return networkd(text);
    }
    Vec::new()
}

fn pin(severity: Severity, message: &'static str, evidence: &str) -> Pin {
    Pin {
        severity,
        message,
        evidence: redact(evidence.trim()).into_owned(),
    }
}

fn blocker(evidence: &str) -> Pin {
    pin(
        Severity::Blocker,
        "pins the network to the old machine",
        evidence,
    )
}

fn udev(pins: &[crate::rules::net_udev::Pin]) -> Vec<Pin> {
    pins.iter().map(|pin| blocker(&pin.evidence)).collect()
}

/// The lines that say something.
fn settings(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
}

fn kernel_args(text: &str) -> Vec<Pin> {
    kargs::find(Format::Plain, text)
        .iter()
        .flat_map(|kargs| &kargs.args)
        .filter_map(|arg| match net_cmdline::verdict(&arg.text) {
            Verdict::Fine => None,
            Verdict::Pin => Some(blocker(&arg.text)),
            Verdict::Portal => Some(pin(
                Severity::Blocker,
                "attaches an iSCSI target that OCI does not reach",
                &net_cmdline::evidence(arg),
            )),
        })
        .collect()
}

/// The static address in initramfs.conf(5): `IP=` in the syntax of the kernel's `ip=`. The last
/// assignment of a file counts.
fn configured_address(text: &str) -> Vec<Pin> {
    let assignments = shell_vars::assignments(text);
    let last = assignments
        .iter()
        .rfind(|assignment| assignment.name == "IP");
    last.map(|assignment| format!("ip={}", assignment.value.as_str()))
        .filter(|arg| net_cmdline::verdict(arg) == Verdict::Pin)
        .map(|arg| blocker(&format!("IP={}", &arg["ip=".len()..])))
        .into_iter()
        .collect()
}

fn dhcp_identities(text: &str) -> Vec<Pin> {
    identities(text)
        .into_iter()
        .map(|range| {
            let first = text[range].lines().next().unwrap_or_default();
            pin(
                Severity::Warning,
                "tells the DHCP client an identity or a fixed lease",
                first,
            )
        })
        .collect()
}

/// What initramfs-tools logs in to before the root is mounted.
fn iscsi_target(text: &str) -> Vec<Pin> {
    shell_vars::assignments(text)
        .iter()
        .filter(|assignment| {
            let value = assignment.value.as_str();
            assignment.name == "ISCSI_TARGET_IP" && !value.is_empty() && value != BOOT_PORTAL
        })
        .map(|assignment| {
            pin(
                Severity::Blocker,
                "attaches an iSCSI target that OCI does not reach",
                &format!("{}={}", assignment.name, assignment.value.as_str()),
            )
        })
        .collect()
}

fn initiator_name(text: &str) -> Vec<Pin> {
    settings(text)
        .filter(|line| line.starts_with("InitiatorName="))
        .map(|line| {
            pin(
                Severity::Warning,
                "gives the iSCSI initiator the name of the old machine",
                line,
            )
        })
        .collect()
}

fn iscsi_record(text: &str) -> Vec<Pin> {
    settings(text)
        .filter(|line| line.starts_with("node.conn[0].address") && !line.ends_with(BOOT_PORTAL))
        .map(|line| pin(Severity::Warning, "is the record of an iSCSI target", line))
        .collect()
}

fn multipath_names(text: &str) -> Vec<Pin> {
    settings(text)
        .map(|line| {
            pin(
                Severity::Note,
                "knows a disk of the old machine by its identifier",
                line,
            )
        })
        .take(1)
        .collect()
}

/// Whether a disk is named by the order in which disks were found.
fn is_by_order(source: &str) -> bool {
    ["/dev/sd", "/dev/hd", "/dev/vd", "/dev/xvd", "/dev/nvme"]
        .iter()
        .any(|name| source.starts_with(name))
}

fn crypttab(text: &str) -> Vec<Pin> {
    settings(text)
        .filter(|line| line.split_whitespace().nth(1).is_some_and(is_by_order))
        .map(|line| {
            pin(
                Severity::Warning,
                "names a disk by a device that OCI names differently",
                line,
            )
        })
        .collect()
}

fn mdadm_conf(text: &str) -> Vec<Pin> {
    settings(text)
        .filter(|line| line.split([' ', '\t', ',', '=']).skip(1).any(is_by_order))
        .map(|line| {
            pin(
                Severity::Warning,
                "looks for RAID members on devices that OCI names differently",
                line,
            )
        })
        .collect()
}

/// lvmdevices(8): LVM sees no other disks than these, and an identifier of the old disk is none of
/// the new one. A disk that is listed by its device name is looked for by its contents.
fn lvm_devices(text: &str, root: &[&str]) -> Vec<Pin> {
    settings(text)
        .filter(|line| {
            let mut words = line.split_whitespace();
            words.any(|word| word.starts_with("IDTYPE=") && word != "IDTYPE=devname")
        })
        .map(|line| {
            pin(
                if root.contains(&"dm_mod") {
                    Severity::Blocker
                } else {
                    Severity::Warning
                },
                "lets LVM see the disks of the old machine alone",
                line,
            )
        })
        .collect()
}

/// The lines that hold a MAC or what `is_address` takes for a static address.
fn addresses(text: &str, is_address: fn(&str) -> bool) -> Vec<Pin> {
    settings(text)
        .filter(|line| !mac::find(line).is_empty() || is_address(line))
        .map(blocker)
        .collect()
}

/// `key=value`, quotes removed.
fn key_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    Some((key.trim(), value.trim().trim_matches(['"', '\''])))
}

fn is_ifcfg_address(line: &str) -> bool {
    key_value(line).is_some_and(|(key, value)| key.starts_with("IPADDR") && is_host_address(value))
}

fn is_keyfile_address(line: &str) -> bool {
    key_value(line).is_some_and(|(key, value)| {
        let number = key
            .strip_prefix("addresses")
            .or(key.strip_prefix("address"));
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
            && value.split([',', ';']).next().is_some_and(is_host_address)
    })
}

fn is_mkinitrd_address(line: &str) -> bool {
    key_value(line).is_some_and(|(key, value)| {
        matches!(key, "ip" | "static_ips") && value.split(':').next().is_some_and(is_host_address)
    })
}

fn is_netplan_address(line: &str) -> bool {
    line.contains('/')
        && line
            .split([' ', '[', ']', ',', '"', '\''])
            .any(|word| word.contains('/') && is_host_address(word))
}

fn networkd(text: &str) -> Vec<Pin> {
    unit_file::parse(text)
        .iter()
        .filter(|entry| {
            let own = matches!(entry.section.as_str(), "Network" | "Address");
            !mac::find(&entry.value).is_empty()
                || (own && entry.key == "Address" && is_host_address(&entry.value))
        })
        .map(|entry| blocker(&format!("{}={}", entry.key, entry.value)))
        .collect()
}

/// Whether this is an address, with or without a prefix length, that is not the machine's own.
fn is_host_address(value: &str) -> bool {
    let address = value.split('/').next().unwrap_or_default();
    let v4 = address.parse::<Ipv4Addr>();
    let v6 = address.parse::<Ipv6Addr>();
    v4.is_ok_and(|address| !address.is_loopback() && !address.is_unspecified())
        || v6.is_ok_and(|address| !address.is_loopback() && !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn every_kind_of_file_is_judged() {
        use Severity::{Blocker, Note, Warning};
        for (path, text, expected) in [
            (
                "etc/udev/rules.d/70-persistent-net.rules",
                "SUBSYSTEM==\"net\", ATTR{address}==\"52:54:00:12:34:56\", NAME=\"eth0\"\n",
                Some(Blocker),
            ),
            (
                "usr/lib/systemd/network/10-a.link",
                "[Match]\nMACAddress=52:54:00:12:34:56\n",
                Some(Blocker),
            ),
            (
                "usr/lib/systemd/network/99-default.link",
                "[Match]\nOriginalName=*\n",
                None,
            ),
            (
                "etc/cmdline.d/40-net.conf",
                "ip=192.0.2.7::192.0.2.1:255.255.255.0:h:eth0:none\n",
                Some(Blocker),
            ),
            (
                "etc/cmdline.d/40-net.conf",
                "ifname=eth0:52:54:00:12:34:56\n",
                Some(Blocker),
            ),
            ("etc/cmdline.d/95iscsi.conf", "ip=ibft\n", None),
            ("etc/cmdline.d/90lvm.conf", " rd.lvm.lv=ol/root\n", None),
            (
                "etc/cmdline",
                "netroot=iscsi:u:p@192.0.2.9::3260::iqn.x\n",
                Some(Blocker),
            ),
            (
                "etc/conf.d/net.conf",
                "ifname=eth0:52:54:00:12:34:56\n",
                Some(Blocker),
            ),
            (
                "conf/initramfs.conf",
                "IP=192.0.2.7::192.0.2.1:255.255.255.0::eth0:off\n",
                Some(Blocker),
            ),
            ("conf/initramfs.conf", "IP=192.0.2.7\nIP=dhcp\n", None),
            ("conf/initramfs.conf", "# IP=192.0.2.7\nIP=\n", None),
            ("conf/conf.d/resume", "RESUME=/dev/sda2\n", None),
            (
                "config/network.sh",
                "ip='192.0.2.7:255.255.255.0'\n",
                Some(Blocker),
            ),
            ("config/storage.sh", "rootdev='/dev/sda2'\n", None),
            (
                "etc/dhclient.conf",
                "send dhcp-client-identifier 1:2;\n",
                Some(Warning),
            ),
            ("etc/dhclient.conf", "request subnet-mask;\n", None),
            (
                "etc/iscsi.initramfs",
                "ISCSI_TARGET_NAME=iqn.x\nISCSI_TARGET_IP=192.0.2.9\n",
                Some(Blocker),
            ),
            (
                "etc/iscsi.initramfs",
                "ISCSI_AUTO=true\nISCSI_TARGET_IP=169.254.0.2\n",
                None,
            ),
            (
                "etc/initiatorname.iscsi",
                "InitiatorName=iqn.1993-08.org.debian:01:abc\n",
                Some(Warning),
            ),
            ("etc/iscsi/initiatorname.iscsi", "GenerateName=yes\n", None),
            (
                "var/lib/iscsi/nodes/iqn.x/192.0.2.9,3260,1/default",
                "node.conn[0].address = 192.0.2.9\n",
                Some(Warning),
            ),
            ("etc/multipath/wwids", "# c\n/3600/\n", Some(Note)),
            ("etc/multipath/wwids", "# c\n", None),
            (
                "cryptroot/crypttab",
                "root_crypt /dev/sda3 none luks\n",
                Some(Warning),
            ),
            ("etc/crypttab", "root_crypt UUID=x none luks\n", None),
            (
                "etc/mdadm/mdadm.conf",
                "DEVICE /dev/sda1 /dev/sdb1\n",
                Some(Warning),
            ),
            (
                "etc/mdadm.conf",
                "DEVICE partitions\nARRAY /dev/md0 UUID=x\n",
                None,
            ),
            (
                "etc/lvm/devices/system.devices",
                "IDTYPE=sys_wwid IDNAME=naa.6000 PVID=x\n",
                Some(Blocker),
            ),
            (
                "etc/lvm/devices/system.devices",
                "VERSION=1.1.1\nIDTYPE=devname IDNAME=/dev/sda2 PVID=x\n",
                None,
            ),
            (
                "etc/sysconfig/network-scripts/ifcfg-eth0",
                "DEVICE=eth0\nHWADDR=\"52:54:00:12:34:56\"\n",
                Some(Blocker),
            ),
            ("etc/ifcfg-eth0", "IPADDR='192.0.2.7'\n", Some(Blocker)),
            (
                "etc/sysconfig/network/ifcfg-lo",
                "IPADDR=127.0.0.1/8\n",
                None,
            ),
            ("etc/sysconfig/network/ifcfg-eth0", "BOOTPROTO=dhcp\n", None),
            (
                "etc/NetworkManager/system-connections/a.nmconnection",
                "[ipv4]\naddress1=192.0.2.7/24,192.0.2.1\n",
                Some(Blocker),
            ),
            (
                "etc/NetworkManager/system-connections/a.nmconnection",
                "[ipv4]\nmethod=auto\naddress-data=\n",
                None,
            ),
            (
                "usr/lib/NetworkManager/conf.d/x.conf",
                "[main]\nplugins=keyfile\n",
                None,
            ),
            (
                "etc/systemd/network/a.network",
                "[Network]\nAddress=192.0.2.7/24\n",
                Some(Blocker),
            ),
            (
                "etc/systemd/network/a.network",
                "[Match]\nName=en*\n[Network]\nDHCP=yes\n",
                None,
            ),
            (
                "etc/netplan/a.yaml",
                "ens192:\n  addresses: [192.0.2.7/24]\n",
                Some(Blocker),
            ),
            ("etc/netplan/a.yaml", "ens192: {dhcp4: true}\n", None),
            ("etc/fstab", "/dev/sda1 / ext4 a 0 0\n", None),
        ] {
            let found = pins(path, text, &["dm_mod"]);
            let severity = found.first().map(|pin| pin.severity);
            assert_eq!(severity, expected, "{path}: {text}");
        }
    }

    #[test]
    fn secrets_stay_inside() {
        let text = "netroot=iscsi:user:s3cr3t@192.0.2.9::3260::iqn.x\n";
        let found = pins("etc/cmdline.d/x.conf", text, &[]);
        assert!(!found[0].evidence.contains("s3cr3t"));
    }
}
