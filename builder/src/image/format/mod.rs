//! The formats: from the header and the tables of a file to a [`DiskMap`].
//!
//! Each decides by itself what it refuses: a file that is not whole by itself, an encrypted one, a
//! feature that it does not know. None opens another file.

mod crc32c;
mod qcow2;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;
mod vmdk_descriptor;

pub(super) use qcow2::{Backing, Qcow2};
use vdi::Vdi;
use vhdx::Vhdx;
use vmdk::SparseVmdk;

use super::disk_map::{DiskMap, Plain};
use super::fault::Fault;
use super::probe::Format;
use super::window::Window;
pub(super) use vmdk_descriptor::flat_extent;

/// Reads the tables of a file of a known format that is whole by itself.
///
/// # Errors
///
/// [`Fault`]: it is damaged, refused, or of a kind that is not read.
pub(super) fn open(format: Format, window: &Window) -> Result<Box<dyn DiskMap>, Fault> {
    Ok(match format {
        Format::Raw => Box::new(Plain { size: window.len() }),
        Format::Qcow2 => Box::new(Qcow2::open(window)?),
        Format::Vmdk => Box::new(SparseVmdk::open(window)?),
        Format::Vdi => Box::new(Vdi::open(window)?),
        Format::Vhd => vhd::open(window)?,
        Format::Vhdx => Box::new(Vhdx::open(window)?),
    })
}
