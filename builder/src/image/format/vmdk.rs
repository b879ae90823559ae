//! VMware's sparse extents: a header, a directory of grain tables, and the grains.
//!
//! "Virtual Disk Format 5.0", VMware: hosted sparse extents, of which a whole disk is one file
//! (`monolithicSparse`), and the same with compressed grains (`streamOptimized`). All numbers are
//! little-endian and count sectors of 512 bytes.

use super::super::disk_map::{Codec, Content, DiskMap, Piece, Visit, block, plausible_size};
use super::super::fault::Fault;
use super::super::window::{Window, field};
use super::vmdk_descriptor::{self, Descriptor};
use crate::units::{SECTOR_SIZE, byte_len};

/// The length of the header and of a marker in bytes.
const HEADER: usize = 512;
/// The length of a grain's marker: its first sector, and how long the compressed data is.
const GRAIN_MARKER: u64 = 12;
/// In place of a directory: it is stated in a footer at the end of the file.
const AT_END: u64 = u64::MAX;
/// The largest grain, in sectors.
const MAX_GRAIN: u64 = 4096;
/// The most entries of a grain table.
const MAX_TABLE: u32 = 512;

/// Flag: the line ends below are meaningful.
const LINE_ENDS: u32 = 1;
/// Flag: an entry of 1 is a grain of zeros.
const ZEROED_GRAINS: u32 = 1 << 2;
/// Flag: grains are compressed.
const COMPRESSED: u32 = 1 << 16;
/// Flag: markers stand before tables and grains.
const MARKERS: u32 = 1 << 17;

/// The tables of an image.
#[derive(Debug)]
pub(super) struct SparseVmdk {
    window: Window,
    size: u64,
    grain_size: u64,
    tables: u64,
    table_len: u32,
    directory: u64,
    zeroed_grains: bool,
    compressed: bool,
}

impl SparseVmdk {
    /// Reads the header, and the descriptor behind it.
    pub(super) fn open(window: &Window) -> Result<Self, Fault> {
        const HINT: &str = "copy it again, in binary mode";
        let mut header: [u8; HEADER] = window.array(0, "the header")?;
        let long = |header: &[u8], offset| u64::from_le_bytes(field(header, offset));
        let number = |header: &[u8], offset| u32::from_le_bytes(field(header, offset));
        let flags = number(&header, 8);
        if flags & LINE_ENDS != 0 && header[73..77] != *b"\n \r\n" {
            return Err(Fault::unsupported(
                "was changed by a transfer as text",
                HINT,
            ));
        }
        let size = in_bytes(long(&header, 12)).and_then(plausible_size)?;
        let descriptor = (long(&header, 28), long(&header, 36));
        if long(&header, 56) == AT_END {
            header = footer(window)?;
            if in_bytes(long(&header, 12))? != size {
                return Err(Fault::damaged("header and footer state different sizes"));
            }
        }
        let version = number(&header, 4);
        if !(1..=3).contains(&version) {
            return Err(Fault::unsupported(
                format!("has VMDK version {version}"),
                "export it as OVF, or run qemu-img convert -O qcow2",
            ));
        }
        let flags = number(&header, 8);
        let compressed = flags & COMPRESSED != 0;
        if compressed && (u16::from_le_bytes(field(&header, 77)) != 1 || flags & MARKERS == 0) {
            return Err(Fault::damaged("it states an unknown compression"));
        }
        read_descriptor(window, descriptor)?.check_sparse()?;
        let (grain, table_len) = (long(&header, 20), number(&header, 44));
        if !grain.is_power_of_two() || !(8..=MAX_GRAIN).contains(&grain) {
            return Err(Fault::damaged(format!(
                "it states grains of {grain} sectors"
            )));
        }
        if !(1..=MAX_TABLE).contains(&table_len) {
            return Err(Fault::damaged(format!(
                "it states grain tables of {table_len} entries"
            )));
        }
        let grain_size = grain * SECTOR_SIZE;
        Ok(Self {
            window: window.clone(),
            size,
            grain_size,
            tables: size.div_ceil(grain_size).div_ceil(u64::from(table_len)),
            table_len,
            directory: in_bytes(long(&header, 56))?,
            zeroed_grains: flags & ZEROED_GRAINS != 0,
            compressed,
        })
    }

    fn table(&self, first: u64, sector: u32, visit: &mut Visit<'_>) -> Result<(), Fault> {
        let at = u64::from(sector) * SECTOR_SIZE;
        let left = self.size.div_ceil(self.grain_size) - first;
        let count = left.min(u64::from(self.table_len));
        self.window
            .entries(at, count, "a grain table", |index, entry| {
                let content = match u32::from_le_bytes(entry) {
                    0 => return Ok(()),
                    1 if self.zeroed_grains => Content::Zeros,
                    sector => self.grain(first + index, u64::from(sector) * SECTOR_SIZE)?,
                };
                let piece: Option<Piece> =
                    block(first + index, self.grain_size, self.size, content);
                piece.map_or(Ok(()), &mut *visit)
            })
    }

    fn grain(&self, index: u64, at: u64) -> Result<Content, Fault> {
        if !self.compressed {
            return Ok(Content::Stored { at });
        }
        let marker: [u8; 12] = self.window.array(at, "a grain")?;
        let packed = u64::from(u32::from_le_bytes(field(&marker, 8)));
        let sector = index * self.grain_size / SECTOR_SIZE;
        // Deflate makes nothing much longer.
        if u64::from_le_bytes(field(&marker, 0)) != sector || packed > 2 * self.grain_size {
            return Err(Fault::damaged(format!(
                "the marker of the grain at offset {at} belongs to another place"
            )));
        }
        Ok(Content::Packed {
            at: at + GRAIN_MARKER,
            packed,
            codec: Codec::Zlib,
        })
    }
}

impl DiskMap for SparseVmdk {
    fn size(&self) -> u64 {
        self.size
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        let length = u64::from(self.table_len) * 4;
        let mut read = 0;
        self.window.entries(
            self.directory,
            self.tables,
            "the grain directory",
            |index, entry| match u32::from_le_bytes(entry) {
                0 => Ok(()),
                sector => {
                    read += length;
                    if read > self.window.len() {
                        return Err(Fault::damaged("grain tables lie one on another"));
                    }
                    self.table(index * u64::from(self.table_len), sector, visit)
                }
            },
        )
    }
}

/// The footer: the header once more, where a stream knows at last where its directory is.
fn footer(window: &Window) -> Result<[u8; HEADER], Fault> {
    let missing = || Fault::damaged("it ends without its footer: it is cut off");
    // Footer marker, footer, end-of-stream marker.
    let at = window
        .len()
        .checked_sub(2 * byte_len(HEADER))
        .ok_or_else(missing)?;
    let footer: [u8; HEADER] = window.array(at, "the footer")?;
    let directory = u64::from_le_bytes(field(&footer, 56));
    if footer.starts_with(b"KDMV") && directory != AT_END {
        Ok(footer)
    } else {
        Err(missing())
    }
}

fn read_descriptor(window: &Window, (sector, sectors): (u64, u64)) -> Result<Descriptor, Fault> {
    if sector == 0 || sectors == 0 {
        return Err(vmdk_descriptor::part_of_several());
    }
    let at = in_bytes(sector)?;
    let len = usize::try_from(in_bytes(sectors)?)
        .ok()
        .filter(|&len| len <= vmdk_descriptor::MAX_LEN)
        .ok_or_else(|| Fault::damaged("its descriptor is too long"))?;
    let mut text = vec![0; len];
    window.read(at, &mut text, "the descriptor")?;
    Descriptor::parse(&text)
}

fn in_bytes(sectors: u64) -> Result<u64, Fault> {
    sectors
        .checked_mul(SECTOR_SIZE)
        .ok_or_else(|| Fault::damaged(format!("it states a place at sector {sectors}")))
}
