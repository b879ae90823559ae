//! DHCPv4 messages (RFC 2131, options of RFC 2132).

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::Serialize;

use super::mac::Mac;

/// The port that a client sends from and a server sends to.
pub const CLIENT_PORT: u16 = 68;
/// The port that a server sends from and a client sends to.
pub const SERVER_PORT: u16 = 67;

const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];
const OPTIONS: usize = 240;
const OPTION_REQUESTED_ADDRESS: u8 = 50;
const OPTION_TYPE: u8 = 53;
const OPTION_SERVER: u8 = 54;
const OPTION_CLIENT_ID: u8 = 61;

/// A DHCP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it says.
    pub kind: Kind,
    /// `chaddr`: whom the exchange is about.
    pub client: Mac,
    /// `yiaddr`: the address that a server gives.
    pub address: Ipv4Addr,
    /// Option 50: the address that a client would like to have.
    pub requested: Option<Ipv4Addr>,
    /// Option 54: the server.
    pub server: Option<Ipv4Addr>,
    /// Option 61, where it names an Ethernet address.
    pub client_id: Option<Mac>,
}

/// Option 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are RFC 2131's")]
pub enum Kind {
    Discover,
    Offer,
    Request,
    Decline,
    Ack,
    Nak,
    Release,
    Inform,
}

impl Message {
    /// Reads the payload of a UDP packet; nothing where it is not DHCP over Ethernet.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        // `htype` Ethernet and its `hlen`.
        if bytes.get(1..3)? != [1, 6] || *bytes.get(236..OPTIONS)? != MAGIC_COOKIE {
            return None;
        }
        let mut kind = None;
        let mut message = Self {
            kind: Kind::Discover,
            client: Mac(*bytes.get(28..)?.first_chunk()?),
            address: Ipv4Addr::from(*bytes.get(16..)?.first_chunk::<4>()?),
            requested: None,
            server: None,
            client_id: None,
        };
        let mut rest = bytes.get(OPTIONS..)?;
        while let Some((&code, after)) = rest.split_first() {
            match code {
                0 => {
                    rest = after;
                    continue;
                }
                255 => break,
                _ => {}
            }
            let Some((&length, after)) = after.split_first() else {
                break;
            };
            let Some((value, after)) = after.split_at_checked(usize::from(length)) else {
                break;
            };
            match (code, value) {
                (OPTION_TYPE, [value]) => kind = Kind::of(*value),
                (OPTION_REQUESTED_ADDRESS, value) => message.requested = address(value),
                (OPTION_SERVER, value) => message.server = address(value),
                (OPTION_CLIENT_ID, [1, mac @ ..]) => {
                    message.client_id = <[u8; 6]>::try_from(mac).ok().map(Mac);
                }
                _ => {}
            }
            rest = after;
        }
        message.kind = kind?;
        Some(message)
    }
}

impl Kind {
    fn of(value: u8) -> Option<Self> {
        Some(match value {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            4 => Self::Decline,
            5 => Self::Ack,
            6 => Self::Nak,
            7 => Self::Release,
            8 => Self::Inform,
            _ => return None,
        })
    }
}

fn address(value: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from)
}

/// Builds messages for the tests of this and the neighbouring modules.
#[cfg(test)]
pub fn build(kind: u8, client: Mac, address: Ipv4Addr, options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; OPTIONS];
    bytes[..3].copy_from_slice(&[1, 1, 6]);
    bytes[16..20].copy_from_slice(&address.octets());
    bytes[28..34].copy_from_slice(&client.0);
    bytes[236..].copy_from_slice(&MAGIC_COOKIE);
    bytes.extend([OPTION_TYPE, 1, kind]);
    bytes.extend(options);
    bytes.push(255);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Mac = Mac([2, 0, 0x17, 1, 2, 3]);
    const LEASE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 15);

    #[test]
    fn options_are_read_past_padding() {
        let options = [
            0, 0, 50, 4, 192, 168, 1, 7, 61, 7, 1, 8, 0, 0x27, 9, 9, 9, 54, 4, 10, 0, 0, 2,
        ];
        let message = Message::parse(&build(3, CLIENT, LEASE, &options)).unwrap();
        let expected = Message {
            kind: Kind::Request,
            client: CLIENT,
            address: LEASE,
            requested: Some(Ipv4Addr::new(192, 168, 1, 7)),
            server: Some(Ipv4Addr::new(10, 0, 0, 2)),
            client_id: Some(Mac([8, 0, 0x27, 9, 9, 9])),
        };
        assert_eq!(message, expected);
    }

    #[test]
    fn a_client_id_that_is_no_ethernet_address_is_none() {
        for option in [&[61, 3, 1, 2, 3][..], &[61, 7, 255, 1, 2, 3, 4, 5, 6]] {
            let message = Message::parse(&build(1, CLIENT, LEASE, option)).unwrap();
            assert_eq!(message.client_id, None);
        }
    }

    #[test]
    fn cut_off_options_end_the_list() {
        let bytes = build(2, CLIENT, LEASE, &[54, 4, 10, 0]);
        let message = Message::parse(&bytes[..bytes.len() - 1]).unwrap();
        assert_eq!((message.kind, message.server), (Kind::Offer, None));
        for end in 0..OPTIONS + 3 {
            assert_eq!(Message::parse(&bytes[..end]), None, "{end}");
        }
    }
}
