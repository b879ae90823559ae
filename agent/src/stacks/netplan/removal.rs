//! Taking definitions, and parts of them, out of the files.
//!
//! A section that loses its last definition goes, and a file that then defines nothing goes as
//! well, unless it hides another file or its `renderer` decides for what is left.

use std::collections::{BTreeMap, BTreeSet};

use super::super::in_charge;
use super::file::{self, File};
use super::{Config, mac, profile};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::guest::{Drafted, Guest};
use crate::parse::yaml::removal::without;
use crate::parse::yaml::{Entry, NodeId, Yaml};

/// What goes.
#[derive(Debug, Default)]
pub struct Removal {
    /// Definitions. Those that refer to them go with them.
    pub names: BTreeSet<String>,
    /// Other entries, by the number of the file.
    pub entries: BTreeMap<usize, BTreeSet<Entry>>,
    /// Whole files, by their numbers.
    pub files: BTreeSet<usize>,
}

impl Removal {
    /// Adds an entry.
    pub fn add(&mut self, file: usize, entry: Entry) {
        self.entries.entry(file).or_default().insert(entry);
    }

    /// Drafts the files without all this. If that takes the last definition of a NIC and netplan
    /// is in charge, the one for whichever NIC appears is drafted as well.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn draft(mut self, config: &Config, guest: &mut Guest<'_>) -> Result<(), Error> {
        let names = config.devices().with_users(&self.names);
        for name in &names {
            for place in config
                .definitions()
                .get(name)
                .iter()
                .flat_map(|d| &d.places)
            {
                self.add(place.file, place.entry);
            }
        }
        for patch in config.devices().patches() {
            let owned = patch.ports.iter().any(|port| {
                names.iter().any(|name| {
                    let definition = &config.definitions()[name];
                    definition
                        .values(config.files(), "interfaces")
                        .any(|(yaml, list)| {
                            let mut items = yaml.items(list).iter();
                            items.any(|item| yaml.scalar(*item) == Some(port))
                        })
                })
            });
            if owned {
                self.add(patch.file, patch.entry);
            }
        }
        for (number, file) in config.files().iter().enumerate() {
            if self.files.contains(&number) {
                guest.remove(&file.resolved)?;
                guest.remove(&file.path)?;
            } else if let Some((yaml, mut entries)) = file.yaml().zip(self.entries.remove(&number))
            {
                // What an alias still names is written out, but not its MAC.
                entries.extend(mac::inside(yaml, &entries));
                remove_emptied(file, yaml, &mut entries);
                let left = without(&file.text, yaml, &entries);
                // netplan refuses everything for one file that it cannot read.
                if Yaml::parse(&left).is_ok() {
                    guest.write_text(&file.path, &left)?;
                } else {
                    guest.remove(&file.resolved)?;
                    guest.remove(&file.path)?;
                }
            }
        }
        if !names.is_empty() && in_charge(guest)? == Some(NetworkStack::Netplan) {
            let left = Config::read(guest)?;
            if left.devices().pinned().is_empty() && !left.devices().is_covered() {
                profile::add(&left, guest)?;
            }
        }
        sweep(guest)
    }
}

/// Adds the sections that lose everything they hold.
fn remove_emptied(file: &File, yaml: &Yaml, entries: &mut BTreeSet<Entry>) {
    let loses_all = |id: NodeId, entries: &BTreeSet<Entry>| {
        let id = yaml.resolve(id);
        let mut left = yaml.pairs(id).iter().enumerate();
        let touched = entries.iter().any(|entry| entry.0 == id);
        touched
            && left.all(|(number, (key, _))| {
                entries.contains(&(id, number)) || yaml.scalar(*key) == Some("renderer")
            })
    };
    for network in file.networks() {
        for (number, (key, section)) in yaml.pairs(network).iter().enumerate() {
            let name = yaml.scalar(*key).unwrap_or_default();
            if name == "openvswitch" {
                let section = yaml.resolve(*section);
                for (number, (_, list)) in yaml.pairs(section).iter().enumerate() {
                    let list = yaml.resolve(*list);
                    let length = yaml.items(list).len();
                    if length > 0 && (0..length).all(|item| entries.contains(&(list, item))) {
                        entries.insert((section, number));
                    }
                }
            }
            if (name == "openvswitch" || file::SECTIONS.contains(&name))
                && loses_all(*section, entries)
            {
                entries.insert((network, number));
            }
        }
    }
}

/// Drafts the removal of files that were changed and define nothing any more.
pub fn sweep(guest: &mut Guest<'_>) -> Result<(), Error> {
    loop {
        let config = Config::read(guest)?;
        let files = config.files();
        let empty = files.iter().find(|file| {
            let changed = matches!(
                guest.drafts().get(&file.resolved),
                Some(Drafted::Content(_))
            );
            let others = files.iter().filter(|other| other.path != file.path);
            changed && !file.hides && file.is_bare() && file::renderer(others) == config.renderer()
        });
        match empty {
            Some(file) => {
                let (path, resolved) = (file.path.clone(), file.resolved.clone());
                guest.remove(&resolved)?;
                guest.remove(&path)?;
            }
            None => return Ok(()),
        }
    }
}
