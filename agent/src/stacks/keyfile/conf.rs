//! `NetworkManager`'s own configuration, in the order in which it is read.

use super::profile::is_false;
use super::spec;
use crate::error::Error;
use crate::guest::Guest;
use crate::parse::keyfile::{Entry, KeyFile, items};
use crate::parse::lines::LineEdits;
use crate::root::GuestPath;

/// Where drop-ins are that packages bring.
const VENDOR: &str = "/usr/lib/NetworkManager/conf.d";
/// Where the administrator's are.
pub const DROP_INS: &str = "/etc/NetworkManager/conf.d";
/// What is read between the two.
const MAIN: [&str; 2] = [
    "/etc/NetworkManager/NetworkManager.conf",
    "/etc/NetworkManager/nm-system-settings.conf",
];
/// What `NetworkManager` writes itself.
const INTERN: &str = "/var/lib/NetworkManager/NetworkManager-intern.conf";
/// Where profiles are unless it is told otherwise.
const PROFILES: &str = "/etc/NetworkManager/system-connections";

/// A file of the configuration.
#[derive(Debug)]
pub struct ConfFile {
    /// The file.
    pub path: GuestPath,
    /// What it says.
    pub file: KeyFile,
    /// Whether a package brought it.
    vendor: bool,
}

/// The configuration.
#[derive(Debug, Default)]
pub struct Conf {
    files: Vec<ConfFile>,
}

/// A line that keeps `NetworkManager` off the NIC.
#[derive(Debug)]
pub struct Hindrance<'a> {
    /// The file that it is in.
    pub path: &'a GuestPath,
    /// The line.
    pub entry: Entry<'a>,
}

impl ConfFile {
    /// Drafts other content. A file that a package brought is overridden by one of the same name.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn edit(&self, guest: &mut Guest<'_>, edits: &LineEdits) -> Result<(), Error> {
        if edits.is_empty() {
            return Ok(());
        }
        let anew = edits.apply(self.file.as_str());
        if self.vendor {
            let path = GuestPath::from(DROP_INS).join(self.path.name());
            guest.write_text(&path, &anew)
        } else {
            guest.write_text(&self.path, &anew)
        }
    }
}

impl Conf {
    /// Reads the configuration with what is drafted so far.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn read(guest: &Guest<'_>) -> Result<Self, Error> {
        let drop_ins = |dir: &str| -> Result<Vec<GuestPath>, Error> {
            let mut paths = guest.list(&dir.into())?;
            paths.retain(|path| path.has_suffix(".conf"));
            Ok(paths)
        };
        let own = drop_ins(DROP_INS)?;
        let mut paths: Vec<(GuestPath, bool)> = drop_ins(VENDOR)?
            .into_iter()
            .filter(|path| !own.iter().any(|other| other.name() == path.name()))
            .map(|path| (path, true))
            .collect();
        paths.extend(MAIN.map(|path| (path.into(), false)));
        paths.extend(own.into_iter().map(|path| (path, false)));
        paths.push((INTERN.into(), false));
        let mut files = Vec::new();
        for (path, vendor) in paths {
            if let Some(text) = guest.text(&path)? {
                let file = KeyFile::parse(text.as_str());
                files.push(ConfFile { path, file, vendor });
            }
        }
        Ok(Self { files })
    }

    /// The files.
    pub fn files(&self) -> &[ConfFile] {
        &self.files
    }

    /// Where profiles are.
    pub fn profile_dir(&self) -> GuestPath {
        let paths = self.files.iter();
        let path = paths
            .filter_map(|conf| conf.file.get(&["keyfile"], "path"))
            .next_back()
            .filter(|entry| entry.value.starts_with('/'));
        path.map_or(PROFILES, |entry| entry.value).into()
    }

    /// What keeps `NetworkManager` off the one NIC under one of these names at least.
    pub fn hindrance(&self, nics: &[&str]) -> Option<Hindrance<'_>> {
        self.unmanaged(nics).or_else(|| self.not_managed(nics))
    }

    /// `[keyfile] unmanaged-devices`, where `+` adds to what was read before and `-` takes away.
    fn unmanaged(&self, nics: &[&str]) -> Option<Hindrance<'_>> {
        let mut specs: Vec<&str> = Vec::new();
        let mut last = None;
        for conf in &self.files {
            let entries = conf.file.entries();
            for entry in entries.filter(|entry| entry.group == "keyfile") {
                match entry.key {
                    "unmanaged-devices" => specs = items(entry.value).collect(),
                    "unmanaged-devices+" => specs.extend(items(entry.value)),
                    "unmanaged-devices-" => {
                        specs.retain(|spec| items(entry.value).all(|item| item != *spec));
                    }
                    _ => continue,
                }
                if spec::selects_any(&items(entry.value), nics) || last.is_none() {
                    let path = &conf.path;
                    last = Some(Hindrance { path, entry });
                }
            }
        }
        last.filter(|_| spec::selects_any(&specs.into_iter(), nics))
    }

    /// `[device*] managed`: the first section that matches and has it counts, later files before
    /// earlier ones, and `[device]` itself last of all.
    fn not_managed(&self, nics: &[&str]) -> Option<Hindrance<'_>> {
        let mut plain = None;
        for conf in self.files.iter().rev() {
            let mut settled = false;
            for entry in conf.file.entries() {
                let section = entry.group.strip_prefix("device");
                if entry.key != "managed" || section.is_none() {
                    continue;
                }
                if let Some("") = section {
                    plain.get_or_insert((conf, entry));
                } else if !settled && applies(conf, entry.group, nics) {
                    if is_false(entry.value) {
                        let path = &conf.path;
                        return Some(Hindrance { path, entry });
                    }
                    settled = true;
                }
            }
            if settled {
                return None;
            }
        }
        let (conf, entry) = plain?;
        let off = is_false(entry.value) && applies(conf, entry.group, nics);
        let path = &conf.path;
        off.then_some(Hindrance { path, entry })
    }
}

/// Whether a section is about the NIC.
fn applies(conf: &ConfFile, section: &str, nics: &[&str]) -> bool {
    let specs = conf.file.get(&[section], "match-device");
    specs.is_none_or(|entry| spec::selects_any(&items(entry.value), nics))
}
