//! ifupdown profiles that bind a NIC by its name, or lie on one.
//!
//! They go wholly, with the comment directly above them, for the one NIC on OCI may have another
//! name. The loopback interface, wireless and purely virtual interfaces stay, and so does a
//! definition that they inherit from. Where the kernel names the NIC `eth0`, a plain
//! `iface eth0 inet dhcp` is as good as a pattern and stays.

use std::collections::{BTreeMap, BTreeSet};

use super::super::device::Device;
use super::{Config, File};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::glob;
use crate::parse::interfaces::{Interfaces, Kind, Line, Selector};
use crate::parse::lines::LineEdits;

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let pins = Pins::of(&config);
    let mut defects = Vec::new();
    for file in config.files() {
        for line in &file.parsed.lines {
            if !pins.words(line).is_empty() {
                defects.push(
                    Defect::in_file(&file.path, "a profile binds a NIC by its name")
                        .at_line(line.span.start + 1)
                        .evidence(&*line.text)
                        .hint("replace it by one profile for whichever NIC appears"),
                );
            }
        }
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
    let pins = Pins::of(&config);
    for file in config.files() {
        let edits = pins.edits(file);
        if edits.is_empty() {
            continue;
        }
        let anew = edits.apply(&file.text);
        if file.is_sourced() && !Interfaces::parse(&anew).is_effective() {
            guest.remove(&file.resolved)?;
            guest.remove(&file.path)?;
        } else {
            guest.write_text(&file.path, &anew)?;
        }
    }
    Ok(())
}

/// What is bound to the old NICs.
struct Pins<'a> {
    config: &'a Config,
    /// Definitions that others inherit from which stay.
    inherited: BTreeSet<&'a str>,
    /// Whether `eth0` is as good as a pattern.
    plain_eth0: bool,
}

impl<'a> Pins<'a> {
    fn of(config: &'a Config) -> Self {
        let mut pins = Self {
            config,
            inherited: BTreeSet::new(),
            plain_eth0: config.kernel_names() && is_plain(config, "eth0"),
        };
        let mut bases: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for stanza in config.stanzas() {
            let taken = stanza.iface.inherits.as_deref();
            bases.entry(&stanza.iface.name).or_default().extend(taken);
        }
        let mut pending: Vec<&str> = bases
            .keys()
            .copied()
            .filter(|name| !pins.is_pinned(name))
            .collect();
        while let Some(name) = pending.pop() {
            for base in bases.get(name).into_iter().flatten() {
                if pins.inherited.insert(base) {
                    pending.push(base);
                }
            }
        }
        pins
    }

    fn is_pinned(&self, name: &str) -> bool {
        self.config.device(name).is_replaced() && !(self.plain_eth0 && name == "eth0")
    }

    fn is_pinned_word(&self, class: &str, word: &str) -> bool {
        match Selector::parse(word) {
            Selector::Name { name, logical } => self.is_pinned(name) || self.is_pinned(logical),
            Selector::Pattern { logical, value, .. } => match logical {
                Some(logical) => self.is_pinned(logical),
                // It only lets NICs be: `no-scripts /e*`.
                None if matches!(class, "no-auto-down" | "no-scripts") => false,
                None => self.matches_nic(value),
            },
        }
    }

    /// Whether a pattern matches a NIC, or would map our own definition to another.
    fn matches_nic(&self, pattern: &str) -> bool {
        if glob::is_pattern(pattern) {
            let nics = self.config.nics();
            nics.iter()
                .chain(&["any", "eth0"])
                .any(|nic| glob::matches(pattern, nic))
        } else {
            self.is_pinned(pattern)
        }
    }

    /// The numbers of the words of a line that bind NICs; 0 where the whole line does.
    fn words(&self, line: &Line) -> Vec<usize> {
        let numbers = |names: &[String], pinned: &dyn Fn(&str) -> bool| {
            let pinned: Vec<usize> = (0..names.len())
                .filter(|at| pinned(&names[*at]))
                .map(|at| at + 1)
                .collect();
            if !names.is_empty() && pinned.len() == names.len() {
                vec![0]
            } else {
                pinned
            }
        };
        match &line.kind {
            Kind::Select {
                names,
                class,
                implied: false,
            } => numbers(names, &|word| self.is_pinned_word(class, word)),
            Kind::Rename { names } => numbers(names, &|_| true),
            Kind::Mapping { patterns } => numbers(patterns, &|word| self.matches_nic(word)),
            Kind::Iface(iface)
                if self.is_pinned(&iface.name) && !self.inherited.contains(iface.name.as_str()) =>
            {
                vec![0]
            }
            _ => Vec::new(),
        }
    }

    fn edits(&self, file: &File) -> LineEdits {
        let mut edits = LineEdits::default();
        let lines = &file.parsed.lines;
        let physical = file.physical();
        for (at, line) in lines.iter().enumerate() {
            let pinned = self.words(line);
            if pinned.is_empty() {
                continue;
            }
            if pinned != [0] {
                let anew = line.rewrite(&physical, |number, word| {
                    (!pinned.contains(&number)).then(|| word.to_owned())
                });
                edits.replace(line.span.clone(), anew);
                continue;
            }
            let above = lines[..at]
                .iter()
                .rev()
                .take_while(|above| above.kind == Kind::Comment)
                .count();
            let last = match line.kind {
                Kind::Iface(_) | Kind::Mapping { .. } => with_tail(file, &physical, at),
                _ => at + 1,
            };
            edits.remove(lines[at - above].span.start..lines[last - 1].span.end);
        }
        remove_blank_lines(file, &mut edits);
        edits
    }
}

/// Whether a NIC has nothing but DHCPv4, and IPv6 without an address.
fn is_plain(config: &Config, name: &str) -> bool {
    let mut own = config.stanzas().filter(|stanza| stanza.iface.name == name);
    let dhcp = config
        .stanzas()
        .any(|stanza| stanza.iface.name == name && stanza.is("inet", "dhcp"));
    dhcp && config.device(name) == Device::Nic
        && own.all(|stanza| {
            let automatic = stanza.is("inet", "dhcp")
                || stanza.is("inet6", "auto")
                || stanza.is("inet6", "dhcp");
            let enslaved = stanza.options().any(|(_, option, _)| {
                ["bond", "bridge", "ovs"]
                    .iter()
                    .any(|prefix| option.starts_with(prefix))
            });
            automatic && !enslaved
        })
}

/// The end of a stanza with the indented comments that follow its last option.
fn with_tail(file: &File, physical: &[&str], header: usize) -> usize {
    let end = file.parsed.stanza(header).end;
    let indented = file.parsed.lines[end..].iter().take_while(|line| {
        line.kind == Kind::Comment && physical[line.span.start].starts_with([' ', '\t'])
    });
    end + indented.count()
}

/// Blank lines around what is removed would pile up: those below it go.
fn remove_blank_lines(file: &File, edits: &mut LineEdits) {
    let mut blank_above = true;
    let mut after_removed = false;
    for line in &file.parsed.lines {
        if edits.removes(line.span.start) {
            after_removed = true;
        } else if line.kind == Kind::Blank {
            if after_removed && blank_above {
                edits.remove(line.span.clone());
            } else {
                blank_above = true;
            }
        } else {
            after_removed = false;
            blank_above = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::INTERFACES;
    use crate::rules::fixture::Fixture;
    use crate::rules::net_name_pinned::NetNamePinned;
    use proptest::prelude::*;

    #[test]
    fn profiles_of_nics_go_and_the_rest_stays() {
        for (before, after) in [
            (
                "# This file describes the network.\n\nsource interfaces.d/*\n\n# loopback\nauto lo\niface lo inet loopback\n\n\
                 # The primary\n# interface\nallow-hotplug ens192\niface ens192 inet dhcp\n  # dns-* is for resolvconf\n  mtu 9000\n\n\
                 # virtual\nauto dummy0\niface dummy0 inet manual\n",
                "# This file describes the network.\n\nsource interfaces.d/*\n\n# loopback\nauto lo\niface lo inet loopback\n\n\
                 # virtual\nauto dummy0\niface dummy0 inet manual\n",
            ),
            ("auto lo eth0 \\\n  wlan0\n", "auto lo   wlan0\n"),
            (
                "auto lo\nauto bond0\niface bond0 inet manual\n bond-slaves none\niface eth1 inet manual\n bond-master bond0\n\
                 auto bond0.200\niface bond0.200 inet dhcp\nauto vlan7\niface vlan7 inet dhcp\n vlan-raw-device bond0\n",
                "auto lo\n",
            ),
            (
                "auto br0 br1 vmbr2\niface br0 inet dhcp\n bridge_ports regex eth.*\niface br1 inet manual\n bridge-ports none\n\
                 iface vmbr2 inet manual\n bridge_ports tap0\n",
                "auto br1 vmbr2\niface br1 inet manual\n bridge-ports none\niface vmbr2 inet manual\n bridge_ports tap0\n",
            ),
            (
                "iface mv0 inet dhcp\n pre-up ip link add link eth0 name mv0 type macvlan\niface d1 inet manual\n pre-up ip link add d1 type dummy\n",
                "iface d1 inet manual\n pre-up ip link add d1 type dummy\n",
            ),
            (
                "mapping eth0\n script /x\n map a b\nmapping wlan0\n script /y\niface home inet dhcp\nrename eth0=lan\nno-scripts lo eth0\n",
                "mapping wlan0\n script /y\nno-scripts lo\n",
            ),
            // What a definition that stays inherits from stays too.
            (
                "iface tpl inet manual\n mtu 9000\nauto eth0\niface eth0 inet dhcp inherits tpl\niface dummy0 inet manual inherits tpl\n",
                "iface tpl inet manual\n mtu 9000\niface dummy0 inet manual inherits tpl\n",
            ),
            (
                "auto /en*=lan /eth*=lan /ens1*=old\niface lan inet dhcp\niface old inet dhcp\n",
                "auto /en*=lan /eth*=lan\niface lan inet dhcp\n",
            ),
            (
                "iface lo inet loopback\n# eth1 as well\nauto eth0\niface eth0 inet dhcp\n # x\n# a remark\n",
                "iface lo inet loopback\n# a remark\n",
            ),
        ] {
            let fixture = Fixture::debian(&[(INTERFACES, before)]);
            assert!(!fixture.open(&NetNamePinned).is_empty(), "{before}");
            fixture.fix(&[&NetNamePinned]);
            assert_eq!(fixture.text(INTERFACES).unwrap(), after);
        }
    }

    #[test]
    fn sourced_files_that_hold_nothing_any_more_go() {
        let fixture = Fixture::debian(&[
            (
                INTERFACES,
                "source-directory interfaces.d\nsource /etc/extra/*.if\n",
            ),
            (
                "/etc/network/interfaces.d/50-cloud-init",
                "# generated\nauto eth0\niface eth0 inet dhcp\n",
            ),
            (
                "/etc/network/interfaces.d/setup",
                "auto lo\niface lo inet loopback\n",
            ),
            ("/etc/network/interfaces.d/README", "# only a comment\n"),
            ("/etc/network/interfaces.d/not.read", "auto eth0\n"),
            ("/etc/extra/a.if", "-> /srv/a.if"),
            ("/srv/a.if", "iface eth1 inet manual\n"),
        ]);
        fixture.fix(&[&NetNamePinned]);
        for (path, stays) in [
            ("/etc/network/interfaces.d/50-cloud-init", false),
            ("/etc/network/interfaces.d/setup", true),
            ("/etc/network/interfaces.d/README", true),
            ("/etc/network/interfaces.d/not.read", true),
            ("/etc/extra/a.if", false),
            ("/srv/a.if", false),
        ] {
            assert_eq!(fixture.has(path), stays, "{path}");
        }
    }

    #[test]
    fn a_plain_eth0_stays_where_the_kernel_names_it() {
        let grub = (
            "/etc/default/grub",
            "GRUB_CMDLINE_LINUX=\"quiet net.ifnames=0\"\n",
        );
        let plain = "auto eth0\niface eth0 inet dhcp\niface eth0 inet6 auto\n";
        let fixture = Fixture::debian(&[(INTERFACES, plain), grub]);
        assert_eq!(fixture.open(&NetNamePinned), Vec::<String>::new());
        assert_eq!(
            Fixture::debian(&[(INTERFACES, plain)])
                .open(&NetNamePinned)
                .len(),
            3
        );
        for other in [
            "auto eth1\niface eth1 inet dhcp\n",
            "iface eth0 inet manual\n bond-master bond0\n",
            "iface eth0 inet6 auto\n",
        ] {
            let fixture = Fixture::debian(&[(INTERFACES, other), grub]);
            assert!(!fixture.open(&NetNamePinned).is_empty(), "{other}");
        }
    }

    #[test]
    fn links_in_circles_and_bridges_on_each_other_end() {
        let fixture = Fixture::debian(&[
            (
                INTERFACES,
                "source interfaces\nsource interfaces.d/*\niface a.1 inet manual\n bridge_ports b\niface b inet manual\n bridge_ports a.1\n",
            ),
            (
                "/etc/network/interfaces.d/x",
                "source ../interfaces\niface eth0 inet dhcp\n",
            ),
        ]);
        fixture.fix(&[&NetNamePinned]);
        let left = fixture.text("/etc/network/interfaces.d/x");
        assert_eq!(left.as_deref(), Some("source ../interfaces\n"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn lines_that_stay_stay_as_they_are(
            text in "((# c|auto lo|auto eth0|iface eth0 inet dhcp|iface d0 inet manual|iface dummy1 inet manual| mtu 1| up x \\\\| # i|mapping eth0| script x|)\n){0,20}"
        ) {
            let fixture = Fixture::debian(&[(INTERFACES, &text)]);
            fixture.fix(&[&NetNamePinned]);
            let after = fixture.text(INTERFACES).unwrap();
            let mut before = text.lines();
            for line in after.lines() {
                prop_assert!(before.any(|old| old == line), "{:?} in {:?}", line, text);
            }
        }
    }
}
