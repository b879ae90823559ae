//! `net/udev`: udev rules and `.link` files that bind a NIC's name or settings to the old NIC.
//!
//! Only what an administrator made is judged: `/etc`, `/usr/local/lib`. Rules are read line by
//! line, never judged by the name of their file. An emptied rules file goes; nothing is put in
//! its place, since a directory there breaks `update-initramfs`. Masks, links to `/dev/null`,
//! stay. [`udev_pins`] and [`link_pins`] look at text alone, so that they serve for the copies
//! inside an initramfs too.

use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::glob;
use crate::parse::lines::LineEdits;
use crate::parse::mac;
use crate::parse::udev_rules::{self, Operator, Term};
use crate::parse::unit_file::{self, Entry};
use crate::root::{FileKind, GuestPath};

use std::ops::Range;

/// Where administrators put udev rules, today and in Debian 4.
const RULE_DIRS: [&str; 3] = [
    "/etc/udev/rules.d",
    "/etc/udev",
    "/usr/local/lib/udev/rules.d",
];
/// Where administrators put `.link` files.
const LINK_DIRS: [&str; 2] = ["/etc/systemd/network", "/usr/local/lib/systemd/network"];
/// systemd's own policies: a copy in `/etc` overrides them and pins nothing.
const POLICIES: [&str; 2] = ["99-default.link", "73-usb-net-by-mac.link"];
/// Names of NICs that a rule's `KERNEL` pattern may match.
const NICS: [&str; 5] = ["eth0", "eth1", "ens3", "enp0s3", "eno1"];

/// A line that binds a NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The line, from 1.
    pub line: usize,
    /// What it says.
    pub evidence: String,
    /// All its physical lines, from 0.
    lines: Range<usize>,
}

/// The udev rules in a text that bind a NIC: by its MAC, by giving it a name, or by running a
/// program that sets either.
pub fn udev_pins(text: &str) -> Vec<Pin> {
    udev_rules::parse(text)
        .into_iter()
        .filter(|rule| is_about_nics(&rule.terms) && binds(&rule.terms))
        .map(|rule| Pin {
            line: rule.lines.start + 1,
            evidence: rule.text,
            lines: rule.lines,
        })
        .collect()
}

/// The assignments in a `.link` file that bind it to a NIC or give that NIC a name or a MAC.
pub fn link_pins(text: &str) -> Vec<Pin> {
    unit_file::parse(text)
        .into_iter()
        .filter(is_link_pin)
        .map(|entry| Pin {
            line: entry.lines.start + 1,
            evidence: format!("{}={}", entry.key, entry.value),
            lines: entry.lines,
        })
        .collect()
}

fn is_link_pin(entry: &Entry) -> bool {
    if entry.value.is_empty() {
        return false;
    }
    match (entry.section.as_str(), entry.key.as_str()) {
        ("Match", "MACAddress" | "PermanentMACAddress") | ("Link", "Name" | "MACAddress") => true,
        ("Match", "Path" | "OriginalName") => entry.value != "*",
        _ => false,
    }
}

fn matches_any(pattern: &str, names: &[&str]) -> bool {
    pattern
        .split('|')
        .any(|pattern| names.iter().any(|name| glob::matches(pattern, name)))
}

/// Whether a rule applies to network interfaces, the Ethernet ones among them.
fn is_about_nics(terms: &[Term]) -> bool {
    let equal = |keys: &[&str]| {
        terms
            .iter()
            .filter(|term| term.operator == Operator::Equal && keys.contains(&term.key.as_str()))
            .map(|term| term.value.as_str())
            .collect::<Vec<&str>>()
    };
    let subsystems = equal(&["SUBSYSTEM", "SUBSYSTEMS"]);
    let net = subsystems.iter().any(|value| matches_any(value, &["net"]));
    if !subsystems.is_empty() && !net {
        return false;
    }
    let kernel = equal(&["KERNEL", "INTERFACE"]);
    let named = kernel.iter().any(|value| matches_any(value, &NICS));
    if !kernel.is_empty() && !named {
        return false;
    }
    // Behind a `GOTO` a rule need not name the subsystem: what it asks for tells.
    net || named
        || terms.iter().any(|term| {
            let interface = term.attribute.as_deref().is_some_and(|attribute| {
                attribute == "INTERFACE" || attribute.starts_with("ID_NET_")
            });
            interface || is_address(term)
        })
}

fn is_address(term: &Term) -> bool {
    matches!(term.key.as_str(), "ATTR" | "ATTRS" | "SYSFS")
        && term.attribute.as_deref() == Some("address")
        && holds_mac(&term.value)
}

fn holds_mac(value: &str) -> bool {
    mac::is_partial(value) || !mac::find(value).is_empty()
}

fn binds(terms: &[Term]) -> bool {
    terms.iter().any(|term| {
        let literal = !term.value.is_empty() && !term.value.starts_with(['$', '%']);
        let attribute = term.attribute.as_deref().unwrap_or_default();
        match (term.key.as_str(), term.operator) {
            ("NAME", Operator::Assign) => literal,
            ("ENV", Operator::Assign) if attribute == "ID_NET_NAME" => literal,
            ("ENV", Operator::Equal) if attribute == "ID_NET_NAME_MAC" => {
                literal && term.value != "?*"
            }
            ("RUN" | "PROGRAM" | "IMPORT", _) => holds_mac(&term.value) || sets_link(&term.value),
            _ => holds_mac(&term.value),
        }
    })
}

/// Whether a program changes the name or the MAC of a NIC.
fn sets_link(command: &str) -> bool {
    let words: Vec<&str> = command
        .split_whitespace()
        .map(|word| word.trim_matches(['"', '\'']))
        .collect();
    let is = |program: &str| {
        words
            .iter()
            .any(|word| word.rsplit('/').next() == Some(program))
    };
    let has = |word: &str| words.contains(&word);
    (is("ip") && has("link") && has("set") && (has("address") || has("name")))
        || (is("ifconfig") && has("hw"))
        || is("nameif")
        || is("macchanger")
}

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct NetUdev;

impl Rule for NetUdev {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "net/udev",
            severity: Severity::Blocker,
            title: "Rules of udev and link files bound to the old NIC",
            why: "They give the new NIC a name that no profile expects, or keep the old one's name taken.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut defects = Vec::new();
        for path in rule_files(guest)? {
            if let Some(text) = guest.text(&path)? {
                report(
                    &path,
                    udev_pins(text.as_str()),
                    "a udev rule binds the old NIC",
                    &mut defects,
                );
            }
        }
        for path in link_files(guest)? {
            if let Some(text) = guest.text(&path)? {
                report(
                    &path,
                    link_pins(text.as_str()),
                    "a link file binds the old NIC",
                    &mut defects,
                );
            }
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        for path in rule_files(guest)? {
            let Some(text) = guest.text(&path)? else {
                continue;
            };
            let pins = udev_pins(text.as_str());
            if pins.is_empty() {
                continue;
            }
            let anew = without_rules(text.as_str(), &pins);
            if is_effective(&anew) {
                guest.write_text(&path, &anew)?;
            } else {
                remove(guest, &path)?;
            }
        }
        for path in link_files(guest)? {
            if let Some(text) = guest.text(&path)?
                && !link_pins(text.as_str()).is_empty()
            {
                remove(guest, &path)?;
            }
        }
        Ok(())
    }
}

fn report(path: &GuestPath, pins: Vec<Pin>, message: &str, defects: &mut Vec<Defect>) {
    defects.extend(pins.into_iter().map(|pin| {
        Defect::in_file(path, message)
            .at_line(pin.line)
            .evidence(pin.evidence)
            .hint("remove it; the new NIC gets its name from the kernel or from systemd")
    }));
}

fn rule_files(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut files = Vec::new();
    for dir in RULE_DIRS {
        files.extend(guest.list(&dir.into())?);
    }
    files.retain(|path| path.has_suffix(".rules"));
    Ok(files)
}

/// The `.link` files and their drop-ins.
fn link_files(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut files = Vec::new();
    for dir in LINK_DIRS {
        for path in guest.list(&dir.into())? {
            if path.has_suffix(".link.d") {
                let drop_ins = guest.list(&path)?;
                files.extend(drop_ins.into_iter().filter(|path| path.has_suffix(".conf")));
            } else if path.has_suffix(".link") && !POLICIES.iter().any(|name| path.name() == *name)
            {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// The text without some rules and the comments that were generated with them, such as
/// `# PCI device 0x8086:0x100e (e1000)`.
fn without_rules(text: &str, pins: &[Pin]) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut edits = LineEdits::default();
    for pin in pins {
        let mut start = pin.lines.start;
        if start > 0 && is_generated_comment(lines[start - 1]) {
            start -= 1;
        }
        edits.remove(start..pin.lines.end);
    }
    edits.apply(text)
}

fn is_generated_comment(line: &str) -> bool {
    line.trim_start()
        .strip_prefix('#')
        .is_some_and(|comment| comment.split_whitespace().any(|word| word == "device"))
}

/// Whether a rules file still does something: matches, jumps and labels alone do not.
fn is_effective(text: &str) -> bool {
    udev_rules::parse(text).iter().any(|rule| {
        let acts = rule.terms.iter().any(|term| {
            term.operator == Operator::Assign && !matches!(term.key.as_str(), "GOTO" | "LABEL")
        });
        acts || rule.terms.is_empty()
    })
}

/// Removes a file, and where it is a link into `/etc` what that names as well.
fn remove(guest: &mut Guest<'_>, path: &GuestPath) -> Result<(), Error> {
    let target = guest.root().resolve(path)?;
    if guest.kind(path)? == Some(FileKind::Symlink) && target.is_below(&"/etc".into()) {
        guest.remove(&target)?;
    }
    guest.remove(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    const PERSISTENT: &str = "/etc/udev/rules.d/70-persistent-net.rules";

    #[test]
    fn rules_that_bind_nics() {
        for rule in [
            r#"SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{address}=="52:54:00:12:34:56", NAME="eth0""#,
            r#"SUBSYSTEM=="net", ATTRS{address}=="52:54:00:*", ENV{X}="1""#,
            r#"KERNEL=="eth*", SYSFS{address}=="52:54:00:12:34:56", NAME="lan""#,
            r#"SUBSYSTEM=="net", KERNELS=="0000:03:00.0", NAME="eth0""#,
            r#"ACTION=="add", ATTR{address}=="52:54:00:12:34:56", NAME:="lan%n""#,
            r#"SUBSYSTEM=="net", ENV{ID_NET_NAME_MAC}=="enx525400123456", ENV{Y}="1""#,
            r#"ENV{ID_NET_DRIVER}=="vmxnet3", NAME="eth0""#,
            r#"SUBSYSTEM=="net", KERNEL=="en*|eth*", RUN+="/sbin/ip link set %k address 52:54:00:12:34:56""#,
            r#"SUBSYSTEM=="net", RUN+="/bin/sh -c 'ip link set dev %k name lan0'""#,
            r#"SUBSYSTEM=="net", PROGRAM=="/lib/x %k", RESULT=="52:54:00:12:34:56", NAME="eth1""#,
            r#"SUBSYSTEM=="net", ENV{ID_NET_NAME}="lan0""#,
            r#"SUBSYSTEM=="net", ATTR{type}=="32", ATTR{address}=="?*ec:0d:9a:03:00:15:e2:c1", NAME="ib0""#,
        ] {
            let text = format!("# c\n{}\n", rule.replace(", ", ",\\\n  "));
            let pins = udev_pins(&text);
            assert_eq!(pins.len(), 1, "{rule}");
            assert_eq!(pins[0].line, 2);
        }
    }

    #[test]
    fn rules_that_bind_none() {
        for rule in [
            r#"# SUBSYSTEM=="net", ATTR{address}=="52:54:00:12:34:56", NAME="eth0""#,
            r#"SUBSYSTEM=="block", ATTR{address}=="52:54:00:12:34:56", NAME="eth0""#,
            r#"SUBSYSTEM=="tty", KERNEL=="ttyS0", NAME="x""#,
            r#"KERNEL=="tun", NAME="net/%k""#,
            r#"SUBSYSTEM=="net", KERNEL=="tap*", NAME="x""#,
            r#"SUBSYSTEM=="net", NAME=="", ENV{ID_NET_NAME}!="", NAME="$env{ID_NET_NAME}""#,
            r#"SUBSYSTEM=="net", ATTR{address}=="?*", ENV{MATCHADDR}="$attr{address}""#,
            r#"SUBSYSTEM=="net", KERNELS=="0000:03:00.0", RUN+="/sbin/ethtool -K %k tso off""#,
            r#"SUBSYSTEM=="net", NAME="%k""#,
            r#"SUBSYSTEM!="net", GOTO="end""#,
            r#"LABEL="end""#,
        ] {
            assert_eq!(udev_pins(rule), [], "{rule}");
        }
    }

    #[test]
    fn link_files_that_bind() {
        for (text, expected) in [
            (
                "[Match]\nMACAddress=52:54:00:12:34:56\n[Link]\nName=lan0\n",
                vec![2, 4],
            ),
            (
                "[Match]\nPermanentMACAddress = 52:54:00:12:34:56\n",
                vec![2],
            ),
            (
                "[Match]\nOriginalName=eth0\n[Link]\nWakeOnLan=magic\n",
                vec![2],
            ),
            ("[Match]\nPath=pci-0000:03:00.0\n", vec![2]),
            (
                "[Match]\nOriginalName=*\n[Link]\nMACAddress=52:54:00:12:34:56\n",
                vec![4],
            ),
            (
                "[Match]\nOriginalName=*\n[Link]\nNamePolicy=kernel path\nMACAddressPolicy=persistent\n",
                vec![],
            ),
            ("[Link]\n#Name=x\nName=\n", vec![]),
            ("", vec![]),
        ] {
            let lines: Vec<usize> = link_pins(text).iter().map(|pin| pin.line).collect();
            assert_eq!(lines, expected, "{text}");
        }
    }

    #[test]
    fn pins_go_and_other_rules_stay() {
        let generated = "# This file was automatically generated by the /lib/udev/write_net_rules\n\n\
            # PCI device 0x1af4:0x1000 (virtio-pci)\nSUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", \
            ATTR{address}==\"52:54:00:12:34:56\", NAME=\"eth0\"\n";
        let disk = "# my disk\nKERNEL==\"sda\", SYMLINK+=\"boss\"\n";
        let jumps = "SUBSYSTEM!=\"net\", GOTO=\"end\"\nATTR{address}==\"52:54:00:12:34:56\", NAME=\"x\"\nLABEL=\"end\"\n";
        let fixture = Fixture::new(&[
            (PERSISTENT, generated),
            (
                "/etc/udev/rules.d/10-mixed.rules",
                &format!("{generated}{disk}"),
            ),
            ("/etc/udev/rules.d/20-jumps.rules", jumps),
            ("/etc/udev/rules.d/30-disk.rules", disk),
            ("/etc/udev/rules.d/80-net-setup-link.rules", "-> /dev/null"),
            ("/etc/udev/rules.d/90-link.rules", "-> ../own.rules"),
            ("/etc/udev/own.rules", generated),
            ("/lib/udev/rules.d/70-vendor.rules", generated),
            (
                "/etc/systemd/network/10-lan.link",
                "[Match]\nMACAddress=52:54:00:12:34:56\n",
            ),
            (
                "/etc/systemd/network/99-default.link",
                "[Match]\nOriginalName=eth0\n",
            ),
            ("/etc/systemd/network/50-masked.link", "-> /dev/null"),
            ("/etc/systemd/network/60-empty.link", ""),
            (
                "/etc/systemd/network/99-default.link.d/x.conf",
                "[Link]\nName=lan0\n",
            ),
        ]);
        assert_eq!(fixture.open(&NetUdev).len(), 7);
        fixture.fix(&[&NetUdev]);
        for (path, stays) in [
            (PERSISTENT, false),
            ("/etc/udev/rules.d/20-jumps.rules", false),
            ("/etc/udev/rules.d/30-disk.rules", true),
            ("/etc/udev/rules.d/80-net-setup-link.rules", true),
            ("/etc/udev/rules.d/90-link.rules", false),
            ("/etc/udev/own.rules", false),
            ("/lib/udev/rules.d/70-vendor.rules", true),
            ("/etc/systemd/network/10-lan.link", false),
            ("/etc/systemd/network/99-default.link", true),
            ("/etc/systemd/network/50-masked.link", true),
            ("/etc/systemd/network/60-empty.link", true),
            ("/etc/systemd/network/99-default.link.d/x.conf", false),
        ] {
            assert_eq!(fixture.has(path), stays, "{path}");
        }
        assert_eq!(
            fixture.text("/etc/udev/rules.d/10-mixed.rules").unwrap(),
            format!(
                "# This file was automatically generated by the /lib/udev/write_net_rules\n\n{disk}"
            )
        );
    }
}
