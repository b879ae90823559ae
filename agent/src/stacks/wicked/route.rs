//! Static routes and rules: ifroute(5), ifrule(5).
//!
//! `routes` holds routes of every interface; `ifroute-NAME` and `ifrule-NAME` those of one. A line
//! is a destination, a gateway, a netmask, an interface and options, with `-` for what is left out.

use std::ops::Range;

use super::super::device::Devices;
use super::DIR;
use crate::error::Error;
use crate::guest::Guest;
use crate::parse::lines::{LineEdits, content};
use crate::root::GuestPath;

/// The routes of every interface.
const GLOBAL: &str = "routes";

/// A file of routes or rules.
#[derive(Debug)]
pub struct Table {
    /// Where it is.
    pub path: GuestPath,
    text: String,
    /// The interface that it is for; `None` for all.
    interface: Option<String>,
}

/// A line that takes effect, with those that continue it.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// The physical lines, from 0.
    pub lines: Range<usize>,
    /// What they say in one.
    pub text: String,
}

impl Table {
    /// The entries that are for NICs or for what lies on them.
    pub fn of_nics(&self, devices: &Devices) -> Vec<Entry> {
        entries(&self.text)
            .into_iter()
            .filter(|entry| self.is_of_nic(entry, devices))
            .collect()
    }

    fn is_of_nic(&self, entry: &Entry, devices: &Devices) -> bool {
        if let Some(interface) = &self.interface {
            return devices.device(interface).is_replaced();
        }
        let words: Vec<&str> = entry.text.split_whitespace().collect();
        let options = words
            .windows(2)
            .filter(|pair| pair[0] == "dev")
            .map(|pair| pair[1]);
        let interfaces: Vec<&str> = words
            .get(3)
            .copied()
            .into_iter()
            .chain(options)
            .filter(|name| *name != "-")
            .collect();
        if interfaces.is_empty() {
            has_gateway(&words)
        } else {
            interfaces
                .iter()
                .any(|name| devices.device(name).is_replaced())
        }
    }

    /// Drafts the table without the entries of NICs. A file that holds nothing else goes.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn fix(&self, guest: &mut Guest<'_>, devices: &Devices) -> Result<(), Error> {
        let gone = self.of_nics(devices);
        if gone.is_empty() {
            return Ok(());
        }
        let mut edits = LineEdits::default();
        for entry in gone {
            edits.remove(entry.lines);
        }
        let anew = edits.apply(&self.text);
        let of_one = self.interface.is_some() && entries(&anew).is_empty();
        if of_one || anew.trim().is_empty() {
            guest.remove(&self.path)
        } else {
            guest.write_text(&self.path, &anew)
        }
    }
}

/// Every table: the routes of all interfaces first.
///
/// # Errors
///
/// The guest could not be read.
pub fn tables(guest: &Guest<'_>) -> Result<Vec<Table>, Error> {
    let mut tables = Vec::new();
    for path in guest.list(&DIR.into())? {
        let name = path.name().to_string_lossy().into_owned();
        let of_one = ["ifroute-", "ifrule-"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix));
        let used = of_one.is_some() || name == GLOBAL;
        if !used || super::profile::is_ignored(&name) {
            continue;
        }
        if let Some(text) = guest.text(&path)? {
            tables.push(Table {
                interface: of_one.map(str::to_owned),
                text: text.as_str().to_owned(),
                path,
            });
        }
    }
    Ok(tables)
}

/// The lines that take effect.
fn entries(text: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    let (mut first, mut joined) = (0, String::new());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let line = content(line).trim_end();
        if joined.is_empty() {
            first = number;
        }
        if let Some(part) = line.strip_suffix('\\') {
            joined.push_str(part);
            joined.push(' ');
            continue;
        }
        joined.push_str(line);
        let whole = std::mem::take(&mut joined);
        let effective = whole.split('#').next().unwrap_or_default().trim();
        if !effective.is_empty() {
            found.push(Entry {
                lines: first..number + 1,
                text: effective.to_owned(),
            });
        }
    }
    found
}

fn has_gateway(words: &[&str]) -> bool {
    let gateway = words
        .get(1)
        .is_some_and(|gateway| !matches!(*gateway, "-" | "0.0.0.0" | "::"));
    gateway || words.contains(&"via")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stacks::device::Topology;

    #[test]
    fn routes_of_nics() {
        let mut topology = Topology::default();
        topology.signs("br1").bridge = true;
        let devices = topology.devices();
        for (interface, text, expected) in [
            (
                None,
                "# default 10.0.0.1 - -\n\ndefault 10.0.0.1 - -\n",
                vec![2],
            ),
            (
                None,
                "default 10.0.0.1\n127/8 - - lo\n10.9.0.0/16 - - br1\n",
                vec![0],
            ),
            (None, "10.8.0.0/16 - - eth1 metric 5\n", vec![0]),
            (None, "10.8.0.0/16 - - - type blackhole\n", vec![]),
            (
                None,
                "default \\\n - - - nexthop via 10.0.0.1 dev eth0 \\\n nexthop via 10.0.1.1 dev eth1\n",
                vec![0],
            ),
            (Some("eth0"), "default 10.0.0.1 - -\n", vec![0]),
            (Some("eth0"), "ipv4 from 10.0.0.5/32 table 7 # x\n", vec![0]),
            (Some("br1"), "10.9.0.0/16 10.1.0.1 - -\n", vec![]),
        ] {
            let table = Table {
                path: "/x".into(),
                text: text.to_owned(),
                interface: interface.map(str::to_owned),
            };
            let found: Vec<usize> = table
                .of_nics(&devices)
                .iter()
                .map(|entry| entry.lines.start)
                .collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
