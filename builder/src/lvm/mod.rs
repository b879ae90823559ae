//! LVM2, read natively: which logical volumes a disk has, and which of its bytes they are.
//!
//! A **physical volume** has a label in one of its first four sectors and a header behind it, which
//! says where the metadata areas are. Each area holds the **volume group** as text: its physical
//! volumes, cut into **extents**, and its **logical volumes**, each a list of **segments** that map
//! its extents to areas of physical volumes or to other, hidden volumes. Of several copies of one
//! group the one with the highest sequence number counts.
//!
//! Nothing here writes, and nothing of the host's LVM is asked or configured: a group of the same
//! name on the host does no harm. Checksums, places and numbers are checked before they are used; a
//! text that cannot be understood is a [`MetadataError`] and gives no volumes at all.
//!
//! Specification: the sources of LVM2 (`lib/label/label.h`, `lib/format_text/`).

mod area;
mod backing;
mod extents;
mod group;
mod label;
mod text;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};

pub(crate) use backing::{Backing, Obstacle, Table, Target};
pub(crate) use extents::Extents;
pub(crate) use group::Group;
pub use group::Kind;
pub(crate) use label::pv_uuid;

use crate::bytes::{Window, crc32};
use crate::units::{ByteRange, byte_len};

/// The longest text that is read, in bytes. LVM's own areas have one megabyte.
const MAX_TEXT: u64 = 8 * 1024 * 1024;
/// How much text is read of one disk, in bytes.
const MAX_TOTAL: u64 = 16 * 1024 * 1024;
/// How many physical volumes are looked for on one disk.
const MAX_MEMBERS: usize = 128;

/// Why metadata of LVM are not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The label does not match its checksum.
    #[error("the label does not match its checksum")]
    LabelChecksum,
    /// The header holds no UUID.
    #[error("the header has no UUID")]
    LabelUuid,
    /// The lists of areas in the header have no end.
    #[error("the header lists areas without end")]
    LabelAreas,
    /// The header of a metadata area does not match its checksum.
    #[error("the header of a metadata area does not match its checksum")]
    AreaChecksum,
    /// The header of a metadata area is not one, or is that of another place.
    #[error("the header of a metadata area does not describe it")]
    AreaHeader,
    /// A metadata area goes on behind the end of the volume.
    #[error("a metadata area is cut off")]
    CutOff,
    /// The text is said to lie outside of its area.
    #[error("the text is not inside its metadata area")]
    TextPlace,
    /// The text is too long to be read.
    #[error("the text has {len} bytes, which is more than byoi reads")]
    TooLong {
        /// Its length in bytes.
        len: u64,
    },
    /// The text does not match its checksum.
    #[error("the text does not match its checksum")]
    TextChecksum,
    /// The text is not UTF-8.
    #[error("the text is none")]
    NotText,
    /// The text is not in LVM's format.
    #[error("line {line} of the text cannot be read")]
    Syntax {
        /// The line, from 1.
        line: u32,
    },
    /// Sections are inside one another without end.
    #[error("the sections of the text are nested too deeply")]
    TooDeep,
    /// There is too much to read.
    #[error("the text has too many entries")]
    TooMany,
    /// The text describes no volume group.
    #[error("the text has no volume group")]
    NoGroup,
    /// An entry is missing, or is none that LVM writes.
    #[error("{}: `{field}` is missing or cannot be", what.escape_debug())]
    Field {
        /// The volume or the group.
        what: String,
        /// The name of the entry.
        field: &'static str,
    },
    /// The segments of a volume leave a gap, or overlap.
    #[error("{}: its segments do not follow one another", what.escape_debug())]
    Segments {
        /// The volume.
        what: String,
    },
    /// A segment lies outside of its physical volume.
    #[error("{}: a segment ends behind its physical volume", what.escape_debug())]
    BehindEnd {
        /// The volume.
        what: String,
    },
    /// A segment lies on a volume that is not described.
    #[error(
        "{}: a segment is on `{}`, which the group does not have",
        what.escape_debug(), on.escape_debug()
    )]
    Unknown {
        /// The volume.
        what: String,
        /// What it lies on.
        on: String,
    },
    /// Two segments have an extent in common.
    #[error("two segments share extent {extent} of physical volume {uuid}")]
    Shared {
        /// The physical volume.
        uuid: String,
        /// The number of the extent.
        extent: u64,
    },
    /// Two physical volumes, or two of what there may be one of, have the same name.
    #[error("`{}` is there twice", name.escape_debug())]
    Twice {
        /// The name or UUID.
        name: String,
    },
}

/// What is wrong with one physical volume, or with what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The number of its partition, 0 for the bare disk.
    pub partition: u32,
    pub error: MetadataError,
}

/// The groups on a disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub groups: Vec<Group>,
    pub faults: Vec<Fault>,
}

/// A part of the disk that begins with a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    /// The number of the partition, 0 for the bare disk.
    pub partition: u32,
    pub range: ByteRange,
}

/// Reads the volume groups that these parts of the disk belong to.
///
/// # Errors
///
/// A read failed. Whatever the bytes are, they are no error but a [`Fault`].
pub(crate) fn read<R: Read + Seek>(disk: &mut R, members: &[Member]) -> io::Result<Found> {
    let mut found = Found::default();
    let mut volumes: BTreeMap<String, Vec<Member>> = BTreeMap::new();
    // By the UUID of the group: the newest text, whether it is understood or not.
    let mut newest: BTreeMap<String, Candidate> = BTreeMap::new();
    let mut left = MAX_TOTAL;
    for &member in members.iter().take(MAX_MEMBERS) {
        let mut window = Window::new(disk, member.range);
        let fault = |error| Fault {
            partition: member.partition,
            error,
        };
        let header = match label::read(&mut window)? {
            None => continue,
            Some(Err(error)) => {
                found.faults.push(fault(error));
                continue;
            }
            Some(Ok(header)) => header,
        };
        for &area in &header.metadata_areas {
            let text = match area::read(&mut window, area)? {
                Ok(Some(text)) => text,
                Ok(None) => continue,
                Err(error) => {
                    found.faults.push(fault(error));
                    continue;
                }
            };
            let Some(rest) = left.checked_sub(byte_len(text.len())) else {
                found.faults.push(fault(MetadataError::TooMany));
                break;
            };
            left = rest;
            match group::identify(&text) {
                Err(error) => found.faults.push(fault(error)),
                Ok(identity) => {
                    let known = newest.get(&identity.uuid);
                    if known.is_none_or(|known| known.seqno < identity.seqno) {
                        newest.insert(
                            identity.uuid,
                            Candidate {
                                seqno: identity.seqno,
                                partition: member.partition,
                                group: identity.group,
                            },
                        );
                    }
                }
            }
        }
        volumes.entry(header.uuid).or_default().push(member);
    }
    for (uuid, members) in &volumes {
        for twin in members.iter().skip(1) {
            found.faults.push(Fault {
                partition: twin.partition,
                error: MetadataError::Twice { name: uuid.clone() },
            });
        }
    }
    for candidate in newest.into_values() {
        match candidate.group {
            Ok(mut group) => {
                group.place(&volumes);
                found.groups.push(group);
            }
            Err(error) => found.faults.push(Fault {
                partition: candidate.partition,
                error,
            }),
        }
    }
    found
        .groups
        .sort_by(|a, b| (&a.name, &a.uuid).cmp(&(&b.name, &b.uuid)));
    Ok(found)
}

/// A text about a group.
struct Candidate {
    seqno: u64,
    partition: u32,
    group: Result<Group, MetadataError>,
}

/// LVM's checksum: a CRC-32 with a beginning of its own, and not inverted.
fn checksum(bytes: &[u8]) -> u32 {
    crc32(0xf597_a6cf, bytes)
}
