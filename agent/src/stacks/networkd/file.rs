//! The files that networkd reads: a main file of each name, with its drop-ins.
//!
//! Of files with one name only that of the first directory counts, and one that is empty or a link
//! to `/dev/null` masks the rest. What systemd itself or a generator puts into `/run` is made anew
//! at each boot and is not read here.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::error::Error;
use crate::guest::{Drafted, Guest};
use crate::parse::lines::{LineEdits, physical};
use crate::parse::unit_file::{self, Entry, Section};
use crate::root::{FileKind, GuestPath};

/// Where the administrator's own files are, and where others are overridden.
pub const ETC: &str = "/etc/systemd/network";
/// Where files are, the first directory first; those of the distribution come last.
const DIRS: [(&str, bool); 4] = [
    (ETC, false),
    ("/usr/local/lib/systemd/network", false),
    ("/usr/lib/systemd/network", true),
    ("/lib/systemd/network", true),
];

/// A file.
#[derive(Debug)]
pub struct Source {
    /// Where it is.
    pub path: GuestPath,
    /// The file in `/etc` that would be read in its place.
    overriding: GuestPath,
    /// Whether it is the distribution's, and never changed.
    pub vendor: bool,
    /// Its text.
    pub text: String,
    /// What it says.
    pub sections: Vec<Section>,
}

impl Source {
    /// Its assignments.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.sections.iter().flat_map(|section| &section.entries)
    }

    /// An assignment as it is written, on one line.
    pub fn shown(entry: &Entry) -> String {
        format!("{}={}", entry.key, entry.value)
    }

    /// Drafts other text for it; a file of the distribution is overridden. A drop-in that says
    /// nothing any more goes.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn rewrite(&self, guest: &mut Guest<'_>, text: &str) -> Result<(), Error> {
        let path = if self.vendor {
            &self.overriding
        } else {
            &self.path
        };
        if !self.vendor && path.has_suffix(".conf") && unit_file::parse(text).is_empty() {
            return guest.remove(path);
        }
        guest.write_text(path, text)
    }

    /// The text without some of its assignments, each given by its lines. A section that loses all
    /// of them goes with its header.
    pub fn without(&self, gone: &[Range<usize>]) -> String {
        let physical = physical(&self.text);
        let mut edits = LineEdits::default();
        for section in &self.sections {
            let (lost, kept): (Vec<&Entry>, Vec<&Entry>) = section
                .entries
                .iter()
                .partition(|entry| gone.contains(&entry.lines));
            for entry in &lost {
                edits.remove(entry.lines.clone());
            }
            if let (Some(last), true) = (lost.last(), kept.is_empty()) {
                let blank = physical[last.lines.end..section.lines.end]
                    .iter()
                    .take_while(|line| line.trim().is_empty())
                    .count();
                edits.remove(section.lines.start..last.lines.end + blank);
            }
        }
        edits.apply(&self.text)
    }
}

/// A file that counts, with the drop-ins that extend it.
#[derive(Debug)]
pub struct Definition {
    /// The name of the file, by which it is sorted.
    pub name: String,
    /// The file.
    pub main: Source,
    /// Its drop-ins, in the order in which they are read.
    pub drop_ins: Vec<Source>,
}

impl Definition {
    /// The file and its drop-ins.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(&self.main).chain(&self.drop_ins)
    }

    /// The assignments of a key in sections of these names, in order.
    fn entries(&self, sections: &[&str], key: &str) -> Vec<&Entry> {
        self.sources()
            .flat_map(Source::entries)
            .filter(|entry| sections.contains(&entry.section.as_str()) && entry.key == key)
            .collect()
    }

    /// The value that counts of a key that takes one.
    pub fn value(&self, sections: &[&str], key: &str) -> Option<&str> {
        let entries = self.entries(sections, key);
        entries.last().map(|entry| entry.value.as_str())
    }

    /// Whether a key is set to yes, or to no.
    pub fn is(&self, sections: &[&str], key: &str, yes: bool) -> bool {
        self.value(sections, key).and_then(boolean) == Some(yes)
    }

    /// Drafts that nothing of it is left: the administrator's files go, and what a link in `/etc`
    /// leads to there; one of the distribution is masked.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn remove(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        for (dir, vendor) in DIRS {
            if !vendor {
                guest.remove(&GuestPath::from(dir).join(format!("{}.d", self.name)))?;
            }
        }
        let path = &self.main.path;
        if self.main.vendor {
            return guest.link(&self.main.overriding, "/dev/null");
        }
        let target = guest.root().resolve(path)?;
        if guest.kind(path)? == Some(FileKind::Symlink) && target.is_below(&"/etc".into()) {
            guest.remove(&target)?;
        }
        guest.remove(path)
    }
}

/// A boolean as systemd reads it.
pub fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// The files of a suffix such as `.network` that count, sorted by name.
///
/// # Errors
///
/// The guest could not be read.
pub fn definitions(guest: &Guest<'_>, suffix: &str) -> Result<Vec<Definition>, Error> {
    let dirs = DIRS.map(|(dir, vendor)| (dir.to_owned(), vendor));
    let mut definitions = Vec::new();
    for (name, main) in first_of_each(guest, &dirs, ETC, suffix)? {
        let extending = DIRS.map(|(dir, vendor)| (format!("{dir}/{name}.d"), vendor));
        let etc = format!("{ETC}/{name}.d");
        let drop_ins = first_of_each(guest, &extending, &etc, ".conf")?;
        definitions.push(Definition {
            drop_ins: drop_ins.into_values().collect(),
            name,
            main,
        });
    }
    Ok(definitions)
}

/// The files of a suffix in some directories, of each name the first; masked ones are left out.
fn first_of_each(
    guest: &Guest<'_>,
    dirs: &[(String, bool)],
    etc: &str,
    suffix: &str,
) -> Result<BTreeMap<String, Source>, Error> {
    let mut found: BTreeMap<String, Option<Source>> = BTreeMap::new();
    for (dir, vendor) in dirs {
        for path in guest.list(&dir.as_str().into())? {
            let name = path.name().to_string_lossy().into_owned();
            if !name.ends_with(suffix) || found.contains_key(&name) {
                continue;
            }
            if is_mask(guest, &path)? {
                found.insert(name, None);
            } else if let Some(text) = guest.text(&path)? {
                let source = Source {
                    overriding: GuestPath::from(etc).join(&name),
                    path,
                    vendor: *vendor,
                    sections: unit_file::sections(text.as_str()),
                    text: text.as_str().to_owned(),
                };
                found.insert(name, Some(source));
            }
        }
    }
    Ok(found
        .into_iter()
        .filter_map(|(name, source)| Some((name, source?)))
        .collect())
}

/// Whether a file disables those of its name: it is empty, or a link to `/dev/null`.
fn is_mask(guest: &Guest<'_>, path: &GuestPath) -> Result<bool, Error> {
    let null = GuestPath::from("/dev/null");
    if let Some(Drafted::Link(target)) = guest.drafts().get(path) {
        return Ok(GuestPath::from(target.as_str()) == null);
    }
    Ok(match guest.kind(path)? {
        Some(FileKind::Symlink) => guest.root().resolve(path)? == null,
        Some(FileKind::Regular) => guest.read(path)?.is_some_and(|content| content.is_empty()),
        _ => false,
    })
}
