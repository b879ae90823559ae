//! One Ethernet frame, as far as the boot proof asks: who sends it, from which address, to which
//! port.
//!
//! Follows IEEE 802.3 and 802.1Q, RFC 826 (ARP), 791 (IPv4), 8200 (IPv6), 768 (UDP) and 9293 (TCP).
//! Whatever is cut off or malformed is [`Payload::Other`]; nothing is reassembled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::mac::Mac;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// 802.1Q and 802.1ad tags.
const ETHERTYPE_VLAN: [u16; 2] = [0x8100, 0x88a8];
/// Nobody stacks more tags or extension headers than this.
const MAX_NESTED: usize = 8;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;

/// An Ethernet frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Who sent it.
    pub source: Mac,
    /// What it carries.
    pub payload: Payload<'a>,
}

/// What a frame carries.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// An ARP packet.
    Arp {
        /// The sender's hardware address.
        sender_mac: Mac,
        /// The sender's protocol address; unspecified in a probe (RFC 5227).
        sender: Ipv4Addr,
    },
    /// An IP packet.
    Ip {
        /// From whom.
        source: IpAddr,
        /// To whom.
        destination: IpAddr,
        /// The first fragment of a TCP or UDP packet.
        transport: Option<Transport<'a>>,
    },
    /// Anything else.
    Other,
}

/// The ports of a packet.
#[derive(Debug, PartialEq, Eq)]
pub struct Transport<'a> {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// From which port.
    pub source_port: u16,
    /// To which port.
    pub destination_port: u16,
    /// The UDP payload; nothing for TCP.
    pub data: &'a [u8],
}

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP; `opens` says that the packet opens a connection (SYN without ACK).
    Tcp {
        /// SYN without ACK.
        opens: bool,
    },
    /// UDP.
    Udp,
}

impl<'a> Frame<'a> {
    /// Reads a frame; nothing where not even the Ethernet header is whole.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let source = mac_at(bytes, 6)?;
        let mut offset = 12;
        for _ in 0..MAX_NESTED {
            let ethertype = u16_at(bytes, offset)?;
            if ETHERTYPE_VLAN.contains(&ethertype) {
                offset += 4;
                continue;
            }
            let body = bytes.get(offset + 2..)?;
            let payload = match ethertype {
                ETHERTYPE_ARP => arp(body),
                ETHERTYPE_IPV4 => ipv4(body),
                ETHERTYPE_IPV6 => ipv6(body),
                _ => None,
            };
            return Some(Self {
                source,
                payload: payload.unwrap_or(Payload::Other),
            });
        }
        Some(Self {
            source,
            payload: Payload::Other,
        })
    }
}

fn arp<'a>(body: &[u8]) -> Option<Payload<'a>> {
    // Ethernet, IPv4, and the lengths of their addresses.
    if body.get(..6)? != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    Some(Payload::Arp {
        sender_mac: mac_at(body, 8)?,
        sender: ipv4_at(body, 14)?,
    })
}

fn ipv4(body: &[u8]) -> Option<Payload<'_>> {
    let first = *body.first()?;
    let header = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || header < 20 {
        return None;
    }
    let fragment_offset = u16_at(body, 6)? & 0x1fff;
    let protocol = *body.get(9)?;
    let transport = match body.get(header..) {
        Some(data) if fragment_offset == 0 => transport(protocol, data),
        _ => None,
    };
    Some(Payload::Ip {
        source: ipv4_at(body, 12)?.into(),
        destination: ipv4_at(body, 16)?.into(),
        transport,
    })
}

fn ipv6(body: &[u8]) -> Option<Payload<'_>> {
    if *body.first()? >> 4 != 6 {
        return None;
    }
    Some(Payload::Ip {
        source: ipv6_at(body, 8)?.into(),
        destination: ipv6_at(body, 24)?.into(),
        transport: ipv6_transport(*body.get(6)?, body.get(40..)?),
    })
}

/// Steps over the extension headers.
fn ipv6_transport(mut next: u8, mut data: &[u8]) -> Option<Transport<'_>> {
    for _ in 0..MAX_NESTED {
        match next {
            // Hop-by-hop, routing, destination options.
            0 | 43 | 60 => {
                let length = (usize::from(*data.get(1)?) + 1) * 8;
                next = *data.first()?;
                data = data.get(length..)?;
            }
            _ => return transport(next, data),
        }
    }
    None
}

fn transport(protocol: u8, segment: &[u8]) -> Option<Transport<'_>> {
    let (protocol, data) = match protocol {
        PROTOCOL_TCP => {
            let flags = *segment.get(13)?;
            let opens = flags & 0b1_0010 == 0b0_0010;
            (Protocol::Tcp { opens }, &segment[..0])
        }
        PROTOCOL_UDP => (Protocol::Udp, segment.get(8..)?),
        _ => return None,
    };
    Some(Transport {
        protocol,
        source_port: u16_at(segment, 0)?,
        destination_port: u16_at(segment, 2)?,
        data,
    })
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    array_at(bytes, offset).map(u16::from_be_bytes)
}

fn mac_at(bytes: &[u8], offset: usize) -> Option<Mac> {
    array_at(bytes, offset).map(Mac)
}

fn ipv4_at(bytes: &[u8], offset: usize) -> Option<Ipv4Addr> {
    array_at::<4>(bytes, offset).map(Ipv4Addr::from)
}

fn ipv6_at(bytes: &[u8], offset: usize) -> Option<Ipv6Addr> {
    array_at::<16>(bytes, offset).map(Ipv6Addr::from)
}

/// Builds frames for the tests of this and the neighbouring modules.
#[cfg(test)]
pub mod build {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::super::mac::Mac;

    pub fn ethernet(source: Mac, ethertype: u16, body: &[u8]) -> Vec<u8> {
        let mut frame = vec![0xff; 6];
        frame.extend(source.0);
        frame.extend(ethertype.to_be_bytes());
        frame.extend(body);
        frame
    }

    /// Puts an 802.1Q tag into a frame.
    pub fn tagged(frame: &[u8]) -> Vec<u8> {
        [&frame[..12], &[0x81, 0, 0, 42], &frame[12..]].concat()
    }

    pub fn arp(source: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
        let mut body = vec![0, 1, 8, 0, 6, 4, 0, 1];
        body.extend(source.0);
        body.extend(sender.octets());
        body.extend([0; 6]);
        body.extend(target.octets());
        ethernet(source, 0x0806, &body)
    }

    pub fn ipv4(from: (Mac, Ipv4Addr), to: Ipv4Addr, protocol: u8, data: &[u8]) -> Vec<u8> {
        let mut body = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
        let length = u16::try_from(20 + data.len()).unwrap();
        body[2..4].copy_from_slice(&length.to_be_bytes());
        body.extend(from.1.octets());
        body.extend(to.octets());
        body.extend(data);
        ethernet(from.0, 0x0800, &body)
    }

    pub fn ipv6(from: (Mac, Ipv6Addr), to: Ipv6Addr, next: u8, data: &[u8]) -> Vec<u8> {
        let mut body = vec![0x60, 0, 0, 0, 0, 0, next, 64];
        body.extend(from.1.octets());
        body.extend(to.octets());
        body.extend(data);
        ethernet(from.0, 0x86dd, &body)
    }

    pub fn udp(source: u16, destination: u16, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(8 + data.len()).unwrap();
        let mut datagram = Vec::new();
        for field in [source, destination, length, 0] {
            datagram.extend(field.to_be_bytes());
        }
        datagram.extend(data);
        datagram
    }

    pub fn tcp_syn(destination: u16) -> Vec<u8> {
        let mut segment = 40000_u16.to_be_bytes().to_vec();
        segment.extend(destination.to_be_bytes());
        segment.extend([0; 8]);
        segment.extend([0x50, 0x02, 0, 0, 0, 0, 0, 0]);
        segment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: Mac = Mac([2, 0, 0x17, 1, 2, 3]);
    const OLD: Ipv4Addr = Ipv4Addr::new(192, 168, 5, 9);
    const PEER: Ipv4Addr = Ipv4Addr::new(192, 168, 5, 1);

    fn syn<'a>() -> Transport<'a> {
        Transport {
            protocol: Protocol::Tcp { opens: true },
            source_port: 40000,
            destination_port: 3260,
            data: &[],
        }
    }

    #[test]
    fn arp_tells_its_sender_with_and_without_tags() {
        let plain = build::arp(GUEST, OLD, PEER);
        for bytes in [build::tagged(&build::tagged(&plain)), plain] {
            let frame = Frame::parse(&bytes).unwrap();
            assert_eq!(frame.source, GUEST);
            let expected = Payload::Arp {
                sender_mac: GUEST,
                sender: OLD,
            };
            assert_eq!(frame.payload, expected);
        }
    }

    #[test]
    fn packets_tell_addresses_and_ports() {
        let udp = build::udp(68, 67, b"hello");
        let bytes = build::ipv4((GUEST, OLD), PEER, 17, &udp);
        let expected = Payload::Ip {
            source: OLD.into(),
            destination: PEER.into(),
            transport: Some(Transport {
                protocol: Protocol::Udp,
                source_port: 68,
                destination_port: 67,
                data: b"hello",
            }),
        };
        assert_eq!(Frame::parse(&bytes).unwrap().payload, expected);

        let from: Ipv6Addr = "fe80::1".parse().unwrap();
        let to: Ipv6Addr = "2001:db8::2".parse().unwrap();
        // A destination-options header of eight bytes comes before the segment.
        let data = [&[6, 0, 1, 4, 0, 0, 0, 0][..], &build::tcp_syn(3260)].concat();
        let bytes = build::ipv6((GUEST, from), to, 60, &data);
        let expected = Payload::Ip {
            source: from.into(),
            destination: to.into(),
            transport: Some(syn()),
        };
        assert_eq!(Frame::parse(&bytes).unwrap().payload, expected);
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        let mut bytes = build::ipv4((GUEST, OLD), PEER, 6, &build::tcp_syn(3260));
        bytes[14 + 7] = 1;
        let Payload::Ip { transport, .. } = Frame::parse(&bytes).unwrap().payload else {
            panic!("not IP");
        };
        assert_eq!(transport, None);
    }

    #[test]
    fn every_truncation_is_survived() {
        let from = (GUEST, "fe80::1".parse().unwrap());
        let to = "ff02::2".parse().unwrap();
        for bytes in [
            build::tagged(&build::arp(GUEST, OLD, PEER)),
            build::ipv4((GUEST, OLD), PEER, 6, &build::tcp_syn(22)),
            build::ipv6(from, to, 60, &[6, 0, 1, 4, 0, 0, 0, 0, 1, 2]),
        ] {
            for end in 0..bytes.len() {
                let frame = Frame::parse(&bytes[..end]);
                assert_eq!(
                    frame.is_some(),
                    end >= if bytes[12] == 0x81 { 18 } else { 14 }
                );
            }
        }
    }

    #[test]
    fn endless_tags_end() {
        let mut bytes = build::ethernet(GUEST, 0x8100, &[]);
        for _ in 0..100 {
            bytes.extend([0, 1, 0x81, 0]);
        }
        assert_eq!(Frame::parse(&bytes).unwrap().payload, Payload::Other);
    }
}
