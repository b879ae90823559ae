//! Recognising the code in sector 0 by its bytes.
//!
//! Each pattern was taken from what the programs install: GRUB 2 `boot.img` and GRUB Legacy
//! `stage1` (a jump over the parameter block and the message table), the Syslinux `mbr` family
//! (one common prologue), Windows 2000 to 11 (two prologues; the messages are translated, the code
//! is not), LILO (its name behind the jump), libparted and Debian's mbr (their own prologues).

use schemars::JsonSchema;
use serde::Serialize;

use crate::bytes::{has, holds, le64};
use crate::units::Lba;

/// The code area of a master boot record, in bytes.
const CODE_LEN: usize = 440;
/// The text that both GRUBs carry.
const GRUB_MESSAGES: &[u8] = b"GRUB \0Geom\0Hard Disk\0Read\0 Error";

/// Who wrote the code in sector 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum BootCode {
    /// GRUB 2: loads its core image from a fixed sector.
    Grub2 {
        /// The sector that the core image begins in.
        core_image: Lba,
    },
    /// GRUB Legacy, version 0.9x.
    GrubLegacy,
    /// Syslinux or Extlinux: starts the active partition.
    Syslinux,
    /// LILO.
    Lilo,
    /// Windows: starts the active partition.
    Windows,
    /// `install-mbr` of Debian's package mbr: starts a partition of its own choice.
    DebianMbr,
    /// What libparted puts on a new disk: starts the active partition.
    Libparted,
    /// Nothing but zeros.
    None,
    /// Something else.
    Unknown,
}

impl BootCode {
    /// Recognises the code in a first sector.
    pub(crate) fn recognise(sector: &[u8]) -> Self {
        let code = &sector[..CODE_LEN.min(sector.len())];
        if code.iter().all(|&byte| byte == 0) {
            Self::None
        } else if has(code, 0, &[0xeb, 0x63]) && holds(code, GRUB_MESSAGES) {
            Self::Grub2 {
                // GRUB_BOOT_MACHINE_KERNEL_SECTOR
                core_image: Lba::new(le64(code, 0x5c)),
            }
        } else if has(code, 0, &[0xeb, 0x48]) && holds(code, GRUB_MESSAGES) {
            Self::GrubLegacy
        } else if has(
            code,
            0,
            &[0x33, 0xc0, 0xfa, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0, 0x7c],
        ) {
            Self::Syslinux
        } else if has(code, 6, b"LILO") {
            Self::Lilo
        } else if is_windows(code) {
            Self::Windows
        } else if has(code, 0, &[0xfa, 0xb8, 0, 0x10, 0x8e, 0xd0, 0xbc, 0, 0xb0]) {
            Self::Libparted
        } else if has(
            code,
            0,
            &[0xfc, 0x31, 0xc0, 0x8e, 0xd0, 0x31, 0xe4, 0x8e, 0xd8],
        ) {
            Self::DebianMbr
        } else {
            Self::Unknown
        }
    }

    /// Whether this code can start nothing without a partition that is marked active.
    pub fn needs_active_partition(self) -> bool {
        matches!(self, Self::Syslinux | Self::Windows | Self::Libparted)
    }

    /// The name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grub2 { .. } => "GRUB 2",
            Self::GrubLegacy => "GRUB Legacy",
            Self::Syslinux => "Syslinux",
            Self::Lilo => "LILO",
            Self::Windows => "Windows",
            Self::DebianMbr => "Debian's mbr",
            Self::Libparted => "libparted",
            Self::None => "none",
            Self::Unknown => "unknown",
        }
    }
}

/// Clears AX and sets the stack up, then either saves registers (2000, XP, 2003) or sets the
/// segments up (from Vista on).
fn is_windows(code: &[u8]) -> bool {
    has(code, 0, &[0x33, 0xc0, 0x8e, 0xd0, 0xbc, 0, 0x7c])
        && (has(code, 7, &[0xfb, 0x50, 0x07, 0x50, 0x1f, 0xfc])
            || has(code, 7, &[0x8e, 0xc0, 0x8e, 0xd8, 0xbe, 0, 0x7c]))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use byoi_agent::cmd::Cmd;

    use super::*;

    #[test]
    fn what_the_programs_install_is_recognised() {
        let grub2 = BootCode::Grub2 {
            core_image: Lba::new(1),
        };
        for (path, expected) in [
            ("/usr/lib/grub/i386-pc/boot.img", grub2),
            ("/usr/lib/grub/x86_64-pc/stage1", BootCode::GrubLegacy),
            ("/usr/lib/syslinux/mbr/mbr.bin", BootCode::Syslinux),
            ("/usr/lib/syslinux/mbr/gptmbr.bin", BootCode::Syslinux),
            ("/usr/lib/syslinux/mbr/extra/mbr_f.bin", BootCode::Syslinux),
        ] {
            let bytes = fs::read(path).unwrap();
            assert_eq!(BootCode::recognise(&bytes), expected, "{path}");
        }
    }

    #[test]
    fn what_parted_writes_is_recognised() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        Cmd::new("parted")
            .arg("-s")
            .arg(file.path())
            .args(["mklabel", "msdos"])
            .run()
            .unwrap();
        let bytes = fs::read(file.path()).unwrap();
        assert_eq!(BootCode::recognise(&bytes), BootCode::Libparted);
    }

    #[test]
    fn prologues_decide() {
        for (start, expected) in [
            (&b""[..], BootCode::None),
            (
                b"\x33\xc0\x8e\xd0\xbc\x00\x7c\xfb\x50\x07\x50\x1f\xfc",
                BootCode::Windows,
            ),
            (
                b"\x33\xc0\x8e\xd0\xbc\x00\x7c\x8e\xc0\x8e\xd8\xbe\x00\x7c",
                BootCode::Windows,
            ),
            (b"\x33\xc0\x8e\xd0\xbc\x00\x7c\x90", BootCode::Unknown),
            (b"\xfa\xeb\x21\x01\xb4\x01LILO", BootCode::Lilo),
            (
                b"\xfc\x31\xc0\x8e\xd0\x31\xe4\x8e\xd8\x8e\xc0\xbe\x00\x7c",
                BootCode::DebianMbr,
            ),
            // A jump alone is no GRUB.
            (b"\xeb\x63\x90", BootCode::Unknown),
        ] {
            let mut sector = [0; 512];
            sector[..start.len()].copy_from_slice(start);
            assert_eq!(BootCode::recognise(&sector), expected, "{start:x?}");
        }
        assert_eq!(BootCode::recognise(&[]), BootCode::None);
    }
}
