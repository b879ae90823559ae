//! Virtual hard disks of Hyper-V, version 2.
//!
//! "\[MS-VHDX\]: Virtual Hard Disk v2 (VHDX) File Format", Microsoft. All numbers are
//! little-endian. Two headers, of which the newer counts, say whether a log is to be replayed; a
//! table of regions leads to the metadata and to the block allocation table.

use super::super::disk_map::{Content, DiskMap, Visit, block, plausible_size};
use super::super::fault::{Fault, Reason, Refusal};
use super::super::window::{Window, field};
use super::crc32c::crc32c;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Where the two headers are, and how long each is.
const HEADERS: [u64; 2] = [64 * KIB, 128 * KIB];
const HEADER: usize = 4 << 10;
/// Where the two region tables are, and how long each is, as is the table of the metadata.
const REGIONS: [u64; 2] = [192 * KIB, 256 * KIB];
const TABLE: usize = 64 << 10;
/// The length of an entry of these tables, and how many there may be.
const ENTRY: usize = 32;
const MAX_ENTRIES: u32 = 2047;

/// A GUID as it lies in a file.
type Guid = [u8; 16];

const BAT_REGION: Guid = guid(
    0x2dc2_7766,
    [0xf623, 0x4200],
    [0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08],
);
const METADATA_REGION: Guid = guid(
    0x8b7c_a206,
    [0x4790, 0x4b9a],
    [0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e],
);
const FILE_PARAMETERS: Guid = guid(
    0xcaa1_6737,
    [0xfa36, 0x4d43],
    [0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b],
);
const VIRTUAL_SIZE: Guid = guid(
    0x2fa5_4224,
    [0xcd1b, 0x4876],
    [0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8],
);
const SECTOR_SIZE: Guid = guid(
    0x8141_bf1d,
    [0xa96f, 0x4709],
    [0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f],
);
/// Items that say nothing of where the data is.
const OTHER_ITEMS: [Guid; 3] = [
    // Physical sector size, page 83 data, parent locator.
    guid(
        0xcda3_48c7,
        [0x445d, 0x4471],
        [0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56],
    ),
    guid(
        0xbeca_12ab,
        [0xb2e6, 0x4523],
        [0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46],
    ),
    guid(
        0xa8d3_5f2d,
        [0xb30b, 0x454d],
        [0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c],
    ),
];

const fn guid(one: u32, two: [u16; 2], rest: [u8; 8]) -> Guid {
    let (a, [b, c]) = (
        one.to_le_bytes(),
        [two[0].to_le_bytes(), two[1].to_le_bytes()],
    );
    [
        a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], rest[0], rest[1], rest[2], rest[3],
        rest[4], rest[5], rest[6], rest[7],
    ]
}

/// The block allocation table of an image.
#[derive(Debug)]
pub(super) struct Vhdx {
    window: Window,
    size: u64,
    block_size: u64,
    /// How many blocks come between two entries for sector bitmaps.
    chunk: u64,
    table: u64,
    entries: u64,
}

impl Vhdx {
    /// Reads the headers, the regions and the metadata.
    pub(super) fn open(window: &Window) -> Result<Self, Fault> {
        check_log(window)?;
        let regions = Regions::read(window)?;
        let metadata = Metadata::read(window, regions.metadata)?;
        let blocks = metadata.size.div_ceil(metadata.block_size);
        // A sector bitmap of 1 MiB covers 2^23 sectors.
        let chunk = (metadata.sector_size << 23) / metadata.block_size;
        let entries = blocks + blocks.saturating_sub(1) / chunk;
        let (table, len) = regions.bat;
        if entries * 8 > len {
            return Err(Fault::damaged("its block table is too short for the disk"));
        }
        Ok(Self {
            window: window.clone(),
            size: metadata.size,
            block_size: metadata.block_size,
            chunk,
            table,
            entries,
        })
    }
}

impl DiskMap for Vhdx {
    fn size(&self) -> u64 {
        self.size
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        self.window.entries(
            self.table,
            self.entries,
            "the block table",
            |entry, bytes| {
                // The last of each group is that of a sector bitmap, which only children have.
                let (group, place) = (entry / (self.chunk + 1), entry % (self.chunk + 1));
                if place == self.chunk {
                    return Ok(());
                }
                let bits = u64::from_le_bytes(bytes);
                let content = match bits & 7 {
                    // Not present, undefined, and unmapped read as zeros at least.
                    0 | 1 | 3 => return Ok(()),
                    2 => Content::Zeros,
                    6 => Content::Stored {
                        at: bits & !(MIB - 1),
                    },
                    state => {
                        return Err(Fault::damaged(format!("a block has the state {state}")));
                    }
                };
                let index = group * self.chunk + place;
                block(index, self.block_size, self.size, content).map_or(Ok(()), &mut *visit)
            },
        )
    }
}

/// An error where the newer header names a log that was not replayed.
fn check_log(window: &Window) -> Result<(), Fault> {
    let mut newest = None;
    for at in HEADERS {
        let header: [u8; HEADER] = window.array(at, "a header")?;
        let sequence = u64::from_le_bytes(field(&header, 8));
        if header.starts_with(b"head")
            && is_intact(&header)
            && newest.as_ref().is_none_or(|(newer, _)| *newer < sequence)
        {
            newest = Some((sequence, header));
        }
    }
    let Some((_, header)) = newest else {
        return Err(Fault::damaged("both of its headers are damaged"));
    };
    let version = u16::from_le_bytes(field(&header, 66));
    if version != 1 {
        return Err(Fault::unsupported(
            format!("has VHDX version {version}"),
            "convert it with Hyper-V's Convert-VHD",
        ));
    }
    if field::<16>(&header, 48) != [0; 16] {
        return Err(Fault::unsupported(
            "has a log that was not written back",
            "shut the machine down, or mount the disk once (Mount-VHD); qemu-img check -r all does \
             it too",
        ));
    }
    Ok(())
}

/// The checksum of headers and region tables, at 4, is of the whole with itself as zeros.
fn is_intact(bytes: &[u8]) -> bool {
    let blank = [0; 4];
    let all = bytes[..4].iter().chain(&blank).chain(&bytes[8..]).copied();
    crc32c(all) == u32::from_le_bytes(field(bytes, 4))
}

/// Where the two regions are: offset and length in bytes.
#[derive(Debug)]
struct Regions {
    bat: (u64, u64),
    metadata: (u64, u64),
}

impl Regions {
    fn read(window: &Window) -> Result<Self, Fault> {
        let mut table = vec![0; TABLE];
        for at in REGIONS {
            window.read(at, &mut table, "a region table")?;
            if table.starts_with(b"regi") && is_intact(&table) {
                return Self::parse(&table);
            }
        }
        Err(Fault::damaged("both of its region tables are damaged"))
    }

    fn parse(table: &[u8]) -> Result<Self, Fault> {
        let count = u32::from_le_bytes(field(table, 8));
        let (mut bat, mut metadata) = (None, None);
        for entry in entries(&table[16..], count)? {
            let long = |offset| u64::from_le_bytes(field(entry, offset));
            let place = (long(16), u64::from(u32::from_le_bytes(field(entry, 24))));
            match field::<16>(entry, 0) {
                BAT_REGION => bat = Some(place),
                METADATA_REGION => metadata = Some(place),
                _ if entry[28] & 1 != 0 => return Err(unknown("region")),
                _ => {}
            }
        }
        match (bat, metadata) {
            (Some(bat), Some(metadata)) => Ok(Self { bat, metadata }),
            _ => Err(Fault::damaged("a region that must be there is missing")),
        }
    }
}

/// What the metadata says of the disk.
#[derive(Debug)]
struct Metadata {
    size: u64,
    block_size: u64,
    sector_size: u64,
}

impl Metadata {
    fn read(window: &Window, (start, len): (u64, u64)) -> Result<Self, Fault> {
        let region = window
            .part(start, len)
            .ok_or_else(|| Fault::cut_off("the metadata"))?;
        let mut table = vec![0; TABLE];
        region.read(0, &mut table, "the metadata table")?;
        if !table.starts_with(b"metadata") {
            return Err(Fault::damaged("there is no metadata table"));
        }
        let (mut parameters, mut size, mut sector_size) = (None, None, None);
        let count = u32::from(u16::from_le_bytes(field(&table, 10)));
        for entry in entries(&table[32..], count)? {
            let at = u64::from(u32::from_le_bytes(field(entry, 16)));
            match field::<16>(entry, 0) {
                FILE_PARAMETERS => parameters = Some(region.array::<8>(at, "a metadata item")?),
                VIRTUAL_SIZE => size = Some(region.array(at, "a metadata item")?),
                SECTOR_SIZE => sector_size = Some(region.array(at, "a metadata item")?),
                item if OTHER_ITEMS.contains(&item) => {}
                // Bit 2: whoever does not know the item must not read the disk.
                _ if entry[24] & 4 != 0 => return Err(unknown("metadata item")),
                _ => {}
            }
        }
        let (Some(parameters), Some(size), Some(sector_size)) = (parameters, size, sector_size)
        else {
            return Err(Fault::damaged(
                "a metadata item that must be there is missing",
            ));
        };
        let size = plausible_size(u64::from_le_bytes(size))?;
        if parameters[4] & 2 != 0 {
            return Err(Fault::Refused(Refusal {
                reason: Reason::OtherFile,
                what: "is a differencing disk, which needs its parent".to_owned(),
                hint: "merge it into its parent (Merge-VHD), then give that",
                virtual_size: size,
            }));
        }
        let block_size = u64::from(u32::from_le_bytes(field(&parameters, 0)));
        let sector_size = u64::from(u32::from_le_bytes(sector_size));
        if !block_size.is_power_of_two()
            || !(MIB..=256 * MIB).contains(&block_size)
            || !matches!(sector_size, 512 | 4096)
        {
            return Err(Fault::damaged(format!(
                "it states blocks of {block_size} bytes and sectors of {sector_size}"
            )));
        }
        Ok(Self {
            size,
            block_size,
            sector_size,
        })
    }
}

fn entries(table: &[u8], count: u32) -> Result<impl Iterator<Item = &[u8]>, Fault> {
    if count > MAX_ENTRIES {
        return Err(Fault::damaged(format!("a table states {count} entries")));
    }
    let count = usize::try_from(count).map_err(|_| Fault::damaged("a table is too long"))?;
    Ok(table.chunks_exact(ENTRY).take(count))
}

fn unknown(object: &str) -> Fault {
    Fault::unsupported(
        format!("needs a {object} that is not known here"),
        "convert it with Hyper-V's Convert-VHD",
    )
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::sync::Arc;

    use byoi_agent::cmd::Cmd;

    use super::*;

    #[test]
    fn a_log_that_was_not_written_back_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        Cmd::new("qemu-img")
            .args(["create", "-q", "-f", "vhdx"])
            .arg(&path)
            .arg("4M")
            .run()
            .unwrap();
        let open = || {
            let file = File::open(&path).unwrap();
            let len = file.metadata().unwrap().len();
            Vhdx::open(&Window::of(Arc::new(file), len))
        };
        assert_eq!(open().unwrap().size(), 4 * MIB);
        let mut bytes = fs::read(&path).unwrap();
        for at in HEADERS {
            let at = usize::try_from(at).unwrap();
            let header = &mut bytes[at..at + HEADER];
            header[48..64].fill(7);
            header[4..8].fill(0);
            let sum = crc32c(header.iter().copied());
            header[4..8].copy_from_slice(&sum.to_le_bytes());
        }
        fs::write(&path, bytes).unwrap();
        let said = open().unwrap_err().to_string();
        assert!(said.starts_with("has a log"), "{said}");
    }
}
