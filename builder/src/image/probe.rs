//! Telling formats apart, by content alone and never by a name.
//!
//! Magic numbers: QEMU `docs/interop/{qcow2,qed,vhdx,parallels}`, "Virtual Disk Format 5.0"
//! (VMware), "Virtual Hard Disk Image Format Specification" (Microsoft), VirtualBox `VDICore.h`,
//! POSIX.1 `pax`, RFC 1952 (gzip), RFC 8878 (zstd), "The .xz File Format".

use std::fmt;

use super::fault::Fault;
use super::unpack::Compression;
use super::window::Window;
use crate::units::{SECTOR_SIZE, byte_len};

/// A format of disks that is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The disk itself, byte for byte.
    Raw,
    /// QEMU copy-on-write, version 2 and 3.
    Qcow2,
    /// VMware virtual disk, with its descriptor inside or beside it.
    Vmdk,
    /// VirtualBox disk image.
    Vdi,
    /// Virtual PC hard disk.
    Vhd,
    /// Hyper-V virtual hard disk, version 2.
    Vhdx,
}

impl Format {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
            Self::Vdi => "vdi",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
        }
    }

    /// Its name in sentences.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "QCOW2",
            Self::Vmdk => "VMDK",
            Self::Vdi => "VDI",
            Self::Vhd => "VHD",
            Self::Vhdx => "VHDX",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a file is by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A disk.
    Disk(Format),
    /// A VMDK's descriptor, which is a text beside the disk.
    VmdkDescriptor,
    /// A tar archive, as an OVA is.
    Tar,
    /// A file that has to be unpacked first.
    Compressed(Compression),
    /// A known format that is not read here: its name with an article, and what to do.
    Foreign(&'static str, &'static str),
}

/// How much of the beginning and of the end of a file is looked at, in bytes.
pub(super) const PROBE_LEN: usize = 512;

const CONVERT: &str = "run qemu-img convert -O qcow2";
const UNPACK: &str = "unpack it first";

/// What begins with what: offset, bytes, meaning.
const MAGIC: [(usize, &[u8], Kind); 20] = [
    // The version is a number behind the magic.
    (
        0,
        b"QFI\xfb\0\0\0\x01",
        Kind::Foreign("a QCOW image of version 1", CONVERT),
    ),
    (0, b"QFI\xfb", Kind::Disk(Format::Qcow2)),
    (0, b"QED\0", Kind::Foreign("a QED image", CONVERT)),
    (0, b"KDMV", Kind::Disk(Format::Vmdk)),
    (0, b"# Disk DescriptorFile", Kind::VmdkDescriptor),
    (0, b"COWD", Kind::Foreign(ESX_SPARSE, EXPORT)),
    (
        0,
        &[0xbe, 0xba, 0xfe, 0xca, 0, 0, 0, 0],
        Kind::Foreign(ESX_SPARSE, EXPORT),
    ),
    (0x40, &[0x7f, 0x10, 0xda, 0xbe], Kind::Disk(Format::Vdi)),
    (0, b"vhdxfile", Kind::Disk(Format::Vhdx)),
    (0, b"conectix", Kind::Disk(Format::Vhd)),
    (
        0,
        b"WithoutFreeSpace",
        Kind::Foreign("a Parallels image", CONVERT),
    ),
    (
        0,
        b"WithouFreSpacExt",
        Kind::Foreign("a Parallels image", CONVERT),
    ),
    (257, b"ustar", Kind::Tar),
    (0, &[0x1f, 0x8b, 0x08], Kind::Compressed(Compression::Gzip)),
    (0, b"\xfd7zXZ\0", Kind::Compressed(Compression::Xz)),
    (
        0,
        &[0x28, 0xb5, 0x2f, 0xfd],
        Kind::Compressed(Compression::Zstd),
    ),
    (0, b"BZh", Kind::Foreign("a bzip2 file", UNPACK)),
    (0, b"PK\x03\x04", Kind::Foreign("a zip file", UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", Kind::Foreign("a 7z file", UNPACK)),
    (0, b"LZIP", Kind::Foreign("an lzip file", UNPACK)),
];

const ESX_SPARSE: &str = "an extent of an ESX snapshot";
const EXPORT: &str = "delete the machine's snapshots, then export it as OVF or OVA";

impl Kind {
    /// What begins and ends like this and has `size` bytes; anything unknown is a raw disk.
    pub(super) fn of(head: &[u8], tail: &[u8], size: u64) -> Self {
        let known = MAGIC.iter().find(|(offset, magic, _)| {
            head.get(*offset..)
                .is_some_and(|rest| rest.starts_with(magic))
        });
        match known {
            Some((_, _, kind)) => *kind,
            None if is_fixed_vhd(tail, size) => Self::Disk(Format::Vhd),
            None => Self::Disk(Format::Raw),
        }
    }

    /// What a file is.
    pub(super) fn of_window(window: &Window) -> Result<Self, Fault> {
        let head = window.up_to(0, PROBE_LEN)?;
        let tail_at = window.len().saturating_sub(byte_len(PROBE_LEN));
        let tail = window.up_to(tail_at, PROBE_LEN)?;
        Ok(Self::of(&head, &tail, window.len()))
    }
}

/// A fixed VHD is a raw disk with a footer: the cookie at 0, the disk's size at 48 and the type
/// "fixed" at 60. All three are asked for, since a guest may own its last sector.
fn is_fixed_vhd(tail: &[u8], size: u64) -> bool {
    let disk_size = size.saturating_sub(SECTOR_SIZE).to_be_bytes();
    tail.starts_with(b"conectix")
        && tail.get(48..56) == Some(disk_size.as_slice())
        && tail.get(60..64) == Some([0, 0, 0, 2].as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_cookie_alone_is_no_vhd() {
        let mut tail = vec![0; 512];
        tail[..8].copy_from_slice(b"conectix");
        let kind = Kind::of(&[0; 512], &tail, 1 << 20);
        assert_eq!(kind, Kind::Disk(Format::Raw));
    }

    #[test]
    fn short_heads_are_raw() {
        assert_eq!(Kind::of(b"QF", b"", 2), Kind::Disk(Format::Raw));
    }

    #[test]
    fn the_version_tells_qcow_from_qcow2() {
        for (version, expected) in [
            (1, Kind::Foreign("a QCOW image of version 1", CONVERT)),
            (2, Kind::Disk(Format::Qcow2)),
            (3, Kind::Disk(Format::Qcow2)),
            (9, Kind::Disk(Format::Qcow2)),
        ] {
            let head = [b"QFI\xfb\0\0\0".as_slice(), &[version]].concat();
            assert_eq!(Kind::of(&head, b"", 8), expected, "{version}");
        }
    }
}
