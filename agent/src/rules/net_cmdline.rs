//! `net/cmdline`: network settings of the old machine on the kernel command line.
//!
//! dracut.cmdline(7) and the kernel's `Documentation/admin-guide/nfs/nfsroot.rst` say what the
//! parameters mean. What OCI's own images boot with is left alone: DHCP, `rd.neednet`,
//! `rd.iscsi.firmware`, and `netroot=` of the boot volume at 169.254.0.2. Where the system is on a
//! target elsewhere, everything stays that it reaches the target with: see `iscsi/root`.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::sync::LazyLock;

use regex::Regex;

use super::iscsi_root::{STAYS, System};
use super::{DOC_IMPORT_LINUX, KnownDisk, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::kernel_cmdline;
use crate::parse::kargs::{Arg, ArgEdit};

/// The rule.
#[derive(Debug, Default)]
pub struct NetCmdline {
    disk: Rc<KnownDisk>,
}

/// Where OCI serves the boot volume.
pub(super) const BOOT_PORTAL: &str = "169.254.0.2";

/// Parameters that set up an interface that is not there, or one as it was at home.
const PINS: [&str; 16] = [
    "BOOTIF",
    "bond",
    "bootdev",
    "bridge",
    "fcoe",
    "ifname",
    "nameserver",
    "rd.bond",
    "rd.bridge",
    "rd.fcoe",
    "rd.net.dhcp.client-id",
    "rd.route",
    "rd.team",
    "rd.znet",
    "team",
    "vlan",
];

static MAC: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b[0-9a-f]{2}([:-])(?:[0-9a-f]{2}[:-]){4}[0-9a-f]{2}\b").ok()
});

/// What an argument does to the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing, or what is right on OCI.
    Fine,
    /// It sets the network of the old machine.
    Pin,
    /// It boots from an iSCSI target elsewhere.
    Portal,
}

impl NetCmdline {
    /// The rule, with what is known of the guest's disk.
    pub fn new(disk: Rc<KnownDisk>) -> Self {
        Self { disk }
    }
}

impl Rule for NetCmdline {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "net/cmdline",
            severity: Severity::Blocker,
            title: "Kernel command lines that pin an interface, an address or an iSCSI portal",
            why: "The initial ramdisk sets up the network card of the old machine before any \
                  network profile is read, and the instance never gets a lease.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let remedy = if System::look(guest, &self.disk)?.is_elsewhere() {
            STAYS
        } else {
            "remove the argument from every copy of the command line"
        };
        let mut defects = Vec::new();
        for copy in kernel_cmdline::copies(guest)? {
            for arg in &copy.kargs.args {
                let defect = match verdict(&arg.text) {
                    Verdict::Fine => continue,
                    Verdict::Pin => Defect::in_file(
                        &copy.path,
                        "the kernel command line sets up the network of the old machine",
                    )
                    .hint(remedy),
                    Verdict::Portal => Defect::in_file(
                        &copy.path,
                        "the kernel command line attaches an iSCSI target that OCI does not reach",
                    )
                    .hint(
                        "move the root file system to a local disk, then remove the iSCSI \
                         arguments from every copy of the command line",
                    ),
                };
                defects.push(defect.at_line(arg.line).evidence(evidence(arg)));
            }
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        // Without its address the system would not reach the target that it boots from.
        if System::look(guest, &self.disk)?.is_elsewhere() {
            return Ok(());
        }
        kernel_cmdline::edit(guest, &mut |arg| match verdict(&arg.text) {
            Verdict::Pin => ArgEdit::Remove,
            Verdict::Fine | Verdict::Portal => ArgEdit::Keep,
        })
    }
}

/// The argument, or its name alone where it may hold a password.
pub(super) fn evidence(arg: &Arg) -> String {
    match arg.text.split_once('=') {
        Some((name, _)) if verdict(&arg.text) == Verdict::Portal => format!("{name}=(redacted)"),
        _ => arg.text.clone(),
    }
}

/// What an argument does.
pub(super) fn verdict(arg: &str) -> Verdict {
    let arg = arg.trim_matches('"');
    let (name, value) = arg.split_once('=').unwrap_or((arg, ""));
    let value = value.trim_matches('"');
    match name {
        "ip" | "nfsaddrs" if pins_address(value) => Verdict::Pin,
        "netroot" | "root" if value.starts_with("iscsi:") && !value.contains(BOOT_PORTAL) => {
            Verdict::Portal
        }
        "rd.iscsi.target.ip" | "iscsi_target_ip" | "ISCSI_TARGET_IP" if value != BOOT_PORTAL => {
            Verdict::Portal
        }
        _ if PINS.contains(&name) || name.starts_with("rd.znet") => Verdict::Pin,
        _ => Verdict::Fine,
    }
}

/// Whether the value of `ip=` names an address or a MAC; what remains are the forms of DHCP and
/// of no configuration at all.
fn pins_address(value: &str) -> bool {
    let mac = MAC.as_ref().is_some_and(|mac| mac.is_match(value));
    mac || value.contains('[')
        || value
            .split([':', '/'])
            .any(|field| field.parse::<Ipv4Addr>().is_ok())
        || value.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn arguments_are_judged() {
        use Verdict::{Fine, Pin, Portal};
        for (arg, expected) in [
            ("ip=dhcp", Fine),
            ("ip=:::::eth0:dhcp", Fine),
            ("ip=eth0:dhcp", Fine),
            ("ip=dhcp6", Fine),
            ("ip=ibft", Fine),
            ("ip=off", Fine),
            ("ip=none", Fine),
            ("rd.neednet=1", Fine),
            ("rd.iscsi.firmware=1", Fine),
            ("netroot=iscsi", Fine),
            (
                "netroot=iscsi:169.254.0.2:::1:iqn.2015-02.oracle.boot:uefi",
                Fine,
            ),
            ("net.ifnames=0", Fine),
            ("biosdevname=0", Fine),
            ("console=ttyS0,115200", Fine),
            ("root=UUID=c1a7e0de-2f3b-4a55-8d10-6b1f0c9e7d42", Fine),
            ("ipv6.disable=1", Fine),
            (
                "ip=192.168.77.41::192.168.77.1:255.255.255.0:web01:ens192:none",
                Pin,
            ),
            (
                "\"ip=192.168.77.41::192.168.77.1:255.255.255.0:web01:ens192:off\"",
                Pin,
            ),
            ("ip=[2001:db8::5]::[2001:db8::1]:64:web01:ens192:none", Pin),
            ("ip=eth0:dhcp:1500:00:50:56:8a:3c:d1", Pin),
            ("ip=00-50-56-8a-3c-d1:dhcp", Pin),
            ("ip=:::::eth0:dhcp:8.8.8.8", Pin),
            ("ifname=eth0:00:50:56:8a:3c:d1", Pin),
            ("BOOTIF=01-00-50-56-8a-3c-d1", Pin),
            ("nameserver=192.168.77.2", Pin),
            ("rd.route=10.0.0.0/8:192.168.77.1:ens192", Pin),
            ("vlan=ens192.5:ens192", Pin),
            ("bond=bond0:eth0,eth1:mode=1", Pin),
            ("bridge=br0:eth0", Pin),
            ("team=team0:eth0", Pin),
            ("bootdev=ens192", Pin),
            ("rd.net.dhcp.client-id=01:00:50:56:8a:3c:d1", Pin),
            ("rd.znet_ifname=eth0:0.0.0600", Pin),
            ("fcoe=00-50-56-8a-3c-d1:nodcb", Pin),
            (
                "netroot=iscsi:user:secret@192.168.77.5::3260::iqn.x",
                Portal,
            ),
            ("rd.iscsi.target.ip=192.168.77.5", Portal),
        ] {
            assert_eq!(verdict(arg), expected, "{arg}");
        }
    }

    #[test]
    fn pins_go_from_every_copy() {
        let fixture = Fixture::debian(&[
            (
                "/etc/default/grub",
                "# ip=192.0.2.1 in a comment\n\
                 GRUB_CMDLINE_LINUX=\"ip=192.0.2.9::192.0.2.1:255.255.255.0:h:ens192:none console=tty0\"\n",
            ),
            (
                "/boot/grub/grub.cfg",
                "menuentry 'D' {\n\tlinux\t/vmlinuz root=/dev/sda1 ro ifname=eth0:00:50:56:8a:3c:d1 quiet\n}\n",
            ),
            ("/etc/kernel/cmdline", "ip=dhcp rd.neednet=1\n"),
        ]);
        assert_eq!(
            fixture.found(&NetCmdline::default()),
            [
                "/etc/default/grub:2 ip=192.0.2.9::192.0.2.1:255.255.255.0:h:ens192:none",
                "/boot/grub/grub.cfg:2 ifname=eth0:00:50:56:8a:3c:d1",
            ]
        );
        let (drafts, left) = fixture.fixed(&NetCmdline::default());
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(drafts.len(), 2);
        assert_eq!(
            drafts["/etc/default/grub"].as_deref(),
            Some("# ip=192.0.2.1 in a comment\nGRUB_CMDLINE_LINUX=\"console=tty0\"\n")
        );
        assert_eq!(
            drafts["/boot/grub/grub.cfg"].as_deref(),
            Some("menuentry 'D' {\n\tlinux\t/vmlinuz root=/dev/sda1 ro quiet\n}\n")
        );
    }

    #[test]
    fn a_system_elsewhere_keeps_the_address_that_it_boots_with() {
        let line = "ro root=UUID=x ip=192.0.2.9::192.0.2.1:255.255.255.0:h:ens192:none \
                    iscsi_target_name=iqn.x:y\n";
        let fixture = Fixture::debian(&[("/etc/kernel/cmdline", line)]);
        let rule = NetCmdline::default();
        let (drafts, left) = fixture.fixed(&rule);
        assert!(drafts.is_empty());
        assert_eq!(left.len(), 1);
        let found = rule.check(&fixture.guest()).unwrap();
        assert!(found[0].hint.contains("iscsi/root"));
    }

    #[test]
    fn a_portal_elsewhere_stays_and_is_reported_without_its_password() {
        let fixture = Fixture::debian(&[(
            "/etc/kernel/cmdline",
            "ro netroot=iscsi:user:s3cr3t@192.0.2.5::3260::iqn.x\n",
        )]);
        let (drafts, left) = fixture.fixed(&NetCmdline::default());
        assert!(drafts.is_empty());
        assert_eq!(left, ["/etc/kernel/cmdline:1 netroot=(redacted)"]);
    }
}
