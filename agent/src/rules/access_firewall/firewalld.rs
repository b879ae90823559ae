//! firewalld(1): the default zone, into which a NIC comes that no profile and no zone names.

use super::Firewall;
use super::packet::{Fate, Packet, Place, holds_port};
use crate::error::Error;
use crate::guest::Guest;
use crate::parse::edit;
use crate::parse::xml_tags::{Tag, tags};
use crate::root::GuestPath;
use crate::units;

const CONFIG: &str = "/etc/firewalld/firewalld.conf";
/// Where zones and services are defined, the administrator's first.
const DIRS: [&str; 2] = ["/etc/firewalld", "/usr/lib/firewalld"];
/// The default zone unless another is set.
const PUBLIC: &str = "public";

pub(super) fn firewalls(guest: &Guest<'_>) -> Result<Vec<Firewall>, Error> {
    let enabled = if units::readable(guest)? {
        units::is_enabled(guest, "firewalld.service", "firewalld")?
    } else {
        guest.exists(&CONFIG.into())?
    };
    if !enabled {
        return Ok(Vec::new());
    }
    let (name, line) = default_zone(guest)?;
    let mut firewalls = vec![Firewall {
        fate: Box::new(|_| Fate::Open),
        bound: bound(guest)?,
    }];
    let Some(zone) = definition(guest, "zones", &name)? else {
        return Ok(firewalls);
    };
    let Some(text) = guest.text(&zone)? else {
        return Ok(firewalls);
    };
    let ports = open_ports(guest, text.as_str())?;
    let place = Place {
        path: if line == 0 { zone } else { CONFIG.into() },
        line,
        text: format!("DefaultZone={name}"),
    };
    firewalls[0].fate = Box::new(move |packet: Packet| match (&ports, packet.destination) {
        (Some(ports), None) if !ports.iter().any(|list| holds_port(list, packet.port)) => {
            Fate::Closed(place.clone())
        }
        _ => Fate::Open,
    });
    Ok(firewalls)
}

/// The name of the default zone and the line that says so, 0 where none does.
fn default_zone(guest: &Guest<'_>) -> Result<(String, usize), Error> {
    let text = guest.text(&CONFIG.into())?;
    let zone = text
        .iter()
        .flat_map(|text| edit::lines(text.as_str()))
        .filter_map(|line| {
            let (key, value) = line.text.split_once('=')?;
            (key.trim() == "DefaultZone" && !value.trim().is_empty())
                .then(|| (value.trim().to_owned(), line.number))
        })
        .last();
    Ok(zone.unwrap_or_else(|| (PUBLIC.to_owned(), 0)))
}

/// The file that defines a zone or a service.
fn definition(guest: &Guest<'_>, kind: &str, name: &str) -> Result<Option<GuestPath>, Error> {
    for dir in DIRS {
        // A name is one component of a path.
        let file = format!("{}.xml", name.replace('/', "_"));
        let path = GuestPath::from(dir).join(kind).join(file);
        if guest.exists(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The TCP ports that a zone lets in from anywhere, as lists; `None` where that is all of them.
fn open_ports(guest: &Guest<'_>, zone: &str) -> Result<Option<Vec<String>>, Error> {
    let mut ports = Vec::new();
    let tags = tags(zone);
    let mut from = 0;
    while let Some(tag) = tags.get(from) {
        // What a rule is about stands inside of it.
        let count = tags[from + 1..]
            .iter()
            .take_while(|inner| inner.depth > tag.depth)
            .count();
        match tag.name {
            "zone" if tag.attribute("target") == Some("ACCEPT") => return Ok(None),
            "rule" => {
                let inside = &tags[from + 1..=from + count];
                let has = |name: &str| inside.iter().any(|part| part.name == name);
                let v4 = tag
                    .attribute("family")
                    .is_none_or(|family| family == "ipv4");
                if has("accept") && !has("source") && !has("destination") && v4 {
                    for part in inside {
                        ports.extend(ports_of(guest, part)?);
                    }
                }
                from += count;
            }
            _ => ports.extend(ports_of(guest, tag)?),
        }
        from += 1;
    }
    Ok(Some(ports))
}

/// The ports that a `<port>` or a `<service>` stands for.
fn ports_of(guest: &Guest<'_>, tag: &Tag<'_>) -> Result<Vec<String>, Error> {
    let port = |tag: &Tag<'_>| {
        (tag.name == "port" && tag.attribute("protocol") == Some("tcp"))
            .then(|| tag.attribute("port").map(str::to_owned))
            .flatten()
    };
    let Some(service) = tag.attribute("name").filter(|_| tag.name == "service") else {
        return Ok(port(tag).into_iter().collect());
    };
    let Some(path) = definition(guest, "services", service)? else {
        // Only the configuration is there, not the package.
        return Ok((service == "ssh")
            .then(|| "22".to_owned())
            .into_iter()
            .collect());
    };
    let text = guest.text(&path)?;
    Ok(text
        .iter()
        .flat_map(|text| tags(text.as_str()))
        .filter_map(|tag| port(&tag))
        .collect())
}

/// Zones that take in a NIC by its name.
fn bound(guest: &Guest<'_>) -> Result<Vec<Place>, Error> {
    let mut bound = Vec::new();
    for path in guest.list(&GuestPath::from(DIRS[0]).join("zones"))? {
        if !path.has_suffix(".xml") {
            continue;
        }
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        for tag in tags(text.as_str()) {
            if tag.name == "interface" && tag.attribute("name").is_some_and(super::is_nic) {
                bound.push(Place {
                    path: path.clone(),
                    line: tag.line,
                    text: tag.text.to_owned(),
                });
            }
        }
    }
    Ok(bound)
}

#[cfg(test)]
mod tests {
    use super::super::AccessFirewall;
    use super::*;
    use crate::rules::fixture::Fixture;

    const SSH: (&str, &str) = (
        "/usr/lib/firewalld/services/ssh.xml",
        "<service><short>SSH</short><port protocol=\"tcp\" port=\"22\"/></service>",
    );

    #[test]
    fn the_default_zone_lets_ssh_in_or_not() {
        for (zone, open) in [
            ("<zone><service name=\"ssh\"/></zone>", true),
            ("<zone><service name=\"dhcpv6-client\"/></zone>", false),
            ("<zone><port protocol=\"tcp\" port=\"20-25\"/></zone>", true),
            ("<zone><port protocol=\"udp\" port=\"22\"/></zone>", false),
            ("<zone target=\"ACCEPT\"></zone>", true),
            ("<zone><!-- <service name=\"ssh\"/> --></zone>", false),
            (
                "<zone><rule family=\"ipv4\"><service name=\"ssh\"/><accept/></rule></zone>",
                true,
            ),
            (
                "<zone><rule family=\"ipv4\"><source address=\"10.0.0.0/8\"/>\
                 <service name=\"ssh\"/><accept/></rule></zone>",
                false,
            ),
            (
                "<zone><rule><service name=\"ssh\"/><drop/></rule><forward/></zone>",
                false,
            ),
        ] {
            let fixture = Fixture::new(&[
                (CONFIG, "# x\nDefaultZone=internal\nLogDenied=off\n"),
                ("/etc/firewalld/zones/internal.xml", zone),
                SSH,
            ]);
            let expected = if open {
                vec![]
            } else {
                vec![format!("{CONFIG}:2")]
            };
            assert_eq!(fixture.open(&AccessFirewall), expected, "{zone}");
        }
    }

    #[test]
    fn an_interface_in_a_zone_is_told() {
        let fixture = Fixture::new(&[
            (CONFIG, ""),
            (
                "/usr/lib/firewalld/zones/public.xml",
                "<zone><service name=\"ssh\"/></zone>",
            ),
            (
                "/etc/firewalld/zones/dmz.xml",
                "<zone>\n<interface name=\"ens192\"/>\n<interface name=\"virbr0\"/>\n</zone>",
            ),
        ]);
        let found = fixture.check(&AccessFirewall);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].line, found[0].evidence.as_str()),
            (Some(2), "<interface name=\"ens192\"/>")
        );
    }
}
