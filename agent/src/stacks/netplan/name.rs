//! Definitions that bind a NIC, or lie on one that does.

use super::Config;
use super::removal::Removal;
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    Ok(config
        .pinned()
        .map(|(name, place)| {
            let file = &config.files()[place.file];
            let message = format!("{name} binds a NIC of the old machine, or lies on one");
            Defect::in_file(&file.path, message)
                .at_line(file.line(place.key))
                .evidence(format!("{}: {name}", place.section))
                .hint("replace it by one definition for whichever NIC appears")
        })
        .collect())
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let config = Config::read(guest)?;
    let removal = Removal {
        names: config.devices().pinned().clone(),
        ..Removal::default()
    };
    removal.draft(&config, guest)
}
