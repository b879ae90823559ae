//! Virtual hard disks of Virtual PC and Hyper-V, fixed and dynamic.
//!
//! "Virtual Hard Disk Image Format Specification", Microsoft, 2006. All numbers are big-endian. A
//! fixed disk is raw with a footer; a dynamic one begins with a copy of the footer, then has a
//! header, a table of blocks and the blocks, each behind a bitmap of its sectors.

use super::super::disk_map::{Content, DiskMap, Piece, Plain, Visit, plausible_size};
use super::super::fault::{Fault, Reason, Refusal};
use super::super::window::{Window, field};
use crate::units::{SECTOR_SIZE, byte_len};

/// The length of the footer in bytes.
const FOOTER: usize = 512;
/// The length of the header of a dynamic disk in bytes.
const HEADER: usize = 1024;
/// An entry of the table: the block is nowhere.
const ABSENT: u32 = 0xffff_ffff;

/// The kinds of disks, as the footer numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fixed,
    Dynamic,
}

/// Reads the footer, the header and what they say of the table.
pub(super) fn open(window: &Window) -> Result<Box<dyn DiskMap>, Fault> {
    // Only a dynamic disk has the footer in front.
    let head: [u8; FOOTER] = window.array(0, "the footer")?;
    let (footer, in_front) = if head.starts_with(b"conectix") {
        (head, true)
    } else {
        let at = window.len().saturating_sub(byte_len(FOOTER));
        (window.array(at, "the footer")?, false)
    };
    check_sum(&footer, 64, "the footer")?;
    let size = plausible_size(u64::from_be_bytes(field(&footer, 48)))?;
    let kind = match u32::from_be_bytes(field(&footer, 60)) {
        2 => Kind::Fixed,
        3 => Kind::Dynamic,
        4 => {
            return Err(Fault::Refused(Refusal {
                reason: Reason::OtherFile,
                what: "is a differencing disk, which needs its parent".to_owned(),
                hint: "merge it into its parent in Hyper-V, then give that",
                virtual_size: size,
            }));
        }
        other => return Err(Fault::damaged(format!("it states the disk type {other}"))),
    };
    match (kind, in_front) {
        (Kind::Fixed, false) => {
            if size > window.len() - byte_len(FOOTER) {
                return Err(Fault::cut_off("the disk's last sector"));
            }
            Ok(Box::new(Plain { size }))
        }
        (Kind::Dynamic, true) => {
            let header = u64::from_be_bytes(field(&footer, 16));
            Ok(Box::new(Dynamic::open(window, header, size)?))
        }
        _ => Err(Fault::damaged("the footer is not where its type asks for")),
    }
}

/// The table of a dynamic disk.
#[derive(Debug)]
struct Dynamic {
    window: Window,
    size: u64,
    block_size: u64,
    /// The length of the bitmap before each block, in bytes.
    bitmap: usize,
    blocks: u64,
    table: u64,
}

impl Dynamic {
    fn open(window: &Window, header_at: u64, size: u64) -> Result<Self, Fault> {
        let header: [u8; HEADER] = window.array(header_at, "the dynamic disk header")?;
        if !header.starts_with(b"cxsparse") {
            return Err(Fault::damaged("there is no dynamic disk header"));
        }
        check_sum(&header, 36, "the dynamic disk header")?;
        let block_size = u32::from_be_bytes(field(&header, 32));
        if !block_size.is_power_of_two() || !(4096..=1 << 28).contains(&block_size) {
            return Err(Fault::damaged(format!(
                "it states blocks of {block_size} bytes"
            )));
        }
        let block_size = u64::from(block_size);
        let (blocks, entries) = (
            size.div_ceil(block_size),
            u32::from_be_bytes(field(&header, 28)),
        );
        if blocks > u64::from(entries) {
            return Err(Fault::damaged(format!(
                "{entries} blocks of {block_size} bytes do not make a disk of {size} bytes"
            )));
        }
        let bitmap = (block_size / SECTOR_SIZE)
            .div_ceil(8)
            .next_multiple_of(SECTOR_SIZE);
        Ok(Self {
            window: window.clone(),
            size,
            block_size,
            bitmap: usize::try_from(bitmap).map_err(|_| Fault::damaged("blocks are too large"))?,
            blocks,
            table: u64::from_be_bytes(field(&header, 16)),
        })
    }

    /// Visits the runs of sectors of one block that the bitmap says are there.
    fn block(
        &self,
        index: u64,
        at: u64,
        bitmap: &mut [u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault> {
        self.window.read(at, bitmap, "a block")?;
        let start = index * self.block_size;
        let sectors = (self.block_size.min(self.size - start)).div_ceil(SECTOR_SIZE);
        let is_set = |sector: u64| {
            usize::try_from(sector / 8)
                .ok()
                .and_then(|byte| bitmap.get(byte))
                .is_some_and(|byte| byte & (0x80 >> (sector % 8)) != 0)
        };
        let data = at + byte_len(bitmap.len());
        let mut sector = 0;
        while sector < sectors {
            let first = sector;
            let there = is_set(first);
            while sector < sectors && is_set(sector) == there {
                sector += 1;
            }
            if there {
                let guest = start + first * SECTOR_SIZE;
                visit(Piece {
                    guest,
                    len: ((sector - first) * SECTOR_SIZE).min(self.size - guest),
                    content: Content::Stored {
                        at: data + first * SECTOR_SIZE,
                    },
                })?;
            }
        }
        Ok(())
    }
}

impl DiskMap for Dynamic {
    fn size(&self) -> u64 {
        self.size
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        let mut bitmap = vec![0; self.bitmap];
        self.window.entries(
            self.table,
            self.blocks,
            "the block table",
            |index, entry| match u32::from_be_bytes(entry) {
                ABSENT => Ok(()),
                sector => self.block(index, u64::from(sector) * SECTOR_SIZE, &mut bitmap, visit),
            },
        )
    }
}

/// The checksum of both structures: the complement of the sum of all other bytes.
fn check_sum(bytes: &[u8], at: usize, what: &str) -> Result<(), Fault> {
    let stated = u32::from_be_bytes(field(bytes, at));
    let others = bytes[..at].iter().chain(&bytes[at + 4..]);
    let sum: u32 = others.map(|&byte| u32::from(byte)).sum();
    if stated == !sum {
        Ok(())
    } else {
        Err(Fault::damaged(format!("the checksum of {what} is wrong")))
    }
}
