//! The header of a Linux kernel for x86.
//!
//! Source: the Linux kernel, `Documentation/arch/x86/boot.rst`.

use std::io::{self, Read};

use crate::bytes::{has, le16, le32, text};
use crate::units::byte_len;

/// How much of a kernel is looked at, in bytes: its version is within the first 64 KiB.
const HEAD: u64 = 128 << 10;
/// What old kernels do not fill their last paragraph up with, in bytes.
const SLACK: u64 = 32;

/// What a file that is to be a kernel turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kernel {
    /// A kernel with its version, as `uname -r` says it, where that could be read.
    Whole(Option<String>),
    /// Shorter than its header says.
    Truncated {
        /// What the header asks for, in bytes.
        needed: u64,
        /// What there is, in bytes.
        len: u64,
    },
    /// Nothing but zeros as far as one looks, or no byte at all.
    Empty,
    /// Something else: an ELF file, a compressed one, another processor's kernel.
    Unknown,
}

/// Reads the header of a file of `len` bytes.
///
/// # Errors
///
/// The file could not be read.
pub fn examine(file: impl Read, len: u64) -> io::Result<Kernel> {
    let mut head = Vec::new();
    file.take(HEAD).read_to_end(&mut head)?;
    if head.iter().all(|&byte| byte == 0) {
        return Ok(Kernel::Empty);
    }
    if !has(&head, 0x202, b"HdrS") || !has(&head, 0x1fe, &[0x55, 0xaa]) {
        return Ok(Kernel::Unknown);
    }
    let setup = match head.get(0x1f1) {
        Some(0) | None => 4,
        Some(sectors) => u64::from(*sectors),
    };
    let paragraphs = if le16(&head, 0x206) < 0x204 {
        u64::from(le16(&head, 0x1f4))
    } else {
        u64::from(le32(&head, 0x1f4))
    };
    let needed = (setup + 1) * 512 + paragraphs * 16;
    if byte_len(head.len()) > len || needed > len.saturating_add(SLACK) {
        return Ok(Kernel::Truncated { needed, len });
    }
    let version = match le16(&head, 0x20e) {
        0 => None,
        at => text(&head, usize::from(at) + 0x200, 256)
            .and_then(|text| text.split_whitespace().next().map(str::to_owned)),
    };
    Ok(Kernel::Whole(version))
}

/// The first two numbers of a version, such as 6 and 1.
pub fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
pub(crate) mod testing {
    /// A kernel of a version that is as long as its header says.
    pub(crate) fn kernel(version: &str) -> Vec<u8> {
        let mut bytes = vec![0x90; 2 * 512 + 64 * 16];
        bytes[0x1f1] = 1;
        bytes[0x1f4..0x1f8].copy_from_slice(&64_u32.to_le_bytes());
        bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
        bytes[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        let said = format!("{version} (root@host) #1 SMP\0");
        bytes[0x300..0x300 + said.len()].copy_from_slice(said.as_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::kernel;
    use super::*;

    fn seen(bytes: &[u8]) -> Kernel {
        examine(bytes, byte_len(bytes.len())).unwrap()
    }

    #[test]
    fn headers_are_read() {
        let whole = kernel("6.1.0-50-amd64");
        assert_eq!(seen(&whole), Kernel::Whole(Some("6.1.0-50-amd64".into())));
        let len = whole.len() - 100;
        assert_eq!(
            seen(&whole[..len]),
            Kernel::Truncated {
                needed: 2048,
                len: byte_len(len),
            }
        );
        assert_eq!(seen(&[]), Kernel::Empty);
        assert_eq!(seen(&[0; 5000]), Kernel::Empty);
        assert_eq!(seen(b"\x7fELF and so on"), Kernel::Unknown);
    }

    #[test]
    fn a_kernel_of_this_machine_is_whole() {
        let Some(path) = ["/boot/vmlinuz", "/vmlinuz"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists())
        else {
            eprintln!("skipped: there is no kernel here");
            return;
        };
        let bytes = std::fs::read(path).unwrap();
        assert!(matches!(
            seen(&bytes),
            Kernel::Whole(Some(_)) | Kernel::Unknown
        ));
    }

    #[test]
    fn versions_begin_with_two_numbers() {
        for (version, expected) in [
            ("6.1.0-50-amd64", Some((6, 1))),
            ("2.6.32-754.el6", Some((2, 6))),
            ("5.15", Some((5, 15))),
            ("linux", None),
            ("99999999999.1", None),
        ] {
            assert_eq!(major_minor(version), expected, "{version}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_examined(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut head = kernel("1.2");
            head.splice(0x1f0.., bytes);
            let _ = seen(&head);
        }
    }
}
