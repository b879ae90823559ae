//! The files that netplan reads.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::guest::Guest;
use crate::parse::edit::LineIndex;
use crate::parse::yaml::{Broken, NodeId, Yaml};
use crate::root::{FileKind, GuestPath};
use crate::text::Text;

/// Where netplan's files are; one of the same name in a later directory hides the earlier one.
pub const DIRS: [&str; 3] = ["/usr/lib/netplan", "/lib/netplan", "/etc/netplan"];

/// The keys of `network` that hold definitions.
pub const SECTIONS: [&str; 11] = [
    "ethernets",
    "wifis",
    "modems",
    "bonds",
    "bridges",
    "vlans",
    "vrfs",
    "tunnels",
    "dummy-devices",
    "virtual-ethernets",
    "nm-devices",
];

/// A file of netplan's.
#[derive(Debug)]
pub struct File {
    /// Where it is.
    pub path: GuestPath,
    /// The same with its links followed.
    pub resolved: GuestPath,
    /// Its text.
    pub text: String,
    /// Whether its bytes are UTF-8.
    pub utf8: bool,
    /// What it says, or why netplan does not take it.
    pub content: Result<Yaml, Broken>,
    /// Whether netplan reads it: none of the same name hides it.
    pub active: bool,
    /// Whether it hides one of the same name.
    pub hides: bool,
}

impl File {
    /// What it says, if it is one of netplan's.
    pub fn yaml(&self) -> Option<&Yaml> {
        self.content.as_ref().ok()
    }

    /// The line of a node, from 1.
    pub fn line(&self, node: NodeId) -> usize {
        let lines = LineIndex::new(&self.text);
        self.yaml().map_or(1, |yaml| yaml.line(node, &lines))
    }

    /// The `network` mapping of each of its documents. Only the first is read.
    pub fn networks(&self) -> Vec<NodeId> {
        let yaml = self.yaml();
        yaml.into_iter()
            .flat_map(|yaml| {
                yaml.roots
                    .iter()
                    .filter_map(|root| yaml.get(*root, "network"))
                    .map(|network| yaml.resolve(network))
            })
            .collect()
    }

    /// Whether it defines nothing.
    pub fn is_bare(&self) -> bool {
        let Some(yaml) = self.yaml() else {
            return false;
        };
        yaml.roots.iter().all(|root| {
            yaml.pairs(*root).iter().all(|(key, network)| {
                yaml.scalar(*key) == Some("network")
                    && yaml
                        .pairs(*network)
                        .iter()
                        .all(|(key, _)| matches!(yaml.scalar(*key), Some("version" | "renderer")))
            })
        })
    }
}

/// The global renderer that the last of these files names.
pub fn renderer<'a>(files: impl Iterator<Item = &'a File>) -> Option<&'a str> {
    files
        .filter(|file| file.active)
        .filter_map(|file| {
            let yaml = file.yaml()?;
            let network = *file.networks().first()?;
            yaml.scalar(yaml.get(network, "renderer")?)
        })
        .last()
}

/// Every file, each once, in the order in which they are merged.
pub fn read_all(guest: &Guest<'_>) -> Result<Vec<File>, Error> {
    let mut by_name: BTreeMap<String, Vec<GuestPath>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for dir in DIRS {
        for path in guest.list(&dir.into())? {
            let resolved = guest.root().resolve(&path)?;
            let regular = guest.kind(&resolved)? == Some(FileKind::Regular);
            if path.has_suffix(".yaml") && regular && seen.insert(path.clone()) {
                let name = path.name().to_string_lossy().into_owned();
                by_name.entry(name).or_default().push(path);
            }
        }
    }
    let mut files = Vec::new();
    for paths in by_name.into_values() {
        let last = paths.len() - 1;
        for (number, path) in paths.into_iter().enumerate() {
            let Some(bytes) = guest.read(&path)? else {
                continue;
            };
            let text = Text::from_bytes(&bytes).as_str().to_owned();
            files.push(File {
                resolved: guest.root().resolve(&path)?,
                path,
                utf8: std::str::from_utf8(&bytes).is_ok(),
                content: read(&text),
                text,
                active: number == last,
                hides: number > 0,
            });
        }
    }
    Ok(files)
}

/// What a text says, if netplan takes it as far as its form goes.
fn read(text: &str) -> Result<Yaml, Broken> {
    let yaml = Yaml::parse(text)?;
    let lines = LineIndex::new(text);
    let mapping = |id: NodeId, what: &str| {
        if yaml.is_mapping(id) || yaml.is_null(id) {
            Ok(())
        } else {
            Err(Broken {
                line: yaml.line(id, &lines),
                message: format!("{what} is not a mapping"),
            })
        }
    };
    for root in &yaml.roots {
        mapping(*root, "the document")?;
        for (key, network) in yaml.pairs(*root) {
            let name = yaml.scalar(*key).unwrap_or_default();
            if name != "network" {
                return Err(Broken {
                    line: yaml.line(*key, &lines),
                    message: format!("the key {name:?} is unknown"),
                });
            }
            mapping(*network, name)?;
            for (key, section) in yaml.pairs(*network) {
                let name = yaml.scalar(*key).unwrap_or_default();
                if !SECTIONS.contains(&name) {
                    continue;
                }
                mapping(*section, name)?;
                for (key, definition) in yaml.pairs(*section) {
                    let name = yaml.scalar(*key).unwrap_or_default();
                    if name != "renderer" {
                        mapping(*definition, name)?;
                    }
                }
            }
        }
    }
    Ok(yaml)
}
