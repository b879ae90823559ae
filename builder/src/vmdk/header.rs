//! The header, the footer, and the markers between grains and tables.

use super::{GRAIN_SECTORS, SECTOR_LENGTH, TABLE_ENTRIES};

/// The place of the directory in a header that cannot know it.
pub const AT_END: u64 = u64::MAX;

/// Sectors of the descriptor, which comes after the header.
pub const DESCRIPTOR_SECTORS: u64 = 20;

/// Sectors before the first grain, the header among them.
pub const OVERHEAD: u64 = GRAIN_SECTORS;

const MAGIC: [u8; 4] = *b"KDMV";
const VERSION: u32 = 3;

/// The line ends below are meaningful; grains are compressed; there are markers.
const FLAGS: u32 = 1 | 1 << 16 | 1 << 17;

/// A line end, what is none, and a line end of two bytes: a transfer as text changes them.
const LINE_ENDS: [u8; 4] = *b"\n \r\n";

/// RFC 1951.
const DEFLATE: u16 = 1;

/// What differs between headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes 12 to 19, `capacity`: the sectors of the disk.
    pub capacity: u64,
    /// Bytes 56 to 63, `gdOffset`: the sector of the directory.
    pub directory: u64,
}

impl Header {
    /// The header as it is in the file.
    pub fn to_bytes(self) -> [u8; SECTOR_LENGTH] {
        let mut bytes = [0; SECTOR_LENGTH];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&VERSION.to_le_bytes());
        bytes[8..12].copy_from_slice(&FLAGS.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.capacity.to_le_bytes());
        // Bytes 20 to 27, grainSize.
        bytes[20..28].copy_from_slice(&GRAIN_SECTORS.to_le_bytes());
        // Bytes 28 to 43, descriptorOffset and descriptorSize.
        bytes[28..36].copy_from_slice(&1_u64.to_le_bytes());
        bytes[36..44].copy_from_slice(&DESCRIPTOR_SECTORS.to_le_bytes());
        // Bytes 44 to 47, numGTEsPerGT.
        bytes[44..48].copy_from_slice(&TABLE_ENTRIES.to_le_bytes());
        // Bytes 48 to 55, rgdOffset: there is no second directory.
        bytes[56..64].copy_from_slice(&self.directory.to_le_bytes());
        bytes[64..72].copy_from_slice(&OVERHEAD.to_le_bytes());
        // Byte 72, uncleanShutdown: no.
        bytes[73..77].copy_from_slice(&LINE_ENDS);
        bytes[77..79].copy_from_slice(&DEFLATE.to_le_bytes());
        bytes
    }
}

/// What a marker announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    EndOfStream,
    GrainTable,
    Directory,
    Footer,
}

impl Marker {
    /// The sector of a marker before `sectors` of what it announces.
    pub fn to_bytes(self, sectors: u64) -> [u8; SECTOR_LENGTH] {
        let kind: u32 = match self {
            Self::EndOfStream => 0,
            Self::GrainTable => 1,
            Self::Directory => 2,
            Self::Footer => 3,
        };
        let mut bytes = [0; SECTOR_LENGTH];
        bytes[0..8].copy_from_slice(&sectors.to_le_bytes());
        // Bytes 8 to 11, size: 0, which tells it from the marker of a grain.
        bytes[12..16].copy_from_slice(&kind.to_le_bytes());
        bytes
    }
}

/// The marker of a grain: the sector of the disk where it begins, and its length in bytes. The
/// grain follows at once.
pub fn grain_marker(sector: u64, length: u32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[0..8].copy_from_slice(&sector.to_le_bytes());
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    bytes
}
