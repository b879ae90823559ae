//! Files beside the configuration in which a MAC may stand: what is not read, and scripts.

use super::super::note;
use super::config::Config;
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;

/// Where scripts are that run when a connection comes or goes.
const SCRIPTS: &str = "/etc/NetworkManager/dispatcher.d";

/// The MACs in files that are not read, which are worth a note, and those in scripts, which cannot
/// be edited safely.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>, config: &Config) -> Result<Vec<Defect>, Error> {
    let mut defects = Vec::new();
    for path in config.unread() {
        if let Some(text) = guest.text(path)? {
            let lines = text.as_str().lines().enumerate();
            let notes =
                lines.filter_map(|(line, text)| note(path, line, text, "a file that is not read"));
            defects.extend(notes);
        }
    }
    for path in guest.walk(&SCRIPTS.into())? {
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let lines = text.as_str().lines().enumerate();
        for (line, text) in lines.filter(|(_, text)| !text.trim_start().starts_with('#')) {
            if let Some(mut defect) = note(&path, line, text, "a script") {
                "a script names a MAC".clone_into(&mut defect.message);
                "see whether the script is still wanted".clone_into(&mut defect.hint);
                defects.push(defect.severity(Severity::Warning));
            }
        }
    }
    Ok(defects)
}
