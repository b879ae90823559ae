//! A connection profile: what it is for, and what binds it.

use super::super::device::Device;
use crate::guest::Owner;
use crate::parse::glob;
use crate::parse::keyfile::{Entry, KeyFile, items};
use crate::root::GuestPath;

/// The groups of an Ethernet connection.
const ETHERNET: [&str; 2] = ["ethernet", "802-3-ethernet"];
/// The groups that tell the type where `[connection]` does not.
const TYPE_GROUPS: [&str; 24] = [
    "bond",
    "team",
    "bridge",
    "vlan",
    "macvlan",
    "vrf",
    "infiniband",
    "pppoe",
    "wifi",
    "802-11-wireless",
    "gsm",
    "cdma",
    "bluetooth",
    "wireguard",
    "vpn",
    "tun",
    "dummy",
    "vxlan",
    "macsec",
    "ip-tunnel",
    "veth",
    "loopback",
    "ethernet",
    "802-3-ethernet",
];
/// What a switch that is off may say.
const FALSE: [&str; 4] = ["false", "no", "off", "0"];

/// A profile that `NetworkManager` reads.
#[derive(Debug)]
pub struct Profile {
    /// Its file.
    pub path: GuestPath,
    /// What the file says.
    pub file: KeyFile,
    /// Whether a package brought it.
    pub vendor: bool,
    /// Whether owner and permissions are such that `NetworkManager` takes it.
    pub trusted: bool,
    /// The name under which others lie on it: its interface, or one that nothing else has.
    pub node: String,
    /// What it is for.
    pub device: Device,
}

/// Whether a file of `/etc/NetworkManager/system-connections` is read as a profile. Of what looks
/// like a backup, only `~` and endings of six letters or digits are left out; `.bak` is read.
pub fn is_read(name: &str) -> bool {
    let temporary = name.rsplit_once('.').is_some_and(|(_, ending)| {
        ending.len() == 6 && ending.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    !name.starts_with('.') && !name.ends_with('~') && !temporary && !is_certificate(name)
}

/// Whether a file is a certificate that a profile names.
pub fn is_certificate(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| {
        ending.eq_ignore_ascii_case("pem") || ending.eq_ignore_ascii_case("der")
    })
}

/// Whether `NetworkManager` takes a file of this owner; `root` owns the guest.
pub fn is_trusted(owner: Owner, root: u32) -> bool {
    const OTHERS: u32 = 0o077;
    (owner.uid == 0 || owner.uid == root) && owner.mode & OTHERS == 0
}

impl Profile {
    /// The type of its connection, by its new name.
    pub fn kind(&self) -> &str {
        let kind = match self.file.get(&["connection"], "type") {
            Some(entry) => entry.value,
            None => TYPE_GROUPS
                .into_iter()
                .find(|group| self.file.has_group(&[group]))
                .unwrap_or_default(),
        };
        match kind {
            "802-3-ethernet" => "ethernet",
            "802-11-wireless" => "wifi",
            kind => kind,
        }
    }

    /// The name of its interface.
    pub fn interface(&self) -> Option<Entry<'_>> {
        // Where it stood before NetworkManager 0.9.10.
        const OLD: [&str; 4] = ["bond", "bridge", "team", "vlan"];
        let old = || self.file.get(&OLD, "interface-name");
        let entry = self.file.get(&["connection"], "interface-name");
        entry.or_else(old).filter(|entry| !entry.value.is_empty())
    }

    /// Its UUID, in lower case.
    pub fn uuid(&self) -> Option<String> {
        let entry = self.file.get(&["connection"], "uuid")?;
        let uuid = entry.value.to_ascii_lowercase();
        // It becomes a file name.
        let plain = |c: char| c.is_ascii_hexdigit() || c == '-';
        (uuid.len() == 36 && uuid.chars().all(plain)).then_some(uuid)
    }

    /// What it is a port of: the name of an interface, or a UUID.
    pub fn controller(&self) -> Option<Entry<'_>> {
        let anew = self.file.get(&["connection"], "controller");
        anew.or_else(|| self.file.get(&["connection"], "master"))
    }

    /// What it lies on: the name of an interface, a UUID or a MAC.
    pub fn parent(&self) -> Option<Entry<'_>> {
        let kinds = [
            "vlan",
            "macvlan",
            "vxlan",
            "macsec",
            "ip-tunnel",
            "pppoe",
            "infiniband",
            "ipvlan",
            "6lowpan",
        ];
        let parent = self.file.get(&kinds, "parent");
        parent.filter(|entry| !entry.value.is_empty())
    }

    /// The MAC of the NIC that it is for.
    pub fn permanent_mac(&self) -> Option<Entry<'_>> {
        let groups = [ETHERNET[0], ETHERNET[1], "infiniband"];
        let mac = self.file.get(&groups, "mac-address");
        mac.filter(|entry| !entry.value.is_empty())
    }

    /// What restricts it to some NICs, other than a name or a MAC: a `[match]` that some of these
    /// names do not meet, or a NIC of another architecture.
    pub fn restriction(&self, nics: &[&str]) -> Option<Entry<'_>> {
        self.file.entries().find(|entry| {
            let value = entry.value;
            match entry.group {
                "match" if entry.key == "interface-name" => {
                    !nics.iter().all(|nic| meets(value, nic))
                }
                "match" => !value.is_empty(),
                group if ETHERNET.contains(&group) => {
                    entry.key == "s390-subchannels" && !value.is_empty()
                }
                _ => false,
            }
        })
    }

    /// Whether it is brought up without being asked for.
    pub fn is_automatic(&self) -> bool {
        let automatic = self.file.get(&["connection"], "autoconnect");
        let permissions = self.file.get(&["connection"], "permissions");
        !automatic.is_some_and(|entry| is_false(entry.value))
            && permissions.is_none_or(|entry| entry.value.is_empty())
    }

    /// What keeps it from giving DHCPv4 and a route to whichever NIC takes it.
    pub fn obstacle(&self) -> Option<Entry<'_>> {
        let method = self.file.get(&["ipv4"], "method");
        method.filter(|entry| entry.value != "auto").or_else(|| {
            self.file.entries().find(|entry| match entry.group {
                "802-1x" => entry.key == "eap",
                "ipv4" => {
                    matches!(entry.key, "never-default" | "ignore-auto-routes")
                        && !is_false(entry.value)
                }
                _ => false,
            })
        })
    }

    /// Whether it gives DHCPv4 at boot to whichever NIC appears.
    pub fn is_dhcp_for_any(&self) -> bool {
        self.competes() && self.obstacle().is_none()
    }

    /// Whether it takes whichever NIC appears at boot.
    pub fn competes(&self) -> bool {
        self.device == Device::Any
            && self.trusted
            && self.is_automatic()
            && self.file.fault().is_none()
    }
}

/// Whether a switch is off.
pub fn is_false(value: &str) -> bool {
    FALSE.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Whether a name meets the patterns of `[match]`: one of those that are not marked, all of those
/// marked `&`, and none marked `!`.
fn meets(patterns: &str, name: &str) -> bool {
    let (mut optional, mut met) = (false, false);
    for pattern in items(patterns) {
        let (mandatory, pattern) = match pattern.strip_prefix('&') {
            Some(rest) => (true, rest),
            None => (false, pattern.strip_prefix('|').unwrap_or(pattern)),
        };
        let hit = match pattern.strip_prefix('!') {
            Some(rest) => !glob::matches(rest, name),
            None => glob::matches(pattern, name),
        };
        let mandatory = mandatory || pattern.starts_with('!');
        if mandatory && !hit {
            return false;
        }
        optional |= !mandatory;
        met |= !mandatory && hit;
    }
    met || !optional
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_that_are_read() {
        for (name, expected) in [
            ("eth0", true),
            ("Wired connection 1", true),
            ("eth0.nmconnection", true),
            ("eth0.nmconnection.bak", true),
            ("eth0.rpmsave", true),
            ("eth0.rpmnew", false),
            ("eth0.nmconnection.Xa81Zq", false),
            ("eth0.nmconnection~", false),
            (".eth0.nmconnection", false),
            ("ca.PEM", false),
            ("", true),
        ] {
            assert_eq!(is_read(name), expected, "{name}");
        }
    }

    #[test]
    fn patterns_of_match() {
        for (patterns, expected) in [
            ("e*", true),
            ("en*;eth*;", true),
            ("eth*", false),
            ("!wl*", true),
            ("&e*;!eth0", false),
            ("|ens3;|eth0", true),
            ("", true),
        ] {
            let all = ["eth0", "ens3"].iter().all(|nic| meets(patterns, nic));
            assert_eq!(all, expected, "{patterns}");
        }
    }
}
