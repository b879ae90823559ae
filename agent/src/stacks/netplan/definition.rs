//! The definitions of interfaces, each gathered from all the files that add to it.

use std::collections::BTreeMap;

use super::file::{File, SECTIONS};
use crate::parse::yaml::{Entry, NodeId, Yaml};

/// A part of a definition: what one file says.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file's number.
    pub file: usize,
    /// The section, such as `ethernets`.
    pub section: &'static str,
    /// The pair in the section.
    pub entry: Entry,
    /// The name.
    pub key: NodeId,
    /// What it says.
    pub value: NodeId,
    /// Whether netplan reads it.
    pub effective: bool,
}

/// A definition.
#[derive(Debug, Default)]
pub struct Definition {
    /// Its parts, in the order in which they are merged.
    pub places: Vec<Place>,
}

impl Definition {
    /// Whether it is in a section.
    pub fn is_in(&self, section: &str) -> bool {
        self.places.iter().any(|place| place.section == section)
    }

    /// Everything that the files say under a key of the definition.
    pub fn values<'a>(
        &'a self,
        files: &'a [File],
        key: &'a str,
    ) -> impl Iterator<Item = (&'a Yaml, NodeId)> {
        self.places.iter().filter_map(move |place| {
            let yaml = files[place.file].yaml()?;
            Some((yaml, yaml.get(place.value, key)?))
        })
    }

    /// The value that counts: the last one.
    pub fn scalar<'a>(&'a self, files: &'a [File], key: &'a str) -> Option<&'a str> {
        self.values(files, key)
            .filter_map(|(yaml, id)| yaml.scalar(id))
            .last()
    }

    /// A value in a mapping of the definition: the last one.
    pub fn inner<'a>(&'a self, files: &'a [File], mapping: &'a str, key: &str) -> Option<&'a str> {
        self.values(files, mapping)
            .filter_map(|(yaml, id)| yaml.scalar(yaml.get(id, key)?))
            .last()
    }

    /// The keys that it has, with what they say.
    pub fn pairs<'a>(
        &'a self,
        files: &'a [File],
    ) -> impl Iterator<Item = (&'a Yaml, &'a str, NodeId)> {
        self.places
            .iter()
            .filter_map(|place| Some((files[place.file].yaml()?, place.value)))
            .flat_map(|(yaml, value)| {
                yaml.pairs(value)
                    .iter()
                    .map(move |(key, value)| (yaml, yaml.scalar(*key).unwrap_or_default(), *value))
            })
    }

    /// A key of the keyfile that is passed through to `NetworkManager`, such as `connection.type`.
    pub fn passthrough<'a>(&'a self, files: &'a [File], key: &str) -> Option<&'a str> {
        self.values(files, "networkmanager")
            .filter_map(|(yaml, id)| yaml.scalar(yaml.get(yaml.get(id, "passthrough")?, key)?))
            .last()
    }
}

/// Every definition by its name.
pub fn collect(files: &[File]) -> BTreeMap<String, Definition> {
    let mut definitions: BTreeMap<String, Definition> = BTreeMap::new();
    for (number, file) in files.iter().enumerate() {
        let Some(yaml) = file.yaml() else {
            continue;
        };
        for (document, network) in file.networks().into_iter().enumerate() {
            for (key, section) in yaml.pairs(network) {
                let name = yaml.scalar(*key);
                let Some(section_name) = SECTIONS.into_iter().find(|known| name == Some(*known))
                else {
                    continue;
                };
                let section = yaml.resolve(*section);
                for (at, (key, value)) in yaml.pairs(section).iter().enumerate() {
                    let name = yaml.scalar(*key).unwrap_or_default();
                    // A renderer for the section.
                    if name == "renderer" && yaml.scalar(*value).is_some() {
                        continue;
                    }
                    let definition = definitions.entry(name.to_owned()).or_default();
                    definition.places.push(Place {
                        file: number,
                        section: section_name,
                        entry: (section, at),
                        key: *key,
                        value: *value,
                        effective: file.active && document == 0,
                    });
                }
            }
        }
    }
    definitions
}

/// What netplan reads as true.
pub fn is_true(text: &str) -> bool {
    ["true", "on", "yes", "y"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}
