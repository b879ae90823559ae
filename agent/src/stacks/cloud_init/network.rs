//! Configurations of the network that cloud-init is given: `network:` in its own configuration,
//! those of seeds, and `network-config=` on the kernel command line.
//!
//! Each of them comes before what OCI says and was made for the old NIC, so each goes as a whole,
//! every other byte staying. `network: {config: disabled}` is none; it stays.

use std::net::IpAddr;

use super::super::{Aspect, note};
use super::config::{self, File, MAIN, OVERRIDES};
use super::seed;
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::kernel_cmdline::{self, value_of};
use crate::parse::kargs::ArgEdit;
use crate::parse::mac;
use crate::parse::yaml_keys::{self, Entry, without_comment};
use crate::root::GuestPath;

/// The argument that gives a configuration of the network, or none at all.
const ARGUMENT: &str = "network-config";

/// Whether cloud-init is told to leave the network alone.
///
/// # Errors
///
/// The guest could not be read.
pub fn is_disabled(guest: &Guest<'_>) -> Result<bool, Error> {
    let copies = kernel_cmdline::copies(guest)?;
    let by_argument = copies
        .iter()
        .any(|copy| copy.value(ARGUMENT) == Some("disabled"));
    let files = config::read_all(guest)?;
    let mut entries = files.iter().filter_map(|file| file.entry("network"));
    Ok(by_argument || entries.any(|entry| entry.get("config") == "disabled"))
}

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(aspect: Aspect, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let mut defects = Vec::new();
    for part in parts(guest)? {
        defects.extend(part.defects(aspect));
    }
    match aspect {
        Aspect::Mac => check_other_lines(guest, &mut defects)?,
        Aspect::Name => {
            for copy in kernel_cmdline::copies(guest)? {
                let args = copy
                    .kargs
                    .args
                    .iter()
                    .filter(|arg| is_configuration(&arg.text));
                defects.extend(args.map(|arg| {
                    Defect::in_file(
                        &copy.path,
                        "cloud-init is given the network of the old machine",
                    )
                    .at_line(arg.line)
                    .evidence(format!("{ARGUMENT}=…"))
                    .hint("remove the argument from every copy of the command line")
                }));
            }
        }
        _ => {}
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(aspect: Aspect, guest: &mut Guest<'_>) -> Result<(), Error> {
    for part in parts(guest)? {
        if !part.defects(aspect).is_empty() {
            part.remove(guest)?;
        }
    }
    if aspect == Aspect::Name {
        kernel_cmdline::edit(guest, &mut |arg| {
            if is_configuration(&arg.text) {
                ArgEdit::Remove
            } else {
                ArgEdit::Keep
            }
        })?;
    }
    Ok(())
}

fn is_configuration(arg: &str) -> bool {
    value_of(arg, ARGUMENT).is_some_and(|value| value != "disabled" && !value.is_empty())
}

/// A configuration of the network.
struct Part {
    file: File,
    /// The key that holds it; `None` where the whole file does.
    key: Option<&'static str>,
}

impl Part {
    fn entries(&self) -> Vec<&Entry> {
        let named = |entry: &&Entry| Some(entry.key.as_str()) == self.key;
        self.file.entries.iter().filter(named).collect()
    }

    /// Its lines: their numbers, from 0, and what takes effect of them.
    fn lines(&self) -> Vec<(usize, &str)> {
        let entries = self.entries();
        let holds = |number: usize| {
            self.key.is_none() || entries.iter().any(|entry| entry.lines.contains(&number))
        };
        let lines = self.file.text.lines().enumerate();
        lines
            .filter(|(number, _)| holds(*number))
            .map(|(number, line)| (number, without_comment(line)))
            .filter(|(_, line)| !line.trim().is_empty())
            .collect()
    }

    fn defects(&self, aspect: Aspect) -> Vec<Defect> {
        let lines = self.lines();
        let mut found = lines.iter().filter(|(_, line)| match aspect {
            Aspect::Mac => !mac::find(line).is_empty(),
            Aspect::Address => names_address(line),
            _ => true,
        });
        let message = match aspect {
            Aspect::Mac => "cloud-init binds the network to the old MAC",
            Aspect::Address => "cloud-init is given a static address",
            _ => "cloud-init is given the network of the old machine",
        };
        let defect = |(number, line): &(usize, &str)| {
            Defect::in_file(&self.file.path, message)
                .at_line(number + 1)
                .evidence(line.trim())
                .hint("remove it; cloud-init asks OCI how the NIC is to be set up")
        };
        if aspect == Aspect::Mac {
            found.map(defect).collect()
        } else {
            found.next().map(defect).into_iter().collect()
        }
    }

    fn remove(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        let path = &self.file.path;
        if self.key.is_none() {
            return guest.remove(path);
        }
        let anew = self.file.without(&self.entries());
        let is_override = path.is_below(&OVERRIDES.into());
        if is_override && yaml_keys::is_empty(&anew) {
            guest.remove(path)
        } else {
            guest.write_text(path, &anew)
        }
    }
}

/// Every configuration of the network.
fn parts(guest: &Guest<'_>) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    for file in config::read_all(guest)? {
        let entry = file.entry("network");
        if entry.is_some_and(|entry| !entry.entries().is_empty() && !says_disabled(entry)) {
            let key = Some("network");
            parts.push(Part { file, key });
        }
    }
    for seed in seed::read_all(guest)? {
        if let Some(file) = seed.network_config {
            parts.push(Part { file, key: None });
        }
        let key = "network-interfaces";
        if let Some(file) = seed.meta_data.filter(|file| file.entry(key).is_some()) {
            let key = Some(key);
            parts.push(Part { file, key });
        }
    }
    Ok(parts)
}

fn says_disabled(network: &Entry) -> bool {
    network.get("config") == "disabled"
}

/// Whether a line names an IP address.
fn names_address(line: &str) -> bool {
    line.split(|c: char| c.is_whitespace() || matches!(c, ',' | '"' | '\'' | '[' | ']' | '{' | '}'))
        .filter_map(|word| word.split('/').next())
        .filter_map(|word| word.parse::<IpAddr>().ok())
        .any(|address| !address.is_unspecified() && !address.is_loopback())
}

/// MACs elsewhere in cloud-init's configuration: a command with one is worth a warning.
fn check_other_lines(guest: &Guest<'_>, defects: &mut Vec<Defect>) -> Result<(), Error> {
    let mut paths = guest.list(&OVERRIDES.into())?;
    paths.insert(0, GuestPath::from(MAIN));
    for path in paths {
        let Some(file) = File::read(guest, path)? else {
            continue;
        };
        let is_read = file.path.has_suffix(".cfg");
        for (number, line) in file.text.lines().enumerate() {
            let mut entries = file
                .entries
                .iter()
                .filter(|entry| entry.lines.contains(&number));
            let in_network = is_read && entries.any(|entry| entry.key == "network");
            let effective = is_read && !mac::find(without_comment(line)).is_empty();
            if in_network && effective {
                continue;
            }
            let Some(mut defect) = note(&file.path, number, line, "a text that is not read") else {
                continue;
            };
            if effective {
                defect = defect.severity(Severity::Warning);
                "cloud-init's configuration names a MAC".clone_into(&mut defect.message);
                "see whether it is still wanted".clone_into(&mut defect.hint);
            }
            defects.push(defect);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;
    use crate::rules::net_mac::NetMac;
    use crate::rules::net_name_pinned::NetNamePinned;
    use crate::rules::net_no_dhcp::NetNoDhcp;
    use crate::rules::net_static::NetStatic;

    const CURTIN: &str = "/etc/cloud/cloud.cfg.d/50-curtin-networking.cfg";
    const NETWORK: &str = "# made by curtin\nnetwork:\n  config:\n  - name: ens3\n    mac_address: '52:54:00:12:34:56'\n    \
        subnets:\n    - {type: static, address: 192.0.2.41/24}\n  version: 1\n";
    const SEED: &str = "/var/lib/cloud/seed/nocloud-net/network-config";
    const META_DATA: &str = "/var/lib/cloud/seed/nocloud-net/meta-data";
    const PROGRAM: (&str, &str) = ("/usr/bin/cloud-init", "");

    #[test]
    fn configurations_of_the_old_network_go() {
        let main = "users:\n- default\n# 52:54:00:12:34:57\nnetwork:\n  version: 2\n  ethernets:\n    ens3:\n      match: {macaddress: \"52:54:00:12:34:56\"}\n\
            \n# logs\noutput: {all: '| tee'}\r\nbootcmd:\n- ip link set eth0 address 52:54:00:12:34:58\n";
        let left = "users:\n- default\n# 52:54:00:12:34:57\n\n# logs\noutput: {all: '| tee'}\r\nbootcmd:\n- ip link set eth0 address 52:54:00:12:34:58\n";
        let fixture = Fixture::debian(&[
            PROGRAM,
            (MAIN, main),
            (CURTIN, NETWORK),
            ("/etc/cloud/cloud.cfg.d/README", "52:54:00:12:34:56\n"),
            (
                SEED,
                "version: 2\nethernets:\n  id0:\n    match: {macaddress: '52:54:00:12:34:56'}\n",
            ),
            (
                META_DATA,
                "instance-id: x\nnetwork-interfaces: |\n  iface eth0 inet static\n  address 192.0.2.41\n",
            ),
        ]);
        assert_eq!(
            fixture.open(&NetMac),
            [
                format!("{MAIN}:8"),
                format!("{CURTIN}:5"),
                format!("{SEED}:4")
            ]
        );
        assert_eq!(
            fixture.open(&NetStatic),
            [format!("{CURTIN}:7"), format!("{META_DATA}:4")]
        );
        assert_eq!(
            fixture.open(&NetNamePinned),
            [
                format!("{MAIN}:4"),
                format!("{CURTIN}:2"),
                format!("{SEED}:1"),
                format!("{META_DATA}:2"),
            ]
        );
        fixture.fix(&[&NetMac, &NetStatic, &NetNamePinned, &NetNoDhcp]);
        assert_eq!(fixture.text(MAIN).unwrap(), left);
        assert!(!fixture.has(CURTIN) && !fixture.has(SEED));
        assert_eq!(fixture.text(META_DATA).unwrap(), "instance-id: x\n");
        let severities: Vec<Severity> = fixture
            .severities(&NetMac)
            .into_iter()
            .map(|found| found.1)
            .collect();
        assert_eq!(
            severities,
            [Severity::Note, Severity::Warning, Severity::Note]
        );
    }

    #[test]
    fn a_disabled_network_stays_disabled() {
        const FILE: &str = "/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg";
        for text in [
            "network: {config: disabled}\n",
            "network:\n  config: disabled\n",
            "network: {\"config\": \"disabled\"}",
        ] {
            let fixture = Fixture::debian(&[PROGRAM, (FILE, text)]);
            fixture.fix(&[&NetMac, &NetStatic, &NetNamePinned]);
            assert_eq!(fixture.text(FILE).unwrap(), text);
            assert!(fixture.with(|guest| is_disabled(guest).unwrap()));
        }
    }

    #[test]
    fn a_configuration_on_the_kernel_command_line() {
        const GRUB: &str = "/etc/default/grub";
        for (argument, disabled, left) in [
            ("network-config=disabled", true, " network-config=disabled"),
            ("network-config=dmVyc2lvbjogMQo=", false, ""),
        ] {
            let text = format!("GRUB_CMDLINE_LINUX=\"quiet {argument}\"\n");
            let fixture = Fixture::debian(&[PROGRAM, (GRUB, &text)]);
            assert_eq!(fixture.with(|guest| is_disabled(guest).unwrap()), disabled);
            fixture.fix(&[&NetNamePinned]);
            assert_eq!(
                fixture.text(GRUB).unwrap(),
                format!("GRUB_CMDLINE_LINUX=\"quiet{left}\"\n")
            );
        }
    }
}
