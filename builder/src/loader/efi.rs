//! What firmware that speaks UEFI finds on the EFI system partition.
//!
//! Sources: UEFI 2.10, section 3.5.1.1 (the path of removable media); Microsoft's "PE Format".

use std::io::{self, Read, Seek};

use super::fat::Fat;
use crate::bytes::{has, le16, le32};
use crate::layout::Layout;

/// Where the firmware looks when its own memory names no loader, as on a new machine.
pub const FALLBACK: &str = "EFI/BOOT/BOOTX64.EFI";
/// How much of a program is looked at, in bytes.
const HEAD: u64 = 64 << 10;
/// Vendor directories that are looked into.
const MAX_VENDORS: usize = 64;
/// What vendors call their first loader.
const LOADERS: [&str; 4] = [
    "shimx64.efi",
    "grubx64.efi",
    "systemd-bootx64.efi",
    "elilo.efi",
];

/// A program for the firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// PE32+ for x86-64, an EFI application.
    Fit,
    /// For another processor, or no EFI application.
    OtherMachine,
    /// No program at all.
    Damaged,
}

/// An EFI system partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemPartition {
    /// The number of the partition.
    pub partition: u32,
    /// What is at the fallback path.
    pub fallback: Option<Program>,
    /// The loaders in the vendors' directories, as paths such as `EFI/debian/shimx64.efi`.
    pub vendors: Vec<String>,
    /// Whether it is a FAT file system.
    pub is_readable: bool,
}

/// Reads every EFI system partition of a disk.
///
/// # Errors
///
/// The disk could not be read.
pub fn read<R: Read + Seek>(disk: &mut R, layout: &Layout) -> io::Result<Vec<SystemPartition>> {
    let mut found = Vec::new();
    for partition in layout.partitions.iter().filter(|part| part.is_efi_system()) {
        let mut seen = SystemPartition {
            partition: partition.number,
            fallback: None,
            vendors: Vec::new(),
            is_readable: false,
        };
        if let Some(mut fat) = Fat::open(disk, partition.range)? {
            seen.is_readable = true;
            if let Some(file) = fat.find(FALLBACK)? {
                seen.fallback = Some(program(&fat.head(&file, HEAD)?));
            }
            for vendor in fat.list("EFI")?.iter().take(MAX_VENDORS) {
                if !vendor.is_dir || vendor.name.eq_ignore_ascii_case("BOOT") {
                    continue;
                }
                let dir = format!("EFI/{}", vendor.name);
                let files = fat.list(&dir)?;
                for loader in LOADERS {
                    let file = files
                        .iter()
                        .find(|file| file.name.eq_ignore_ascii_case(loader));
                    seen.vendors
                        .extend(file.map(|file| format!("{dir}/{}", file.name)));
                }
            }
        }
        found.push(seen);
    }
    Ok(found)
}

/// What a program is by its headers.
pub(crate) fn program(bytes: &[u8]) -> Program {
    const X86_64: u16 = 0x8664;
    const PE32_PLUS: u16 = 0x20b;
    const APPLICATION: u16 = 10;
    let header = usize::try_from(le32(bytes, 0x3c)).unwrap_or(usize::MAX);
    let Some(header) = bytes.get(header..).filter(|_| has(bytes, 0, b"MZ")) else {
        return Program::Damaged;
    };
    if !has(header, 0, b"PE\0\0") {
        return Program::Damaged;
    }
    let fits = le16(header, 4) == X86_64
        && le16(header, 24) == PE32_PLUS
        && le16(header, 24 + 68) == APPLICATION;
    if fits {
        Program::Fit
    } else {
        Program::OtherMachine
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The headers of a program.
    pub(crate) fn pe(machine: u16, magic: u16, subsystem: u16) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3c] = 0x80;
        bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
        bytes[0x84..0x86].copy_from_slice(&machine.to_le_bytes());
        bytes[0x98..0x9a].copy_from_slice(&magic.to_le_bytes());
        bytes[0xdc..0xde].copy_from_slice(&subsystem.to_le_bytes());
        bytes
    }

    #[test]
    fn programs_are_told_by_their_headers() {
        let mut far = pe(0x8664, 0x20b, 10);
        far[0x3c..0x40].copy_from_slice(&u32::MAX.to_le_bytes());
        for (bytes, expected) in [
            (pe(0x8664, 0x20b, 10), Program::Fit),
            (pe(0xaa64, 0x20b, 10), Program::OtherMachine),
            (pe(0x14c, 0x10b, 10), Program::OtherMachine),
            (pe(0x8664, 0x20b, 3), Program::OtherMachine),
            (far, Program::Damaged),
            (vec![0; 512], Program::Damaged),
            (Vec::new(), Program::Damaged),
        ] {
            assert_eq!(program(&bytes), expected);
        }
    }
}
