//! What starts the guest, read from the bytes of its disk and from its configuration.
//!
//! A BIOS runs sector 0. What lies there is told by [`BootCode`]; [`BiosLoader`] follows it: into
//! GRUB 2's [core image](core_image), or into the boot sector of the active partition. Firmware that
//! speaks UEFI reads a file from the [EFI system partition](efi). Then the boot loader reads its
//! configuration: GRUB 2's [script], GRUB 0.97's [menu](legacy), or that of
//! [Syslinux](syslinux), and starts a [kernel](bzimage).
//!
//! Nothing here judges: the rules of [`bootchain`](crate::bootchain) do.

pub mod bzimage;
pub mod core_image;
pub mod efi;
mod fat;
pub mod legacy;
mod modules;
pub mod script;
pub mod syslinux;

use std::io::{self, Read, Seek};

pub use core_image::{CoreFault, CoreImage};
pub use efi::SystemPartition;
pub use modules::Area;

use crate::bytes::{has, le32, sector};
use crate::layout::{BootCode, Layout, Partition, Slot};
use crate::units::{Lba, SECTOR_SIZE};

/// What a BIOS starts from a disk, and what UEFI firmware finds on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loader {
    /// What a BIOS starts; `None` where there is no partition table.
    pub bios: Option<BiosLoader>,
    /// The EFI system partitions.
    pub efi: Vec<SystemPartition>,
}

/// A boot sector and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BiosLoader {
    /// The code in sector 0.
    pub code: BootCode,
    /// What it starts.
    pub next: Next,
}

/// What a boot sector starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// GRUB 2's core image.
    Core(Result<CoreImage, CoreFault>),
    /// The second stage of GRUB 0.97, in this sector; whether there is something.
    Stage2 {
        /// The sector.
        at: Lba,
        /// Whether it is on the disk and not empty.
        is_there: bool,
    },
    /// The boot sector of the active partition.
    Active(Active),
    /// What is not looked into: LILO's map, or code that is not known.
    Unseen,
    /// Nothing: there is no code.
    Nothing,
}

/// The partition whose boot sector is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Active {
    /// None is marked.
    None,
    /// Several are.
    Many(Vec<u32>),
    /// One, and what its boot sector holds.
    One {
        /// Its number.
        partition: u32,
        /// The code in its first sector.
        code: BootCode,
        /// What that one starts; never [`Next::Active`].
        next: Box<Next>,
    },
}

impl Loader {
    /// Reads what starts from a disk with this layout.
    ///
    /// # Errors
    ///
    /// A read failed. Whatever the bytes are, they are no error.
    pub fn read<R: Read + Seek>(disk: &mut R, layout: &Layout) -> io::Result<Self> {
        let bios = match layout.boot_code() {
            Some(&code) => Some(BiosLoader {
                code,
                next: match code {
                    BootCode::None => Next::Nothing,
                    code if code.needs_active_partition() => Next::Active(active(disk, layout)?),
                    code => next(disk, layout, code, Lba::ZERO)?,
                },
            }),
            None => None,
        };
        Ok(Self {
            bios,
            efi: efi::read(disk, layout)?,
        })
    }

    /// GRUB 2's core image, if that is what starts.
    pub fn core(&self) -> Option<&Result<CoreImage, CoreFault>> {
        match &self.bios.as_ref()?.next {
            Next::Core(core) => Some(core),
            Next::Active(Active::One { next, .. }) => match next.as_ref() {
                Next::Core(core) => Some(core),
                _ => None,
            },
            _ => None,
        }
    }

    /// The code that ends the chain of boot sectors.
    pub fn last_code(&self) -> Option<BootCode> {
        let bios = self.bios.as_ref()?;
        Some(match &bios.next {
            Next::Active(Active::One { code, .. }) => *code,
            _ => bios.code,
        })
    }

    /// Whether a BIOS starts nothing, but UEFI firmware may.
    pub fn is_efi_only(&self) -> bool {
        !self.efi.is_empty()
            && self
                .bios
                .as_ref()
                .is_none_or(|bios| bios.next == Next::Nothing)
    }
}

fn active<R: Read + Seek>(disk: &mut R, layout: &Layout) -> io::Result<Active> {
    let marked: Vec<&Partition> = layout
        .partitions
        .iter()
        .filter(|partition| partition.active && partition.slot != Slot::Logical)
        .collect();
    match marked.as_slice() {
        [] => Ok(Active::None),
        [partition] => {
            let at = Lba::new(partition.range.start() / SECTOR_SIZE);
            let head = sector(disk, at)?;
            let code = volume_boot_code(&head);
            let next = match code {
                BootCode::None => Next::Nothing,
                code => next(disk, layout, code, at)?,
            };
            Ok(Active::One {
                partition: partition.number,
                code,
                next: Box::new(next),
            })
        }
        several => Ok(Active::Many(
            several.iter().map(|partition| partition.number).collect(),
        )),
    }
}

/// The code in the boot sector of a volume. What `mkfs.fat` puts there says that nothing can be
/// started.
pub(crate) fn volume_boot_code(head: &[u8]) -> BootCode {
    const NOT_BOOTABLE: &[u8] = b"This is not a bootable disk";
    if has(head, 3, b"SYSLINUX") || has(head, 3, b"EXTLINUX") {
        BootCode::Syslinux
    } else if has(head, 3, b"NTFS    ") {
        BootCode::Windows
    } else if crate::bytes::holds(head, NOT_BOOTABLE) || !has(head, 510, &[0x55, 0xaa]) {
        BootCode::None
    } else {
        BootCode::recognise(head)
    }
}

fn next<R: Read + Seek>(
    disk: &mut R,
    layout: &Layout,
    code: BootCode,
    from: Lba,
) -> io::Result<Next> {
    Ok(match code {
        BootCode::Grub2 { core_image } => {
            Next::Core(match core_image::drive_fault(&sector(disk, from)?) {
                Some(fault) => Err(fault),
                None => core_image::read(disk, layout.disk_size, core_image)?,
            })
        }
        BootCode::GrubLegacy => {
            // `stage2_sector` of stage1.
            let at = Lba::new(le32(&sector(disk, from)?, 0x44).into());
            let is_there = at != Lba::ZERO && sector(disk, at)?.iter().any(|&byte| byte != 0);
            Next::Stage2 { at, is_there }
        }
        _ => Next::Unseen,
    })
}

#[cfg(test)]
mod tests;
