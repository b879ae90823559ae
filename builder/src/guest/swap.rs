//! Emptying swap space: partitions, logical volumes and files, of which the header stays with UUID
//! and label.
//!
//! A swap file keeps its extents as they are: what holds data is overwritten with zeros. A hole in
//! it would be refused by every kernel (swapon(8)), and preallocated extents, which a cheaper
//! `FALLOC_FL_ZERO_RANGE` leaves, are by XFS before Linux 4.18. Those that are preallocated stay so.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use nix::fcntl::OFlag;
use schemars::JsonSchema;
use serde::Serialize;

use super::GuestError;
use super::confined;
use super::erase::{erase, write_zeros};
use crate::bytes::Window;
use crate::disk::{Access, AttachedDisk, DiskError};
use crate::layout::{ContentKind, Part, SWAP_HEAD, own_swap_pages, swap_pages};
use crate::units::{ByteRange, byte_len};

/// A swap area that was emptied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EmptiedSwap {
    /// The number of the partition; of a logical volume, that of the one that it begins on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// The logical volume, as `group/volume`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logical_volume: Option<String>,
    /// The file, as the guest's fstab spells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The bytes behind its header.
    pub size: u64,
}

/// Empties a partition or volume that is a swap area; `None` where it is none, or cannot be had.
pub(super) fn empty_part(
    disk: &AttachedDisk,
    part: Part<'_>,
) -> Result<Option<EmptiedSwap>, GuestError> {
    let (ContentKind::Swap, Some(backing)) = (part.content().kind, part.backing()) else {
        return Ok(None);
    };
    let id = part.id();
    let device = match disk.attach_backing(&backing, Access::ReadWrite) {
        Ok(device) => device,
        Err(DiskError::OutOfBounds { .. } | DiskError::Mapper { .. }) => return Ok(None),
        Err(source) => return Err(GuestError::Attach { part: id, source }),
    };
    let emptied = File::options()
        .read(true)
        .write(true)
        .open(device.path())
        .and_then(|mut file| {
            let whole = ByteRange::new(0, file.seek(SeekFrom::End(0))?);
            let whole = whole.unwrap_or(ByteRange::EMPTY);
            let pages = own_swap_pages(&mut Window::new(&mut file, whole))?;
            if let Some(pages) = pages {
                erase(&file, pages)?;
            }
            Ok(pages)
        })
        .map_err(|source| GuestError::Swap {
            place: id.to_string(),
            source,
        });
    let detached = device.detach();
    let pages = emptied?;
    detached.map_err(|source| GuestError::Detach {
        part: id.clone(),
        source,
    })?;
    Ok(pages.map(|pages| EmptiedSwap {
        partition: Some(part.partition()),
        logical_volume: id.logical_volume(),
        file: None,
        size: pages.len(),
    }))
}

/// Empties the swap files at these paths of the guest. What is no regular file that can be opened,
/// or has no header, is left out.
pub(super) fn empty_files(dir: &Path, paths: &[String]) -> Result<Vec<EmptiedSwap>, GuestError> {
    let root = File::open(dir).map_err(|source| GuestError::Point {
        point: "/".to_owned(),
        source,
    })?;
    let mut emptied = Vec::new();
    for path in paths {
        let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let Ok(file) = confined::open(&root, path, flags).map(File::from) else {
            continue;
        };
        let pages = overwrite(&file).map_err(|source| GuestError::Swap {
            place: format!("swap file {path}"),
            source,
        })?;
        emptied.extend(pages.map(|pages| EmptiedSwap {
            partition: None,
            logical_volume: None,
            file: Some(path.clone()),
            size: pages.len(),
        }));
    }
    Ok(emptied)
}

/// Writes zeros wherever the pages of a swap file hold something else; gives the pages.
fn overwrite(file: &File) -> io::Result<Option<ByteRange>> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let mut head = Vec::new();
    file.take(byte_len(SWAP_HEAD)).read_to_end(&mut head)?;
    let Some(pages) = swap_pages(&head, metadata.len()) else {
        return Ok(None);
    };
    write_zeros(file, pages)?;
    Ok(Some(pages))
}
