//! Whether a name server belongs to the old network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a name server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// In the old network: an address that is not routed in the Internet.
    Private,
    /// In the Internet.
    Public,
}

/// OCI's name servers.
const OCI: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
);

/// Where a server is, as `ADDRESS`, `ADDRESS%INTERFACE`, `ADDRESS:PORT`, `[ADDRESS]:PORT`, each with
/// `#NAME` behind; `None` for the guest itself, for OCI's, and for what is no address.
pub(super) fn reach(server: &str) -> Option<Reach> {
    let server = server.split(['#', '%']).next()?;
    let address = match server.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => match server.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => server,
        },
    };
    let address: IpAddr = address.parse().ok()?;
    if address.is_loopback() || address.is_unspecified() {
        return None;
    }
    let private = match address {
        IpAddr::V4(v4) if v4 == OCI.0 => return None,
        IpAddr::V6(v6) if v6 == OCI.1 => return None,
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private()
                || v4.is_link_local()
                || v4.is_documentation()
                || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(v6) => {
            v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.segments().starts_with(&[0x2001, 0xdb8])
        }
    };
    Some(if private {
        Reach::Private
    } else {
        Reach::Public
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_a_reach() {
        use Reach::{Private, Public};
        for (server, expected) in [
            ("10.0.0.2", Some(Private)),
            ("172.31.0.2:53", Some(Private)),
            ("100.64.0.1", Some(Private)),
            ("fe80::1%eth0", Some(Private)),
            ("[fd00::53]:853#dns.example.com", Some(Private)),
            ("1.1.1.1#cloudflare-dns.com", Some(Public)),
            ("2606:4700:4700::1111", Some(Public)),
            ("127.0.0.53", None),
            ("::1", None),
            ("169.254.169.254", None),
            ("fd00:c1::a9fe:a9fe", None),
            ("dns.example.com", None),
        ] {
            assert_eq!(reach(server), expected, "{server}");
        }
    }
}
