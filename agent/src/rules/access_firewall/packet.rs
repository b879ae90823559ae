//! The packets whose way through a firewall is asked for, and what becomes of them.

use std::net::Ipv4Addr;

use crate::root::GuestPath;

/// The first packet of a TCP connection, from or to anywhere, over a NIC whose name nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet {
    /// Where it goes; `None` for the instance itself, whose address nobody knows.
    pub destination: Option<Ipv4Addr>,
    /// The port it goes to.
    pub port: u16,
}

impl Packet {
    /// Someone logs in over SSH.
    pub(super) fn ssh(port: u16) -> Self {
        Self {
            destination: None,
            port,
        }
    }
}

/// What OCI serves below 169.254.0.0/16 and an instance needs: what it is, address and port.
pub(super) const SERVICES: [(&str, Ipv4Addr, u16); 2] = [
    (
        "the metadata service",
        Ipv4Addr::new(169, 254, 169, 254),
        80,
    ),
    ("the boot volume", Ipv4Addr::new(169, 254, 0, 2), 3260),
];

/// Whether a condition or a rule applies to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    /// Never.
    No,
    /// For some of the packets, or nobody can tell.
    Maybe,
    /// Always.
    Yes,
}

impl Match {
    /// The answer to a question that was understood.
    pub(super) fn when(applies: bool) -> Self {
        if applies { Self::Yes } else { Self::No }
    }

    /// The answer to the opposite question, if that is asked.
    pub(super) fn negated(self, negated: bool) -> Self {
        match self {
            Self::No if negated => Self::Yes,
            Self::Yes if negated => Self::No,
            other => other,
        }
    }
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It gets through.
    Open,
    /// It gets through from some addresses or interfaces.
    Partly(Place),
    /// It does not.
    Closed(Place),
}

/// Where that is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The file.
    pub path: GuestPath,
    /// The line, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

impl Fate {
    /// What becomes of a packet that has to pass both.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Open, fate) | (fate, Self::Open) => fate,
            (Self::Closed(place), _) | (_, Self::Closed(place)) => Self::Closed(place),
            (partly, _) => partly,
        }
    }
}

/// Whether a port is in a list such as `22,80:90`, ranges written with `:` or `-`, services by name.
pub(super) fn holds_port(set: &str, port: u16) -> bool {
    set.split(',').any(|item| {
        let (from, to) = item.split_once([':', '-']).unwrap_or((item, item));
        match (number(from), number(to)) {
            (Some(from), Some(to)) => (from..=to).contains(&port),
            _ => false,
        }
    })
}

fn number(name: &str) -> Option<u16> {
    match name.trim() {
        "ssh" => Some(22),
        "http" => Some(80),
        "iscsi-target" => Some(3260),
        number => number.parse().ok(),
    }
}

/// Whether an address is in a network such as `169.254.0.0/16` or `10.0.0.0/255.0.0.0`; `None` where
/// the text is none.
pub(super) fn holds_address(network: &str, address: Ipv4Addr) -> Option<bool> {
    let (base, prefix) = network.split_once('/').unwrap_or((network, "32"));
    let base: Ipv4Addr = base.parse().ok()?;
    let mask = match prefix.parse::<u32>() {
        Ok(length) if length <= 32 => u32::MAX.checked_shl(32 - length).unwrap_or(0),
        Ok(_) => return None,
        Err(_) => prefix.parse::<Ipv4Addr>().ok()?.to_bits(),
    };
    Some(base.to_bits() & mask == address.to_bits() & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_networks_hold_what_they_hold() {
        for (list, expected) in [
            ("22", true),
            ("ssh", true),
            ("80,20:25", true),
            ("20-21,443", false),
            ("", false),
        ] {
            assert_eq!(holds_port(list, 22), expected, "{list}");
        }
        let metadata = Ipv4Addr::new(169, 254, 169, 254);
        for (network, expected) in [
            ("169.254.0.0/16", Some(true)),
            ("169.254.169.254", Some(true)),
            ("169.254.0.0/255.255.255.0", Some(false)),
            ("0.0.0.0/0", Some(true)),
            ("10.0.0.0/8", Some(false)),
            ("10.0.0.0/33", None),
            ("web", None),
        ] {
            assert_eq!(holds_address(network, metadata), expected, "{network}");
        }
    }
}
