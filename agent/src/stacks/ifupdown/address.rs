//! Static addresses on a NIC, or on what is stacked on one, in ifupdown.
//!
//! A static definition becomes one by DHCP in its place; IPv6 becomes `auto`, which takes what
//! the router offers and never waits for a DHCPv6 server. A second one of the same family, and an
//! alias, would only ask twice: they go. Commands that set addresses and routes go with those
//! that take them away again.

use std::collections::BTreeSet;

use super::super::device::Device;
use super::{Addressing, Config, File, Stanza, addressing};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::interfaces::{Kind, Selector};
use crate::parse::lines::LineEdits;

/// The options that mean something only with a static address.
const STATIC_OPTIONS: [&str; 9] = [
    "address",
    "netmask",
    "gateway",
    "broadcast",
    "network",
    "pointopoint",
    "scope",
    "preferred-lifetime",
    "subnet",
];

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects = Vec::new();
    for stanza in config.stanzas() {
        let lines = &stanza.file.parsed.lines;
        if is_static(&config, &stanza) {
            let address = stanza.options().find(|(_, name, _)| *name == "address");
            let (at, text) = match address {
                Some((at, ..)) => (
                    at,
                    format!("{} … {}", lines[stanza.header].text, lines[at].text),
                ),
                None => (stanza.header, lines[stanza.header].text.clone()),
            };
            defects.push(
                Defect::in_file(
                    &stanza.file.path,
                    format!("{} has a static address", stanza.iface.name),
                )
                .at_line(lines[at].span.start + 1)
                .evidence(text)
                .hint("let DHCP assign the address"),
            );
        }
        defects.extend(
            addressing_lines(&config, &stanza)
                .filter(|(_, does)| *does == Addressing::Sets)
                .map(|(at, _)| {
                    Defect::in_file(
                        &stanza.file.path,
                        "a command sets a static address or route",
                    )
                    .at_line(lines[at].span.start + 1)
                    .evidence(&*lines[at].text)
                    .hint("remove the command; DHCP brings addresses and routes")
                }),
        );
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let config = Config::read(guest)?;
    let inherited = inherited(&config);
    let mut configured: BTreeSet<(&str, &str)> = config
        .stanzas()
        .filter(|stanza| !is_static(&config, stanza))
        .filter(|stanza| stanza.iface.method.is_some())
        .filter_map(|stanza| Some((stanza.iface.name.as_str(), stanza.iface.family.as_deref()?)))
        .collect();
    let gone = gone_aliases(&config);
    for file in config.files() {
        let mut edits = LineEdits::default();
        let physical = file.physical();
        for stanza in file.stanzas() {
            if is_static(&config, &stanza) {
                let name = stanza.iface.name.as_str();
                let family = stanza.iface.family.as_deref().unwrap_or_default();
                let first = !name.contains(':') && configured.insert((name, family));
                if first || inherited.contains(name) {
                    convert(&stanza, family, &physical, &mut edits);
                } else {
                    for at in file.parsed.stanza(stanza.header) {
                        edits.remove(file.parsed.lines[at].span.clone());
                    }
                }
            }
            for (at, _) in addressing_lines(&config, &stanza) {
                edits.remove(file.parsed.lines[at].span.clone());
            }
        }
        deselect(file, &gone, &physical, &mut edits);
        if !edits.is_empty() {
            guest.write_text(&file.path, &edits.apply(&file.text))?;
        }
    }
    Ok(())
}

/// Whether a definition gives a static address to a NIC or to what lies on one.
fn is_static(config: &Config, stanza: &Stanza<'_>) -> bool {
    let device = config.device(&stanza.iface.name);
    (device.is_replaced() || device == Device::Any)
        && (stanza.is("inet", "static") || stanza.is("inet6", "static"))
}

/// The names that other definitions take over.
fn inherited(config: &Config) -> BTreeSet<String> {
    config
        .stanzas()
        .filter_map(|stanza| stanza.iface.inherits.clone())
        .collect()
}

/// The lines that set or clear addresses and routes of a NIC.
fn addressing_lines<'a>(
    config: &'a Config,
    stanza: &Stanza<'a>,
) -> impl Iterator<Item = (usize, Addressing)> + use<'a> {
    let iface = stanza.iface.name.as_str();
    let device = config.device(iface);
    let own = device.is_replaced() || device == Device::Any;
    stanza.options().filter_map(move |(at, name, value)| {
        if !matches!(
            name,
            "pre-up" | "up" | "post-up" | "pre-down" | "down" | "post-down"
        ) {
            return None;
        }
        let about = own || value.split_whitespace().any(|word| config.names_nic(word));
        addressing(value, iface)
            .filter(|_| about)
            .map(|does| (at, does))
    })
}

/// Makes a static definition one by DHCP.
fn convert(stanza: &Stanza<'_>, family: &str, physical: &[&str], edits: &mut LineEdits) {
    let line = &stanza.file.parsed.lines[stanza.header];
    let method = if family == "inet6" { "auto" } else { "dhcp" };
    let anew = line.rewrite(physical, |number, word| {
        Some(if number == 3 { method } else { word }.to_owned())
    });
    edits.replace(line.span.clone(), anew);
    for (at, name, _) in stanza.options() {
        let name = name.replace('_', "-");
        if STATIC_OPTIONS.contains(&name.as_str()) || name.starts_with("dns-") {
            edits.remove(stanza.file.parsed.lines[at].span.clone());
        }
    }
}

/// The aliases that lose every definition.
fn gone_aliases(config: &Config) -> BTreeSet<String> {
    let aliases = |fixed: bool| {
        config
            .stanzas()
            .filter(move |stanza| is_static(config, stanza) == fixed)
            .map(|stanza| &stanza.iface.name)
            .filter(|name| name.contains(':'))
            .cloned()
            .collect::<BTreeSet<String>>()
    };
    &aliases(true) - &aliases(false)
}

/// Takes names out of `auto` and `allow-*`.
fn deselect(file: &File, gone: &BTreeSet<String>, physical: &[&str], edits: &mut LineEdits) {
    let is_gone = |word: &str| match Selector::parse(word) {
        Selector::Name { logical, .. } => gone.contains(logical),
        Selector::Pattern { .. } => false,
    };
    for line in &file.parsed.lines {
        match &line.kind {
            Kind::Select { names, .. } if names.iter().any(|name| is_gone(name)) => {
                if names.iter().all(|name| is_gone(name)) {
                    edits.remove(line.span.clone());
                } else {
                    let anew = line.rewrite(physical, |number, word| {
                        (number == 0 || !is_gone(word)).then(|| word.to_owned())
                    });
                    edits.replace(line.span.clone(), anew);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::INTERFACES;
    use crate::rules::fixture::Fixture;
    use crate::rules::net_static::NetStatic;

    #[test]
    fn definitions_become_dhcp_in_place() {
        for (before, after) in [
            (
                "iface eth0 inet static # x\n\taddress 10.0.0.5/24\n\t# why\n\tgateway 10.0.0.1\n\tdns-search a\n\tmtu 9000\n",
                "iface eth0 inet dhcp # x\n\t# why\n\tmtu 9000\n",
            ),
            (
                "iface eth0 inet \\\n  static\n address 10.0.0.5\niface eth0 inet6 static\n address 2001:db8::1/64\n",
                "iface eth0 inet   dhcp\niface eth0 inet6 auto\n",
            ),
            // A second address of the same family, and an alias, would only ask twice.
            (
                "auto eth0 eth0:1\niface eth0 inet dhcp\niface eth0 inet static\n address 10.0.0.5\niface eth0:1 inet static\n address 10.0.0.6\n",
                "auto eth0\niface eth0 inet dhcp\n",
            ),
            (
                "iface br0 inet static\n bridge_ports eth0\n address 10.0.0.5\niface eth0.5 inet static\n address 10.5.0.5\n",
                "iface br0 inet dhcp\n bridge_ports eth0\niface eth0.5 inet dhcp\n",
            ),
            (
                "iface tpl inet static\n netmask 24\niface eth0 inherits tpl\n mtu 9000\n",
                "iface tpl inet dhcp\niface eth0 inherits tpl\n mtu 9000\n",
            ),
            (
                "iface eth0 inet manual\n up ifconfig $IFACE 10.0.0.5 up\n up ip route add default via \\\n 10.0.0.1\n down ip route del default\n up ethtool -K eth0 tso off\n",
                "iface eth0 inet manual\n up ethtool -K eth0 tso off\n",
            ),
            (
                "iface lo inet loopback\n up ip addr add 10.0.0.5/24 dev ens3\n up ip addr add 10.9.9.9/32 dev lo\n",
                "iface lo inet loopback\n up ip addr add 10.9.9.9/32 dev lo\n",
            ),
        ] {
            let fixture = Fixture::debian(&[(INTERFACES, before)]);
            assert!(!fixture.open(&NetStatic).is_empty(), "{before}");
            fixture.fix(&[&NetStatic]);
            assert_eq!(fixture.text(INTERFACES).unwrap(), after);
        }
    }

    #[test]
    fn what_lies_on_no_nic_keeps_its_address() {
        let fixture = Fixture::debian(&[(
            INTERFACES,
            "iface dummy0 inet static\n address 10.0.0.5\niface br1 inet static\n bridge_ports none\n address 10.1.0.1\n\
             iface wlan0 inet static\n address 10.2.0.1\niface tun7 inet static\n address 10.3.0.1\n",
        )]);
        assert_eq!(fixture.open(&NetStatic), Vec::<String>::new());
    }
}
