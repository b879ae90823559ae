//! Commands of a definition that give an interface addresses and routes.

use std::net::IpAddr;

use super::relation::{arguments, commands};

/// What a command line does to addresses and routes, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// It sets some.
    Sets,
    /// It takes some away.
    Clears,
}

/// Reads a command line of the definition of `iface`.
pub fn addressing(line: &str, iface: &str) -> Option<Addressing> {
    commands(line, iface).iter().find_map(|command| {
        let ip = arguments(command, "ip").and_then(|args| ip(&args));
        let ifconfig = || arguments(command, "ifconfig").and_then(|args| ifconfig(&args));
        let route = || arguments(command, "route").and_then(|args| route(&args));
        ip.or_else(ifconfig).or_else(route)
    })
}

fn ip(args: &[&str]) -> Option<Addressing> {
    let mut words = args.iter().copied();
    let mut object = words.next()?;
    while object.starts_with('-') {
        if matches!(object, "-f" | "-family" | "-n" | "-netns") {
            words.next();
        }
        object = words.next()?;
    }
    // iproute2 takes any beginning of a word; `r` is route, `ru` is rule.
    if !"address".starts_with(object) && !"route".starts_with(object) {
        return None;
    }
    verb(words.next()?)
}

fn ifconfig(args: &[&str]) -> Option<Addressing> {
    let mut settings = args.iter().skip(1);
    settings.find_map(|word| match *word {
        "add" | "netmask" => Some(Addressing::Sets),
        "del" => Some(Addressing::Clears),
        word => is_address(word).then_some(Addressing::Sets),
    })
}

fn route(args: &[&str]) -> Option<Addressing> {
    args.iter().find_map(|word| verb(word))
}

fn verb(word: &str) -> Option<Addressing> {
    match word {
        "a" | "add" | "append" | "prepend" | "replace" | "r" | "change" | "chg" => {
            Some(Addressing::Sets)
        }
        "d" | "del" | "delete" | "flush" | "f" => Some(Addressing::Clears),
        _ => None,
    }
}

fn is_address(word: &str) -> bool {
    let address = word.split('/').next().unwrap_or_default();
    // `ifconfig eth0 0.0.0.0` only brings the interface up.
    address
        .parse::<IpAddr>()
        .is_ok_and(|address| !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addressing_commands() {
        use Addressing::{Clears, Sets};
        for (line, expected) in [
            ("ip addr add 10.0.0.5/24 dev $IFACE", Some(Sets)),
            (
                "/sbin/ip -family inet6 route add default via fe80::1 || true",
                Some(Sets),
            ),
            ("ip -6 a a 2001:db8::1/64 dev eth0", Some(Sets)),
            ("ip r replace default via 10.0.0.1", Some(Sets)),
            ("test -x /x && ip route del default", Some(Clears)),
            ("ip addr flush dev eth0", Some(Clears)),
            ("ip rule add from 10.0.0.5 table 1", None),
            ("ip link set eth0 up", None),
            ("ip addr show", None),
            ("ifconfig eth0 10.0.0.5 netmask 255.0.0.0 up", Some(Sets)),
            ("ifconfig eth0 inet6 add 2001:db8::1/64", Some(Sets)),
            ("ifconfig eth0 0.0.0.0 up", None),
            ("ifconfig eth0 up", None),
            ("route add -net 10.0.0.0/8 gw 10.1.1.1", Some(Sets)),
            ("/sbin/route -A inet6 add default gw fe80::1", Some(Sets)),
            ("route del default", Some(Clears)),
            ("sh -c 'ip route add default via 10.0.0.1'", Some(Sets)),
            ("ethtool -K eth0 tso off", None),
            ("", None),
        ] {
            assert_eq!(addressing(line, "eth0"), expected, "{line}");
        }
    }
}
