//! What single settings say: an own MAC, a static address, what lies on the interface.

use std::net::IpAddr;

use super::file::{Definition, Source};
use crate::parse::mac;
use crate::parse::unit_file::{Entry, Section};

/// An assignment in a file.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// The file.
    pub source: &'a Source,
    /// The assignment.
    pub entry: &'a Entry,
}

/// Whether an assignment gives an interface a literal MAC, or selects one by it.
pub fn is_own_mac(entry: &Entry) -> bool {
    let own = matches!(
        (entry.section.as_str(), entry.key.as_str()),
        ("Match", "MACAddress" | "PermanentMACAddress")
            | ("Link" | "NetDev" | "Peer" | "SR-IOV", "MACAddress")
            | ("Bond", "AdActorSystem")
            | ("MACVLAN" | "MACVTAP", "SourceMACAddress")
    );
    own && !mac::find(&entry.value).is_empty()
}

/// The keys of `[Network]` by which an interface becomes a port of another.
const MASTERS: [&str; 4] = ["Bond", "Bridge", "VRF", "BatmanAdvanced"];
/// The keys of `[Network]` that put another interface on top of this one.
const UPPERS: [&str; 7] = [
    "VLAN", "MACVLAN", "MACVTAP", "IPVLAN", "IPVTAP", "MACsec", "IPoIB",
];

/// Whether a definition makes its interface a port of another.
pub fn is_port(definition: &Definition) -> bool {
    uppers(definition).any(|(setting, _)| MASTERS.contains(&setting.entry.key.as_str()))
}

/// The names that a definition's interface lies under.
pub fn uppers(definition: &Definition) -> impl Iterator<Item = (Setting<'_>, &str)> {
    definition.sources().flat_map(|source| {
        source
            .entries()
            .filter(|entry| {
                let key = entry.key.as_str();
                entry.section == "Network" && (MASTERS.contains(&key) || UPPERS.contains(&key))
            })
            .flat_map(move |entry| {
                let names = entry.value.split_whitespace();
                names.map(move |name| (Setting { source, entry }, name))
            })
    })
}

/// The assignments that give the interface static addresses, routes or resolvers. Of a section
/// that says nothing else they are all of its assignments.
pub fn statics(definition: &Definition) -> Vec<Setting<'_>> {
    let mut found = Vec::new();
    for source in definition.sources() {
        for section in &source.sections {
            let entries = section.entries.iter();
            let whole = is_static_section(section);
            found.extend(
                entries
                    .filter(|entry| whole || is_static(entry))
                    .map(|entry| Setting { source, entry }),
            );
        }
    }
    found
}

/// Whether a whole section is about a static address or about what hangs on one.
fn is_static_section(section: &Section) -> bool {
    let literal = |keys: &[&str]| {
        section
            .entries
            .iter()
            .any(|entry| keys.contains(&entry.key.as_str()) && is_literal(&entry.value))
    };
    match section.name.as_str() {
        "Address" => literal(&["Address"]),
        "Route" => literal(&["Gateway", "PreferredSource", "MultiPathRoute"]),
        "NextHop" => literal(&["Gateway"]),
        "RoutingPolicyRule" => literal(&["From"]),
        _ => false,
    }
}

fn is_static(entry: &Entry) -> bool {
    match (entry.section.as_str(), entry.key.as_str()) {
        ("Network", "Address" | "Gateway") => is_literal(&entry.value),
        ("Network", "DNS") => !entry.value.is_empty(),
        (
            "Network" | "IPv6AcceptRA" | "DHCPPrefixDelegation" | "DHCPv6PrefixDelegation",
            "IPv6Token" | "Token",
        ) => {
            let token = entry.value.strip_prefix("static:");
            is_literal(token.unwrap_or(&entry.value))
        }
        _ => false,
    }
}

/// Whether a value begins with an IP address; `_dhcp4`, for one, is none.
fn is_literal(value: &str) -> bool {
    let end = value
        .find(|c: char| c == '/' || c == '@' || c == '%' || c.is_whitespace())
        .unwrap_or(value.len());
    value[..end].parse::<IpAddr>().is_ok()
}

/// Whether an assignment tells the DHCP client who it is, or which address it had.
pub fn is_identity(entry: &Entry, section: &Section) -> bool {
    if entry.value.is_empty() {
        return false;
    }
    let given = |key: &str| {
        section
            .entries
            .iter()
            .any(|entry| entry.key == key && !entry.value.is_empty())
    };
    match (section.name.as_str(), entry.key.as_str()) {
        ("DHCP" | "DHCPv4" | "DHCPv6", "DUIDRawData" | "IAID" | "RequestAddress") => true,
        // Without the data the type means nothing to older versions, which then fail.
        ("DHCP" | "DHCPv4" | "DHCPv6", "DUIDType") => given("DUIDRawData"),
        ("DHCP" | "DHCPv4", "SendOption") => entry.value.starts_with("61:"),
        ("DHCPv6", "SendOption") => entry.value.starts_with("1:"),
        _ => false,
    }
}
