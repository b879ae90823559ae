//! `VirtualBox` disk images: a header and one table of blocks.
//!
//! Layout: `VirtualBox` `src/VBox/Storage/VDICore.h`, version 1.1. All numbers are little-endian.

use super::super::disk_map::{Content, DiskMap, Visit, block, plausible_size};
use super::super::fault::{Fault, Reason, Refusal};
use super::super::window::{Window, field};

/// The bytes of the header that are read here.
const HEADER: usize = 0x1c8;
/// An entry of the table: the block is nowhere.
const ABSENT: u32 = 0xffff_ffff;
/// An entry of the table: the block is zeros.
const ZEROS: u32 = 0xffff_fffe;

/// The table of an image.
#[derive(Debug)]
pub(super) struct Vdi {
    window: Window,
    size: u64,
    block_size: u64,
    blocks: u64,
    table: u64,
    data: u64,
}

impl Vdi {
    /// Reads the header.
    pub(super) fn open(window: &Window) -> Result<Self, Fault> {
        let header: [u8; HEADER] = window.array(0, "the header")?;
        let number = |offset| u32::from_le_bytes(field(&header, offset));
        let version = number(0x44);
        if version >> 16 != 1 {
            return Err(Fault::unsupported(
                format!("has VDI version {}.{}", version >> 16, version & 0xffff),
                "clone it with VBoxManage clonemedium",
            ));
        }
        let size = plausible_size(u64::from_le_bytes(field(&header, 0x170)))?;
        let is_zero = |offset| field::<16>(&header, offset) == [0; 16];
        match number(0x4c) {
            1 | 2 if is_zero(0x1a8) => {}
            1 | 2 | 4 => {
                return Err(Fault::Refused(Refusal {
                    reason: Reason::OtherFile,
                    what: "is a differencing image, a snapshot on top of another file".to_owned(),
                    hint: "merge the snapshots, or clone the disk with VBoxManage clonemedium",
                    virtual_size: size,
                }));
            }
            other => {
                return Err(Fault::unsupported(
                    format!("has VDI type {other}"),
                    "clone it with VBoxManage clonemedium",
                ));
            }
        }
        let (block_size, extra, blocks) = (number(0x178), number(0x17c), number(0x180));
        if !block_size.is_power_of_two() || !(4096..=1 << 28).contains(&block_size) || extra != 0 {
            return Err(Fault::damaged(format!(
                "it states blocks of {block_size} and {extra} bytes"
            )));
        }
        let (block_size, blocks) = (u64::from(block_size), u64::from(blocks));
        if blocks < size.div_ceil(block_size) {
            return Err(Fault::damaged(format!(
                "{blocks} blocks of {block_size} bytes do not make a disk of {size} bytes"
            )));
        }
        Ok(Self {
            window: window.clone(),
            size,
            block_size,
            blocks: size.div_ceil(block_size),
            table: u64::from(number(0x154)),
            data: u64::from(number(0x158)),
        })
    }
}

impl DiskMap for Vdi {
    fn size(&self) -> u64 {
        self.size
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        self.window
            .entries(self.table, self.blocks, "the block map", |index, entry| {
                let content = match u32::from_le_bytes(entry) {
                    ABSENT => return Ok(()),
                    ZEROS => Content::Zeros,
                    // Both factors have 32 bits at most.
                    number => Content::Stored {
                        at: self.data + u64::from(number) * self.block_size,
                    },
                };
                block(index, self.block_size, self.size, content).map_or(Ok(()), &mut *visit)
            })
    }
}
