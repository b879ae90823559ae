//! ifcfg(5): one file for each interface, whose name is that of the interface.

use super::{DIR, ETH0};
use crate::error::Error;
use crate::guest::Guest;
use crate::parse::shell_vars::{self, Assignment};
use crate::root::GuestPath;

/// What the name of a profile begins with.
pub const PREFIX: &str = "ifcfg-";
/// What the name of a file that is passed over ends with.
const IGNORED: [&str; 8] = [
    "~",
    ".old",
    ".bak",
    ".orig",
    ".scpmbackup",
    ".rpmnew",
    ".rpmsave",
    ".rpmorig",
];
/// The values of `STARTMODE` that bring an interface up at boot.
const AT_BOOT: [&str; 6] = ["auto", "boot", "on", "onboot", "nfsroot", "hotplug"];
/// The variables that name the ports of a bridge, a bond or a team.
const PORTS: [&str; 4] = [
    "BRIDGE_PORTS",
    "BONDING_SLAVE",
    "TEAM_PORT_DEVICE",
    "OVS_BRIDGE_PORT_DEVICE",
];

/// A profile.
#[derive(Debug)]
pub struct Profile {
    /// The file.
    pub path: GuestPath,
    /// The interface.
    pub name: String,
    /// The file's text.
    pub text: String,
    /// What it sets.
    pub assignments: Vec<Assignment>,
}

impl Profile {
    /// A profile from the text of its file.
    pub fn new(path: GuestPath, name: &str, text: &str) -> Self {
        Self {
            path,
            name: name.to_owned(),
            text: text.to_owned(),
            assignments: shell_vars::assignments(text),
        }
    }

    /// The value of a variable, empty where it has none. The last one counts.
    pub fn value(&self, name: &str) -> &str {
        let last = self
            .assignments
            .iter()
            .rev()
            .find(|found| found.name == name);
        last.map_or("", |found| found.value.as_str().trim())
    }

    /// Whether a variable says yes.
    pub fn says_yes(&self, name: &str) -> bool {
        ["yes", "true", "on", "1"]
            .iter()
            .any(|yes| self.value(name).eq_ignore_ascii_case(yes))
    }

    /// The variables of these names, or of these names with a suffix, that have a value.
    pub fn with_prefix<'a>(&'a self, prefixes: &'a [&str]) -> impl Iterator<Item = &'a Assignment> {
        self.assignments.iter().filter(|found| {
            prefixes.iter().any(|prefix| found.name.starts_with(prefix))
                && !found.value.as_str().trim().is_empty()
        })
    }

    /// What it takes as ports.
    pub fn ports(&self) -> impl Iterator<Item = &str> {
        self.with_prefix(&PORTS)
            .flat_map(|found| found.value.as_str().split_whitespace())
    }

    /// Whether it gets an address by DHCPv4 at boot.
    pub fn is_dhcp_at_boot(&self) -> bool {
        let protocol = self.value("BOOTPROTO");
        AT_BOOT.contains(&self.value("STARTMODE"))
            && protocol
                .split('+')
                .any(|word| matches!(word, "dhcp" | "dhcp4"))
    }

    /// A line of the file, as it is written.
    pub fn line(&self, found: &Assignment) -> &str {
        let lines = self.text.get(found.lines.clone()).unwrap_or_default();
        lines.lines().next().unwrap_or_default()
    }
}

/// Every profile, in the order of the names.
///
/// # Errors
///
/// The guest could not be read.
pub fn read_all(guest: &Guest<'_>) -> Result<Vec<Profile>, Error> {
    let mut profiles = Vec::new();
    for path in guest.list(&DIR.into())? {
        let name = path.name().to_string_lossy().into_owned();
        let Some(interface) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if interface.is_empty() || is_ignored(&name) {
            continue;
        }
        if let Some(text) = guest.text(&path)? {
            profiles.push(Profile::new(path, interface, text.as_str()));
        }
    }
    Ok(profiles)
}

/// Whether wicked passes a file over for its name.
pub fn is_ignored(name: &str) -> bool {
    IGNORED.iter().any(|suffix| name.ends_with(suffix))
}

/// Where the profile of `eth0` is.
pub fn eth0() -> GuestPath {
    GuestPath::from(DIR).join(format!("{PREFIX}{ETH0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(text: &str) -> Profile {
        Profile::new("/x".into(), "eth0", text)
    }

    #[test]
    fn dhcp_at_boot() {
        for (text, expected) in [
            ("BOOTPROTO='dhcp'\nSTARTMODE='auto'\n", true),
            ("BOOTPROTO=dhcp4+auto6\nSTARTMODE=\"hotplug\"\n", true),
            (
                "BOOTPROTO='static'\nSTARTMODE=auto\nBOOTPROTO='dhcp'\n",
                true,
            ),
            ("BOOTPROTO='dhcp6'\nSTARTMODE='auto'\n", false),
            ("BOOTPROTO='dhcp'\nSTARTMODE='manual'\n", false),
            ("BOOTPROTO='dhcp'\n", false),
            ("# BOOTPROTO='dhcp'\nSTARTMODE='auto'\n", false),
        ] {
            assert_eq!(profile(text).is_dhcp_at_boot(), expected, "{text}");
        }
    }

    #[test]
    fn ports_of_every_kind() {
        let text = "BRIDGE_PORTS='eth0 tap0'\nBONDING_SLAVE_0=eth1\nBONDING_SLAVE1='eth2'\nTEAM_PORT_DEVICE_1='eth3'\n";
        let found = profile(text);
        let ports: Vec<&str> = found.ports().collect();
        assert_eq!(ports, ["eth0", "tap0", "eth1", "eth2", "eth3"]);
    }
}
