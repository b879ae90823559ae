//! The entries of `fstab` and what their sources mean.

use byoi_agent::error::Error;
use byoi_agent::guest::Guest;
use byoi_agent::parse::edit::{self, Edit};
use byoi_agent::parse::fstab::{self, Entry};
use byoi_agent::rules::iscsi_mount::needs_iscsi;

use super::own_disk::own_disk;
use crate::volumes::{DeviceName, Resolution, Volume, Volumes};

/// The file.
pub(super) const FSTAB: &str = "/etc/fstab";

/// An entry and what its source means.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub entry: Entry,
    pub resolution: Resolution<'a>,
}

impl Row<'_> {
    /// Whether the boot stops when the source is not there.
    pub fn holds_boot_up(&self) -> bool {
        ["noauto", "nofail", "x-systemd.automount"]
            .iter()
            .all(|option| !self.entry.has_option(option))
    }

    /// Whether the source is a name that another machine gives differently.
    pub fn is_by_device(&self) -> bool {
        DeviceName::parse(&self.entry.source).is_some()
    }
}

/// The entries, in order.
pub(super) fn rows<'a>(guest: &Guest<'_>, volumes: &'a Volumes) -> Result<Vec<Row<'a>>, Error> {
    let Some(text) = guest.text(&FSTAB.into())? else {
        return Ok(Vec::new());
    };
    let own = own_disk(guest)?;
    let mut rows: Vec<Row<'a>> = fstab::entries(text.as_str())
        .into_iter()
        .map(|entry| Row {
            resolution: volumes.find(&entry.source, &own),
            entry,
        })
        .collect();
    let taken: Vec<&Volume> = rows
        .iter()
        .filter(|row| !row.is_by_device())
        .filter_map(|row| match row.resolution {
            Resolution::Here(volume) => Some(volume),
            _ => None,
        })
        .collect();
    for row in rows.iter_mut().filter(|row| row.is_by_device()) {
        row.resolution = corrected(row, &taken);
    }
    Ok(rows)
}

/// The entries that hold the boot up, or may do so, but for those that iSCSI attaches. A volume of
/// which a part is elsewhere is not here, and neither is what is bound from one that is not.
pub(super) fn waited_for<'a>(
    guest: &Guest<'_>,
    volumes: &'a Volumes,
) -> Result<Vec<Row<'a>>, Error> {
    let mut rows = rows(guest, volumes)?;
    let table: Vec<Entry> = rows.iter().map(|row| row.entry.clone()).collect();
    for row in &mut rows {
        if matches!(row.resolution, Resolution::Here(volume) if volume.partial) {
            row.resolution = Resolution::Elsewhere;
        }
    }
    let missing: Vec<Entry> = rows
        .iter()
        .filter(|row| row.resolution == Resolution::Elsewhere)
        .map(|row| row.entry.clone())
        .collect();
    for row in &mut rows {
        if missing.iter().any(|volume| row.entry.is_bound_from(volume)) {
            row.resolution = Resolution::Elsewhere;
        }
    }
    Ok(rows
        .into_iter()
        .filter(|row| row.holds_boot_up() && !needs_iscsi(&row.entry, &table))
        .collect())
}

/// A device name is believed only as far as the rest of the table allows it: a volume that another
/// entry mounts by its identifier is not meant, and a file system is not swap space.
fn corrected<'a>(row: &Row<'a>, taken: &[&Volume]) -> Resolution<'a> {
    let Resolution::Here(volume) = row.resolution else {
        return row.resolution;
    };
    let fs_type = volume.fs_type.as_deref();
    if taken.contains(&volume) && fs_type != Some("btrfs") {
        Resolution::Elsewhere
    } else if fs_type.is_some_and(|fs_type| (fs_type == "swap") != row.entry.is_swap()) {
        Resolution::Unknown
    } else {
        row.resolution
    }
}

/// Drafts an edit for each row that has one.
pub(super) fn edit_rows(
    guest: &mut Guest<'_>,
    volumes: &Volumes,
    decide: impl FnMut(&Row<'_>) -> Option<Edit>,
) -> Result<(), Error> {
    let edits: Vec<Edit> = rows(guest, volumes)?.iter().filter_map(decide).collect();
    let path = FSTAB.into();
    match guest.text(&path)? {
        Some(text) if !edits.is_empty() => {
            guest.write_text(&path, &edit::apply(text.as_str(), edits))
        }
        _ => Ok(()),
    }
}
