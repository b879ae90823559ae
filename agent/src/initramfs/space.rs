//! Whether a file system has room for another image.
//!
//! A general image is larger than one for a single machine, and until it has been checked the old
//! one is still there.

use crate::error::Error;
use crate::guest::Guest;
use crate::root::GuestPath;

/// What stays free beside the new image, in bytes.
const MARGIN: u64 = 16 << 20;
/// How large an image is thought to become that there is nothing to compare with, in bytes.
const UNKNOWN: u64 = 64 << 20;

/// Room that is missing, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// How much has to be free.
    pub needed: u64,
    /// How much is.
    pub free: u64,
}

/// What is missing for an image to be built anew, after all that is drafted already; `None` where
/// there is enough. `in_place` says that a copy of the old image is made first.
///
/// # Errors
///
/// The guest could not be read.
pub fn shortage(
    guest: &Guest<'_>,
    image: &GuestPath,
    in_place: bool,
) -> Result<Option<Shortage>, Error> {
    let root = guest.root();
    let dir = image.parent().unwrap_or_else(|| image.clone());
    let Some(mut free) = root.free_space(&dir)? else {
        return Ok(None);
    };
    let largest = largest_image(guest, &dir)?;
    for command in guest.commands() {
        if command.initramfs.is_some() && command.produces != *image {
            let old = root.size(&command.produces)?;
            let growth = estimate(old, largest).saturating_sub(old.unwrap_or(0));
            free = free.saturating_sub(growth);
        }
    }
    let old = root.size(image)?;
    let needed = needed(old, largest, in_place);
    Ok((free < needed).then_some(Shortage { needed, free }))
}

fn needed(old: Option<u64>, largest: Option<u64>, in_place: bool) -> u64 {
    let copy = if in_place { old.unwrap_or(0) } else { 0 };
    estimate(old, largest)
        .saturating_add(copy)
        .saturating_add(MARGIN)
}

/// How large an image may become: as large as the largest beside it, which is often a rescue image
/// and general already, and twice as large as it was.
fn estimate(old: Option<u64>, largest: Option<u64>) -> u64 {
    let twice = old.map(|old| old.saturating_mul(2));
    twice.max(largest).unwrap_or(UNKNOWN)
}

/// The size of the largest image in a directory, in bytes.
fn largest_image(guest: &Guest<'_>, dir: &GuestPath) -> Result<Option<u64>, Error> {
    let mut largest = None;
    for path in guest.list(dir)? {
        if path.name().to_string_lossy().starts_with("init") {
            largest = largest.max(guest.root().size(&path)?);
        }
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_the_new_image() {
        const MIB: u64 = 1 << 20;
        for (old, largest, in_place, expected) in [
            (Some(20), Some(20), false, 40 + 16),
            (Some(20), Some(90), false, 90 + 16),
            (Some(20), Some(90), true, 20 + 90 + 16),
            (None, Some(90), true, 90 + 16),
            (None, None, false, 64 + 16),
        ] {
            let bytes = |size: Option<u64>| size.map(|size| size * MIB);
            assert_eq!(
                needed(bytes(old), bytes(largest), in_place),
                expected * MIB,
                "{old:?} {largest:?} {in_place}"
            );
        }
        assert!(needed(Some(u64::MAX), None, true) > MARGIN);
    }
}
