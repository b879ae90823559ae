//! `dhcpcd.conf(5)`: dhcpcd asks for a lease on every interface, unless a block tells otherwise.
//!
//! So the blocks of NICs go, and the static settings before the first block with them.

use std::ops::Range;

use super::super::device::{Devices, Topology};
use super::super::networkd::nics;
use super::super::{Aspect, naming, note};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::glob;
use crate::parse::lines::{LineEdits, content, physical};
use crate::parse::mac;
use crate::root::GuestPath;

/// The file, where Debian's and Alpine's package and where NetBSD's pkgsrc has it.
const FILES: [&str; 2] = ["/etc/dhcpcd.conf", "/usr/pkg/etc/dhcpcd.conf"];

/// A part of the file: what stands before the first block, or a block.
#[derive(Debug)]
struct Block<'a> {
    /// `interface`, `ssid` or `profile`; empty before the first block.
    keyword: &'a str,
    /// The interface or profile.
    name: &'a str,
    /// Its lines from the header to the last option, from 0.
    lines: Range<usize>,
    /// Its options with their lines.
    options: Vec<(usize, &'a str)>,
}

/// What a line does that an aspect is about, and what comes in its place.
struct Fault {
    line: usize,
    message: &'static str,
    /// Less than the rule's where nothing is put right.
    severity: Option<Severity>,
    /// The lines that are taken out.
    gone: Range<usize>,
    /// The option that is put in their place.
    instead: Option<String>,
}

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(aspect: Aspect, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let kernel_names = naming::kernel_names(guest)?;
    let mut defects = Vec::new();
    for path in FILES.map(GuestPath::from) {
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let lines = physical(text.as_str());
        for fault in faults(aspect, text.as_str(), kernel_names) {
            let mut defect = Defect::in_file(&path, fault.message)
                .at_line(fault.line + 1)
                .evidence(lines[fault.line].trim())
                .hint("remove it; dhcpcd asks for a lease on every NIC");
            defect.severity = fault.severity;
            defects.push(defect);
        }
        if aspect == Aspect::Mac {
            let comments = lines.iter().enumerate();
            defects.extend(
                comments
                    .filter(|(_, line)| line.trim_start().starts_with('#'))
                    .filter_map(|(at, line)| note(&path, at, content(line), "a comment")),
            );
        }
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(aspect: Aspect, guest: &mut Guest<'_>) -> Result<(), Error> {
    let kernel_names = naming::kernel_names(guest)?;
    for path in FILES.map(GuestPath::from) {
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let mut edits = LineEdits::default();
        let lines = physical(text.as_str());
        let faults = faults(aspect, text.as_str(), kernel_names);
        for fault in faults.into_iter().filter(|fault| fault.severity.is_none()) {
            match fault.instead {
                Some(anew) => {
                    let line = lines[fault.line];
                    edits.replace(fault.gone, line.replacen(line.trim(), &anew, 1));
                }
                None => edits.remove(fault.gone),
            }
        }
        if !edits.is_empty() {
            guest.write_text(&path, &edits.apply(text.as_str()))?;
        }
    }
    Ok(())
}

fn faults(aspect: Aspect, text: &str, kernel_names: bool) -> Vec<Fault> {
    let devices = Topology::default().devices();
    let mut faults = Vec::new();
    for block in blocks(text) {
        let bound = block.is_bound(&devices);
        let line_of = |line: usize, message: &'static str| Fault {
            line,
            message,
            severity: None,
            gone: line..line + 1,
            instead: None,
        };
        // A block of a NIC goes as a whole; the line tells why.
        let with_block = |mut fault: Fault| {
            if bound {
                fault.gone = block.lines.clone();
            }
            fault
        };
        match aspect {
            Aspect::Mac => faults.extend(
                block
                    .options
                    .iter()
                    .filter(|(_, option)| !mac::find(option).is_empty())
                    .map(|(line, _)| with_block(line_of(*line, "dhcpcd is told a MAC"))),
            ),
            Aspect::Address if bound || block.keyword.is_empty() => faults.extend(
                block
                    .options
                    .iter()
                    .filter(|(_, option)| is_static(option))
                    .map(|(line, _)| {
                        with_block(line_of(*line, "dhcpcd gives a NIC a static address"))
                    }),
            ),
            Aspect::Name => {
                if bound && block.keyword == "interface" && !(kernel_names && block.name == "eth0")
                {
                    let header = block.lines.start;
                    faults.push(with_block(line_of(
                        header,
                        "dhcpcd binds a NIC by its name",
                    )));
                }
                faults.extend(block.options.iter().filter_map(|(line, option)| {
                    let instead = widened(option, &devices, kernel_names)?;
                    let mut fault = line_of(*line, "dhcpcd is for the old NIC alone");
                    fault.instead = Some(instead);
                    Some(fault)
                }));
            }
            Aspect::Dhcp if block.keyword.is_empty() => {
                faults.extend(block.options.iter().filter_map(|(line, option)| {
                    let mut fault = line_of(*line, "dhcpcd is told not to ask for a lease");
                    fault.severity = Some(Severity::Warning);
                    is_off(option, kernel_names).then_some(fault)
                }));
            }
            Aspect::DhcpIdentity => faults.extend(
                block
                    .options
                    .iter()
                    .filter(|(_, option)| is_identity(option))
                    .map(|(line, _)| line_of(*line, "dhcpcd is told an identity")),
            ),
            Aspect::Address | Aspect::Dhcp => {}
        }
    }
    faults
}

/// The parts of a file, in order.
fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = vec![Block {
        keyword: "",
        name: "",
        lines: 0..0,
        options: Vec::new(),
    }];
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let keyword = words.next().unwrap_or_default();
        if matches!(keyword, "interface" | "ssid" | "profile") {
            blocks.push(Block {
                keyword,
                name: words.next().unwrap_or_default(),
                lines: number..number + 1,
                options: Vec::new(),
            });
        } else if let Some(block) = blocks.last_mut() {
            block.lines.end = number + 1;
            block.options.push((number, line));
        }
    }
    blocks
}

impl Block<'_> {
    /// Whether it is for a NIC, or a profile with an address that a NIC falls back to.
    fn is_bound(&self, devices: &Devices) -> bool {
        match self.keyword {
            "interface" => devices.device(self.name).is_replaced(),
            "profile" => self.options.iter().any(|(_, option)| is_static(option)),
            _ => false,
        }
    }
}

fn words(option: &str) -> (&str, &str) {
    match option.split_once(char::is_whitespace) {
        Some((name, value)) => (name, value.trim()),
        None => (option, ""),
    }
}

fn is_static(option: &str) -> bool {
    let (name, value) = words(option);
    match name {
        "static" => value.split('=').next().is_some_and(|key| {
            matches!(
                key.trim(),
                "ip_address"
                    | "ip6_address"
                    | "routers"
                    | "domain_name_servers"
                    | "static_routes"
                    | "classless_static_routes"
                    | "subnet_mask"
                    | "broadcast_address"
            )
        }),
        "inform" | "inform6" => !value.is_empty(),
        _ => false,
    }
}

fn is_identity(option: &str) -> bool {
    let (name, value) = words(option);
    match name {
        "clientid" | "iaid" | "request" => !value.is_empty(),
        "duid" => value.contains(':'),
        _ => false,
    }
}

/// Whether an option keeps dhcpcd from asking for a lease on a NIC.
fn is_off(option: &str, kernel_names: bool) -> bool {
    let (name, value) = words(option);
    match name {
        "noipv4" | "nodhcp" | "nodhcp4" => true,
        "denyinterfaces" => nics(kernel_names)
            .iter()
            .any(|nic| patterns(value).any(|pattern| glob::matches(pattern, nic))),
        _ => false,
    }
}

fn patterns(value: &str) -> impl Iterator<Item = &str> {
    value
        .split([' ', '\t', ','])
        .filter(|pattern| !pattern.is_empty())
}

/// `allowinterfaces` for whichever NIC appears, where it is for the old NIC alone.
fn widened(option: &str, devices: &Devices, kernel_names: bool) -> Option<String> {
    let (name, value) = words(option);
    let allowed = |nic: &&str| patterns(value).any(|pattern| glob::matches(pattern, nic));
    if name != "allowinterfaces" || nics(kernel_names).iter().all(allowed) {
        return None;
    }
    let is_nic = |word: &&str| {
        let literal = word.split(['*', '?', '[']).next().unwrap_or_default();
        devices.device(literal).is_replaced()
    };
    let others: Vec<&str> = patterns(value).filter(|word| !is_nic(word)).collect();
    (others.len() < patterns(value).count()).then(|| {
        ["allowinterfaces", "en*", "eth*"]
            .into_iter()
            .chain(others)
            .collect::<Vec<_>>()
            .join(" ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;
    use crate::rules::net_dhcp_identity::NetDhcpIdentity;
    use crate::rules::net_mac::NetMac;
    use crate::rules::net_name_pinned::NetNamePinned;
    use crate::rules::net_no_dhcp::NetNoDhcp;
    use crate::rules::net_static::NetStatic;

    const CONF: &str = FILES[0];
    const BEFORE: &str = "\
# A sample configuration for dhcpcd.
hostname
clientid 01:52:54:00:12:34:56
duid
allowinterfaces eth0 wlan0
static domain_name_servers=10.0.0.2
option rapid_commit

# Example static IP configuration:
#interface eth0
interface eth0
static ip_address=10.0.0.5/24
# the router
static routers=10.0.0.1

interface wlan0
static ip_address=10.1.0.5/24
metric 300

profile static_eth0
static ip_address=192.168.1.23/24
interface ens3
fallback static_eth0
request 10.0.0.6
";
    const AFTER: &str = "\
# A sample configuration for dhcpcd.
hostname
duid
allowinterfaces en* eth* wlan0
option rapid_commit

# Example static IP configuration:
#interface eth0

interface wlan0
static ip_address=10.1.0.5/24
metric 300

";

    #[test]
    fn blocks_of_nics_go_and_the_rest_stays() {
        let fixture = Fixture::new(&[(CONF, BEFORE)]);
        for (rule, lines) in [
            (&NetMac as &dyn crate::rules::Rule, vec![3]),
            (&NetStatic, vec![6, 12, 14, 21]),
            (&NetNamePinned, vec![5, 11, 22]),
            (&NetDhcpIdentity, vec![3, 24]),
        ] {
            let lines: Vec<String> = lines.iter().map(|line| format!("{CONF}:{line}")).collect();
            assert_eq!(fixture.open(rule), lines, "{}", rule.meta().id);
            Fixture::new(&[(CONF, BEFORE)]).fix(&[rule]);
        }
        fixture.fix(&[
            &NetMac,
            &NetStatic,
            &NetNamePinned,
            &NetNoDhcp,
            &NetDhcpIdentity,
        ]);
        assert_eq!(fixture.text(CONF).unwrap(), AFTER);
    }

    #[test]
    fn what_gives_dhcp_to_every_nic_stays() {
        for text in [
            "hostname\nallowinterfaces en* eth*\n",
            "denyinterfaces veth* docker*\n",
            "interface wlan0\nnoipv4\n",
            "interface docker0\nstatic ip_address=172.17.0.1/16\n",
        ] {
            let fixture = Fixture::new(&[(CONF, text)]);
            for rule in [
                &NetStatic as &dyn crate::rules::Rule,
                &NetNamePinned,
                &NetNoDhcp,
            ] {
                assert_eq!(fixture.check(rule), [], "{text}");
            }
        }
        let off = Fixture::new(&[(CONF, "denyinterfaces eth0\nnoipv4\n")]);
        let warned = off.severities(&NetNoDhcp);
        assert_eq!(warned, vec![(CONF.to_owned(), Severity::Warning); 2]);
        off.fix(&[&NetNoDhcp]);
        assert_eq!(off.text(CONF).unwrap(), "denyinterfaces eth0\nnoipv4\n");
    }
}
