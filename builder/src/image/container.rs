//! Telling a raw disk from the image formats, by content alone.
//!
//! Magic numbers: QEMU `docs/interop/{qcow2,qed,vhdx,parallels}`, "Virtual Disk Format 5.0"
//! (VMware), "Virtual Hard Disk Image Format Specification" (Microsoft), VirtualBox `VDICore.h`.

use std::fmt;

/// A file format that is not a raw disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// QEMU copy-on-write, version 1.
    Qcow,
    /// QEMU copy-on-write, version 2 and 3.
    Qcow2,
    /// QEMU enhanced disk.
    Qed,
    /// VMware virtual disk: sparse extent, ESX sparse extent or descriptor.
    Vmdk,
    /// VirtualBox disk image.
    Vdi,
    /// Hyper-V virtual hard disk, version 2.
    Vhdx,
    /// Virtual PC hard disk, dynamic or fixed.
    Vhd,
    /// Parallels disk image.
    Parallels,
    /// A tar archive, as `.ova` and `.oci` are.
    Tar,
    /// A compressed file; the name is that of the format.
    Compressed(&'static str),
}

/// How much of the beginning and of the end of a file [`Container::probe`] wants to see.
pub(super) const PROBE_LEN: usize = 512;

impl Container {
    /// The format of a file of `size` bytes with this first and this last sector; `None` for a raw
    /// disk.
    pub(super) fn probe(head: &[u8], tail: &[u8], size: u64) -> Option<Self> {
        let at = |offset: usize, magic: &[u8]| {
            head.get(offset..)
                .is_some_and(|rest| rest.starts_with(magic))
        };
        if at(0, b"QFI\xfb") {
            // The version is a big-endian number behind the magic.
            return Some(if at(4, &[0, 0, 0, 1]) {
                Self::Qcow
            } else {
                Self::Qcow2
            });
        }
        let table: [(usize, &[u8], Self); 15] = [
            (0, b"QED\0", Self::Qed),
            (0, b"KDMV", Self::Vmdk),
            (0, b"COWD", Self::Vmdk),
            (0, b"# Disk DescriptorFile", Self::Vmdk),
            (0x40, &[0x7f, 0x10, 0xda, 0xbe], Self::Vdi),
            (0, b"vhdxfile", Self::Vhdx),
            (0, b"conectix", Self::Vhd),
            (0, b"WithoutFreeSpace", Self::Parallels),
            (0, b"WithouFreSpacExt", Self::Parallels),
            (257, b"ustar", Self::Tar),
            (0, &[0x1f, 0x8b, 0x08], Self::Compressed("gzip")),
            (0, b"\xfd7zXZ\0", Self::Compressed("xz")),
            (0, &[0x28, 0xb5, 0x2f, 0xfd], Self::Compressed("zstd")),
            (0, b"BZh", Self::Compressed("bzip2")),
            (0, b"PK\x03\x04", Self::Compressed("zip")),
        ];
        table
            .iter()
            .find(|(offset, magic, _)| at(*offset, magic))
            .map(|(_, _, container)| *container)
            .or_else(|| is_fixed_vhd(tail, size).then_some(Self::Vhd))
    }
}

/// A fixed VHD is a raw disk with a footer: the cookie at 0, the disk's size at 48 and the type
/// "fixed" at 60. All three are asked for, since a guest may own its last sector.
fn is_fixed_vhd(tail: &[u8], size: u64) -> bool {
    let disk_size = size.saturating_sub(512).to_be_bytes();
    tail.starts_with(b"conectix")
        && tail.get(48..56) == Some(disk_size.as_slice())
        && tail.get(60..64) == Some([0, 0, 0, 2].as_slice())
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Qcow => f.write_str("a QCOW image"),
            Self::Qcow2 => f.write_str("a QCOW2 image"),
            Self::Qed => f.write_str("a QED image"),
            Self::Vmdk => f.write_str("a VMDK image"),
            Self::Vdi => f.write_str("a VDI image"),
            Self::Vhdx => f.write_str("a VHDX image"),
            Self::Vhd => f.write_str("a VHD image"),
            Self::Parallels => f.write_str("a Parallels image"),
            Self::Tar => f.write_str("a tar archive (.ova and .oci are such)"),
            Self::Compressed(name) => write!(f, "a {name} file"),
        }
    }
}

#[cfg(test)]
mod tests {
    use byoi_agent::cmd::Cmd;

    use super::*;
    use crate::image::{ImageError, SourceImage};

    #[test]
    fn what_qemu_img_writes_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for (format, options, expected) in [
            ("qcow2", "", Container::Qcow2),
            ("qcow", "", Container::Qcow),
            ("qed", "", Container::Qed),
            ("vmdk", "", Container::Vmdk),
            ("vmdk", "subformat=streamOptimized", Container::Vmdk),
            ("vdi", "", Container::Vdi),
            ("vhdx", "", Container::Vhdx),
            ("vpc", "", Container::Vhd),
            ("vpc", "subformat=fixed,force_size=on", Container::Vhd),
        ] {
            // The name lies on purpose.
            let path = dir.path().join("disk.raw");
            let mut create = Cmd::new("qemu-img").args(["create", "-q", "-f", format]);
            if !options.is_empty() {
                create = create.args(["-o", options]);
            }
            create.arg(&path).arg("4M").run().unwrap();
            match SourceImage::open(&path) {
                Err(ImageError::NotRaw { container, .. }) => {
                    assert_eq!(container, expected, "{format} {options}");
                }
                other => panic!("{format} {options}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_footer_cookie_alone_is_no_vhd() {
        let mut tail = vec![0; 512];
        tail[..8].copy_from_slice(b"conectix");
        assert_eq!(Container::probe(&[0; 512], &tail, 1 << 20), None);
    }

    #[test]
    fn short_heads_are_raw() {
        assert_eq!(Container::probe(b"QF", b"", 2), None);
    }
}
