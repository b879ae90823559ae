//! The files of the configuration, and which of them are read at all.

use super::DIR;
use super::reader::Reader;
use crate::error::Error;
use crate::guest::Guest;
use crate::parse::edit::Edit;
use crate::parse::shell_vars::{self, Assignment};
use crate::root::{FileKind, GuestPath};

/// Files that belong to a profile, by what their names begin with.
pub const SIBLINGS: [&str; 5] = ["route-", "route6-", "rule-", "rule6-", KEYS];
/// What the name of a file of secrets begins with.
pub const KEYS: &str = "keys-";
/// What a profile's name begins with.
const PREFIX: &str = "ifcfg-";
/// Where Red Hat 5 and 6 keep hard links to the profiles.
const LEGACY: &str = "/etc/sysconfig/networking";
/// Ends of names that neither reader takes.
const IGNORED: [&str; 4] = ["~", ".bak", ".orig", ".rpmnew"];
/// Ends of names that initscripts pass over and `NetworkManager` does not.
const IGNORED_BY_INITSCRIPTS: [&str; 3] = [".old", ".rpmorig", ".rpmsave"];
/// Ends of names that `NetworkManager` passes over and initscripts do not.
const IGNORED_BY_NETWORK_MANAGER: [&str; 3] = [".rej", ".augnew", ".augtmp"];

/// A profile.
#[derive(Debug)]
pub struct File {
    /// Where it is.
    pub path: GuestPath,
    /// Its name without `ifcfg-`.
    pub suffix: String,
    /// What it says.
    pub text: String,
    /// Its assignments.
    pub assignments: Vec<Assignment>,
    /// Whether it is a copy outside the directory that is read.
    pub legacy: bool,
}

impl File {
    /// The value that a variable has in the end; `None` where it is empty.
    pub fn value(&self, name: &str) -> Option<String> {
        let mut value = String::new();
        for assignment in self.assignments.iter().filter(|found| found.name == name) {
            if !assignment.append {
                value.clear();
            }
            value.push_str(assignment.value.as_str());
        }
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// Whether a variable has this value, whatever its case.
    pub fn says(&self, name: &str, value: &str) -> bool {
        self.value(name)
            .is_some_and(|found| found.eq_ignore_ascii_case(value))
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.switch(name) == Some(true)
    }

    /// Whether a switch is off: one that is not there is not.
    pub fn is_off(&self, name: &str) -> bool {
        self.switch(name) == Some(false)
    }

    fn switch(&self, name: &str) -> Option<bool> {
        match self.value(name)?.to_ascii_lowercase().as_str() {
            "yes" | "true" | "t" | "y" | "on" | "1" => Some(true),
            "no" | "false" | "f" | "n" | "off" | "0" => Some(false),
            _ => None,
        }
    }

    /// Takes an assignment out. Where a quote in it is never closed, readers differ in how far it
    /// reaches, and only its first line goes.
    pub fn removal(&self, assignment: &Assignment) -> Edit {
        let mut lines = assignment.lines.clone();
        if !assignment.closed
            && let Some(end) = self.text[lines.clone()].find('\n')
        {
            lines.end = lines.start + end + 1;
        }
        Edit::remove(lines)
    }

    /// The text of a line, from 1.
    pub fn line(&self, number: usize) -> &str {
        line(&self.text, number)
    }
}

/// The text of a line, from 1, without blanks around it.
pub fn line(text: &str, number: usize) -> &str {
    text.lines()
        .nth(number.saturating_sub(1))
        .unwrap_or_default()
        .trim()
}

/// Every profile that is read, and the legacy copies, in the order of their paths.
pub fn read_all(guest: &Guest<'_>, reader: Option<Reader>) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    for (path, legacy) in candidates(guest)? {
        let Some(suffix) = suffix(&path) else {
            continue;
        };
        if is_ignored(&suffix, reader) {
            continue;
        }
        if let Some(text) = guest.text(&path)? {
            files.push(File {
                assignments: shell_vars::assignments(text.as_str()),
                text: text.as_str().to_owned(),
                path,
                suffix,
                legacy,
            });
        }
    }
    Ok(files)
}

/// The profiles that nothing reads, with their texts.
pub fn ignored(
    guest: &Guest<'_>,
    reader: Option<Reader>,
) -> Result<Vec<(GuestPath, String)>, Error> {
    let mut ignored = Vec::new();
    for (path, _) in candidates(guest)? {
        if suffix(&path).is_some_and(|suffix| is_ignored(&suffix, reader))
            && let Some(text) = guest.text(&path)?
        {
            ignored.push((path, text.as_str().to_owned()));
        }
    }
    Ok(ignored)
}

/// The routes, rules and secrets: path, kind and suffix.
pub fn siblings(guest: &Guest<'_>) -> Result<Vec<(GuestPath, &'static str, String)>, Error> {
    let mut found = Vec::new();
    for path in guest.list(&DIR.into())? {
        let name = path.name().to_string_lossy().into_owned();
        for kind in SIBLINGS {
            if let Some(suffix) = name.strip_prefix(kind)
                && !ends_with_one_of(suffix, &IGNORED)
            {
                found.push((path.clone(), kind, suffix.to_owned()));
            }
        }
    }
    Ok(found)
}

/// What may be a profile, and whether it is a legacy copy.
fn candidates(guest: &Guest<'_>) -> Result<Vec<(GuestPath, bool)>, Error> {
    let legacy = GuestPath::from(LEGACY);
    let mut dirs = vec![(DIR.into(), false), (legacy.join("devices"), true)];
    for profile in guest.list(&legacy.join("profiles"))? {
        dirs.push((profile, true));
    }
    let mut found = Vec::new();
    for (dir, is_legacy) in dirs {
        for path in guest.list(&dir)? {
            if guest.kind(&path)? != Some(FileKind::Directory) {
                found.push((path, is_legacy));
            }
        }
    }
    Ok(found)
}

fn suffix(path: &GuestPath) -> Option<String> {
    let name = path.name().to_string_lossy();
    let suffix = name.strip_prefix(PREFIX)?;
    (!suffix.is_empty()).then(|| suffix.to_owned())
}

/// Whether a name is one that the reader passes over; without a reader, one that either does.
fn is_ignored(suffix: &str, reader: Option<Reader>) -> bool {
    let by_initscripts = || ends_with_one_of(suffix, &IGNORED_BY_INITSCRIPTS);
    let by_network_manager =
        || ends_with_one_of(suffix, &IGNORED_BY_NETWORK_MANAGER) || is_of_rpm(suffix);
    ends_with_one_of(suffix, &IGNORED)
        || match reader {
            Some(Reader::Initscripts) => by_initscripts(),
            Some(Reader::NetworkManager) => by_network_manager(),
            None => by_initscripts() || by_network_manager(),
        }
}

/// Whether rpm makes a file of this name while it installs another: `eth0;5f3a90c1`.
fn is_of_rpm(name: &str) -> bool {
    name.rsplit_once(';').is_some_and(|(_, tail)| {
        tail.len() == 8 && tail.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn ends_with_one_of(name: &str, ends: &[&str]) -> bool {
    let name = name.to_ascii_lowercase();
    ends.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_names_are_not_read() {
        use Reader::{Initscripts, NetworkManager};
        for (suffix, by_initscripts, by_network_manager) in [
            ("eth0", false, false),
            ("eth0-old", false, false),
            ("eth0:1", false, false),
            ("Wired connection 1", false, false),
            ("eth0.100", false, false),
            ("eth0.bak", true, true),
            ("eth0.BAK", true, true),
            ("eth0~", true, true),
            ("eth0.orig", true, true),
            ("eth0.rpmnew", true, true),
            ("eth0.rpmsave", true, false),
            ("eth0.old", true, false),
            ("eth0.augnew", false, true),
            ("eth0;5f3a90c1", false, true),
            ("eth0;5f3a90cz", false, false),
        ] {
            assert_eq!(
                is_ignored(suffix, Some(Initscripts)),
                by_initscripts,
                "{suffix}"
            );
            assert_eq!(
                is_ignored(suffix, Some(NetworkManager)),
                by_network_manager,
                "{suffix}"
            );
            assert_eq!(
                is_ignored(suffix, None),
                by_initscripts || by_network_manager
            );
        }
    }
}
