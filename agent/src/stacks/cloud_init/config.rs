//! cloud-init's configuration: `/etc/cloud/cloud.cfg`, and what overrides it.

use crate::error::Error;
use crate::guest::Guest;
use crate::parse::lines::LineEdits;
use crate::parse::yaml_keys::{self, Entry};
use crate::root::GuestPath;

/// The configuration itself.
pub const MAIN: &str = "/etc/cloud/cloud.cfg";
/// Where the files are that override it. The last one wins.
pub const OVERRIDES: &str = "/etc/cloud/cloud.cfg.d";

/// A YAML file.
#[derive(Debug)]
pub struct File {
    /// Where it is.
    pub path: GuestPath,
    /// Its text.
    pub text: String,
    /// The keys of the mapping that it is.
    pub entries: Vec<Entry>,
}

impl File {
    /// Reads a file; `None` where there is none.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn read(guest: &Guest<'_>, path: GuestPath) -> Result<Option<Self>, Error> {
        Ok(guest.text(&path)?.map(|text| Self {
            path,
            entries: yaml_keys::entries(text.as_str()),
            text: text.as_str().to_owned(),
        }))
    }

    /// A key of the mapping. The last one counts, as in cloud-init's own reader.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.key == key)
    }

    /// The first line of a key, as it is written.
    pub fn line(&self, entry: &Entry) -> &str {
        self.text
            .lines()
            .nth(entry.lines.start)
            .unwrap_or_default()
            .trim_end()
    }

    /// The text without keys.
    pub fn without(&self, entries: &[&Entry]) -> String {
        let mut edits = LineEdits::default();
        for entry in entries {
            edits.remove(entry.lines.clone());
        }
        edits.apply(&self.text)
    }
}

/// Every file, the last one winning.
///
/// # Errors
///
/// The guest could not be read.
pub fn read_all(guest: &Guest<'_>) -> Result<Vec<File>, Error> {
    let mut paths = vec![GuestPath::from(MAIN)];
    let overrides = guest.list(&OVERRIDES.into())?;
    paths.extend(overrides.into_iter().filter(|path| path.has_suffix(".cfg")));
    let mut files = Vec::new();
    for path in paths {
        files.extend(File::read(guest, path)?);
    }
    Ok(files)
}
