//! What the guest does on the network, judged from its frames.
//!
//! A guest that is free of its past sends from the MAC address it was given and from the address
//! it leased, and calls no iSCSI portal. Self-assigned 169.254/16 addresses count as foreign too:
//! OCI keeps that network for itself. IPv6 is not offered, so only link-local addresses are due.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::dhcp::{CLIENT_PORT, Kind, Message, SERVER_PORT};
use super::frame::{Frame, Payload, Protocol, Transport};
use super::mac::Mac;
use super::machine::is_network_host;
use super::seconds::Seconds;

/// The port of iSCSI portals (RFC 7143).
const ISCSI_PORT: u16 = 3260;
/// OCI's own boot volume: its images may look for it.
const OCI_BOOT_PORTAL: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 0, 2));
/// How many different things of one sort are remembered.
const MAX_KINDS: usize = 64;

/// A lease that the network gave to the new MAC address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Who gave it.
    pub server: Option<Ipv4Addr>,
    /// When it was acknowledged.
    pub seconds: Seconds,
}

/// A DHCP message for the new MAC address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DhcpEvent {
    /// What it says.
    pub kind: Kind,
    /// When.
    pub seconds: Seconds,
    /// The address that is asked for or given.
    pub address: Option<Ipv4Addr>,
}

/// Something the guest would do only because of where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind", content = "subject")]
pub enum Offence {
    /// A frame from another MAC address.
    EthernetSource(Mac),
    /// ARP in the name of another MAC address.
    ArpSender(Mac),
    /// DHCP for another MAC address.
    DhcpClient(Mac),
    /// A DHCP client identifier made of another MAC address.
    DhcpClientId(Mac),
    /// A packet, or ARP, from an address that was not leased.
    SourceAddress(IpAddr),
    /// A packet to an iSCSI portal.
    IscsiPortal(IpAddr),
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EthernetSource(mac) => write!(f, "frames came from the old MAC address {mac}"),
            Self::ArpSender(mac) => write!(f, "ARP spoke for the old MAC address {mac}"),
            Self::DhcpClient(mac) => write!(f, "DHCP asked for the old MAC address {mac}"),
            Self::DhcpClientId(mac) => {
                write!(
                    f,
                    "the DHCP client identifier holds the old MAC address {mac}"
                )
            }
            Self::SourceAddress(address) => {
                write!(f, "packets came from {address}, which was not leased")
            }
            Self::IscsiPortal(address) => write!(f, "the iSCSI portal {address} was called"),
        }
    }
}

/// An [`Offence`] and its frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Violation {
    /// What.
    #[serde(flatten)]
    pub offence: Offence,
    /// When first.
    pub first_seconds: Seconds,
    /// In how many frames.
    pub frames: u64,
}

/// What the guest did so far.
#[derive(Debug)]
pub struct Traffic {
    mac: Mac,
    frames: u64,
    dhcp: Vec<DhcpEvent>,
    lease: Option<Lease>,
    leased: BTreeSet<Ipv4Addr>,
    suspects: BTreeMap<Offence, (Duration, u64)>,
    calls: BTreeSet<SocketAddr>,
}

impl Traffic {
    /// Nothing yet, from the guest whose NIC is `mac`.
    pub fn new(mac: Mac) -> Self {
        Self {
            mac,
            frames: 0,
            dhcp: Vec::new(),
            lease: None,
            leased: BTreeSet::new(),
            suspects: BTreeMap::new(),
            calls: BTreeSet::new(),
        }
    }

    /// Looks at one frame of the capture.
    pub fn observe(&mut self, at: Duration, bytes: &[u8]) {
        let Some(frame) = Frame::parse(bytes) else {
            return;
        };
        let from_guest = !is_network_host(frame.source);
        if from_guest {
            self.frames += 1;
            if frame.source != self.mac {
                self.suspect(at, Offence::EthernetSource(frame.source));
            }
        }
        match frame.payload {
            Payload::Arp { sender_mac, sender } if from_guest => {
                if sender_mac != self.mac {
                    self.suspect(at, Offence::ArpSender(sender_mac));
                }
                self.source_address(at, sender.into());
            }
            Payload::Ip {
                source,
                destination,
                transport,
            } => {
                if from_guest {
                    self.source_address(at, source);
                }
                if let Some(transport) = transport {
                    self.transport(at, from_guest, destination, &transport);
                }
            }
            Payload::Arp { .. } | Payload::Other => {}
        }
    }

    /// The guest starts anew: what it asked for and got before proves nothing any more, what it
    /// should not have done stays.
    pub fn restart(&mut self) {
        self.dhcp.clear();
        self.lease = None;
    }

    /// The first lease.
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Whether the guest has asked for a lease: only a running kernel does.
    pub fn asked(&self) -> bool {
        !self.dhcp.is_empty()
    }

    /// Everything that was wrong, in the order of its kind.
    pub fn violations(&self) -> Vec<Violation> {
        self.suspects
            .iter()
            .filter(|(offence, _)| match offence {
                Offence::SourceAddress(IpAddr::V4(address)) => !self.leased.contains(address),
                _ => true,
            })
            .map(|(&offence, &(first, frames))| Violation {
                offence,
                first_seconds: Seconds(first),
                frames,
            })
            .collect()
    }

    /// Addresses that the guest asked for because it once had them.
    pub fn remembered(&self) -> BTreeSet<Ipv4Addr> {
        let given: BTreeSet<_> = self
            .dhcp
            .iter()
            .filter(|event| matches!(event.kind, Kind::Offer | Kind::Ack))
            .filter_map(|event| event.address)
            .collect();
        self.dhcp
            .iter()
            .filter(|event| matches!(event.kind, Kind::Discover | Kind::Request))
            .filter_map(|event| event.address)
            .filter(|address| !given.contains(address))
            .collect()
    }

    /// What the report says.
    pub fn summary(&self) -> Summary {
        Summary {
            guest_frames: self.frames,
            dhcp: self.dhcp.clone(),
            tcp_calls: self.calls.clone(),
        }
    }

    fn transport(
        &mut self,
        at: Duration,
        from_guest: bool,
        destination: IpAddr,
        transport: &Transport<'_>,
    ) {
        let ports = (transport.source_port, transport.destination_port);
        if transport.protocol == Protocol::Udp {
            let dhcp = match ports {
                (_, SERVER_PORT) => from_guest,
                (SERVER_PORT, CLIENT_PORT) => !from_guest,
                _ => false,
            };
            if dhcp && let Some(message) = Message::parse(transport.data) {
                self.dhcp(at, from_guest, &message);
            }
        }
        if !from_guest {
            return;
        }
        if ports.1 == ISCSI_PORT && destination != OCI_BOOT_PORTAL {
            self.suspect(at, Offence::IscsiPortal(destination));
        }
        if transport.protocol == (Protocol::Tcp { opens: true }) && self.calls.len() < MAX_KINDS {
            self.calls.insert(SocketAddr::new(destination, ports.1));
        }
    }

    fn dhcp(&mut self, at: Duration, from_guest: bool, message: &Message) {
        if message.client != self.mac {
            if from_guest {
                self.suspect(at, Offence::DhcpClient(message.client));
            }
            return;
        }
        if let Some(mac) = message.client_id
            && from_guest
            && mac != self.mac
        {
            self.suspect(at, Offence::DhcpClientId(mac));
        }
        let address = if from_guest {
            message.requested
        } else {
            Some(message.address)
        };
        if self.dhcp.len() < MAX_KINDS {
            self.dhcp.push(DhcpEvent {
                kind: message.kind,
                seconds: Seconds(at),
                address,
            });
        }
        if message.kind == Kind::Ack && !from_guest && !message.address.is_unspecified() {
            // From a network of 254 addresses.
            self.leased.insert(message.address);
            self.lease.get_or_insert(Lease {
                address: message.address,
                server: message.server,
                seconds: Seconds(at),
            });
        }
    }

    fn source_address(&mut self, at: Duration, address: IpAddr) {
        let due = match address {
            IpAddr::V4(address) => address.is_unspecified(),
            IpAddr::V6(address) => address.is_unspecified() || address.is_unicast_link_local(),
        };
        // Whether it was leased is asked at the end.
        if !due {
            self.suspect(at, Offence::SourceAddress(address));
        }
    }

    fn suspect(&mut self, at: Duration, offence: Offence) {
        if let Some((_, frames)) = self.suspects.get_mut(&offence) {
            *frames += 1;
        } else if self.suspects.len() < MAX_KINDS {
            self.suspects.insert(offence, (at, 1));
        }
    }
}

/// What the guest did on the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Summary {
    /// How many frames it sent.
    pub guest_frames: u64,
    /// The DHCP exchange for the new MAC address.
    pub dhcp: Vec<DhcpEvent>,
    /// Whom it called by TCP.
    pub tcp_calls: BTreeSet<SocketAddr>,
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::super::dhcp;
    use super::super::frame::build;
    use super::*;

    const NEW: Mac = Mac([2, 0, 0x17, 1, 2, 3]);
    const OLD: Mac = Mac([8, 0, 0x27, 9, 9, 9]);
    const ROUTER: Mac = Mac([0x52, 0x55, 10, 213, 71, 2]);
    const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
    const ALL: Ipv4Addr = Ipv4Addr::BROADCAST;
    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 213, 71, 2);
    const LEASE: Ipv4Addr = Ipv4Addr::new(10, 213, 71, 15);
    const FORMER: Ipv4Addr = Ipv4Addr::new(192, 168, 5, 9);
    const PORTAL: Ipv4Addr = Ipv4Addr::new(192, 168, 5, 1);

    fn from_client(kind: u8, client: Mac, options: &[u8]) -> Vec<u8> {
        let message = dhcp::build(kind, client, NOBODY, options);
        build::ipv4((NEW, NOBODY), ALL, 17, &build::udp(68, 67, &message))
    }

    fn from_server(kind: u8, client: Mac) -> Vec<u8> {
        let message = dhcp::build(kind, client, LEASE, &[54, 4, 10, 213, 71, 2]);
        build::ipv4((ROUTER, SERVER), ALL, 17, &build::udp(67, 68, &message))
    }

    fn seen(frames: &[Vec<u8>]) -> Traffic {
        let mut traffic = Traffic::new(NEW);
        for (second, frame) in (1..).zip(frames) {
            traffic.observe(Duration::from_secs(second), frame);
        }
        traffic
    }

    fn offences(frames: &[Vec<u8>]) -> Vec<Offence> {
        let violations = seen(frames).violations();
        violations.iter().map(|found| found.offence).collect()
    }

    /// A clean start: the four messages, a probe, an announcement, a call and link-local IPv6.
    fn clean() -> Vec<Vec<u8>> {
        let link_local = (NEW, "fe80::17ff:fe01:203".parse().unwrap());
        let routers = "ff02::2".parse().unwrap();
        vec![
            build::ipv6((NEW, Ipv6Addr::UNSPECIFIED), routers, 58, &[133]),
            from_client(1, NEW, &[]),
            from_server(2, NEW),
            from_client(3, NEW, &[50, 4, 10, 213, 71, 15]),
            from_server(5, NEW),
            build::arp(NEW, NOBODY, LEASE),
            build::arp(NEW, LEASE, LEASE),
            build::arp(ROUTER, SERVER, LEASE),
            build::ipv6(link_local, routers, 58, &[133]),
            build::ipv4((NEW, LEASE), PORTAL, 6, &build::tcp_syn(443)),
            build::ipv4(
                (NEW, LEASE),
                [169, 254, 0, 2].into(),
                6,
                &build::tcp_syn(3260),
            ),
        ]
    }

    #[test]
    fn a_clean_start_has_a_lease_and_no_violation() {
        let traffic = seen(&clean());
        assert_eq!(traffic.violations(), []);
        assert!(traffic.remembered().is_empty());
        let expected = Lease {
            address: LEASE,
            server: Some(SERVER),
            seconds: Seconds(Duration::from_secs(5)),
        };
        assert_eq!(traffic.lease(), Some(&expected));
        let summary = traffic.summary();
        let kinds: Vec<_> = summary.dhcp.iter().map(|event| event.kind).collect();
        assert_eq!(
            kinds,
            [Kind::Discover, Kind::Offer, Kind::Request, Kind::Ack]
        );
        assert_eq!((summary.guest_frames, summary.tcp_calls.len()), (8, 2));
    }

    #[test]
    fn each_remnant_is_a_violation() {
        let address = |address: Ipv4Addr| Offence::SourceAddress(address.into());
        let id = [61, 7, 1, 8, 0, 0x27, 9, 9, 9];
        let global: Ipv6Addr = "2001:db8::9".parse().unwrap();
        let link_local = Ipv4Addr::new(169, 254, 7, 7);
        for (frame, expected) in [
            (
                build::ethernet(OLD, 0x88cc, &[]),
                vec![Offence::EthernetSource(OLD)],
            ),
            (
                build::tagged(&build::arp(OLD, FORMER, PORTAL)),
                vec![
                    Offence::EthernetSource(OLD),
                    Offence::ArpSender(OLD),
                    address(FORMER),
                ],
            ),
            (from_client(1, OLD, &[]), vec![Offence::DhcpClient(OLD)]),
            (from_client(1, NEW, &id), vec![Offence::DhcpClientId(OLD)]),
            (build::arp(NEW, FORMER, FORMER), vec![address(FORMER)]),
            (
                build::arp(NEW, link_local, link_local),
                vec![address(link_local)],
            ),
            (
                build::ipv6((NEW, global), global, 58, &[128]),
                vec![Offence::SourceAddress(global.into())],
            ),
            (
                build::ipv4((NEW, LEASE), PORTAL, 6, &build::tcp_syn(3260)),
                vec![Offence::IscsiPortal(PORTAL.into())],
            ),
        ] {
            assert_eq!(offences(&[clean(), vec![frame]].concat()), expected);
        }
    }

    #[test]
    fn an_address_must_have_been_leased_to_the_new_mac() {
        let arp = build::arp(NEW, LEASE, LEASE);
        let expected = [Offence::SourceAddress(LEASE.into())];
        assert_eq!(offences(&[from_server(5, OLD), arp.clone()]), expected);
        // A guest cannot acknowledge its own lease.
        let message = dhcp::build(5, NEW, LEASE, &[]);
        let forged = build::ipv4((NEW, NOBODY), ALL, 17, &build::udp(67, 68, &message));
        assert_eq!(offences(&[forged, arp]), expected);
    }

    #[test]
    fn a_restart_needs_a_new_lease_and_forgives_nothing() {
        let mut traffic = seen(&[clean(), vec![build::ethernet(OLD, 0x88cc, &[])]].concat());
        traffic.restart();
        assert_eq!((traffic.lease(), traffic.asked()), (None, false));
        assert_eq!(traffic.violations().len(), 1);
    }

    #[test]
    fn a_remembered_address_is_told() {
        let traffic = seen(&[from_client(3, NEW, &[50, 4, 192, 168, 5, 9])]);
        assert_eq!(traffic.remembered(), BTreeSet::from([FORMER]));
    }

    #[test]
    fn memory_is_bounded() {
        let frames: Vec<_> = (0..200)
            .map(|byte| build::ethernet(Mac([2, 0, 0, 0, 0, byte]), 0x88cc, &[]))
            .collect();
        assert_eq!(offences(&frames).len(), MAX_KINDS);
    }
}
