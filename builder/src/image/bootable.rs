//! An image that is only booted: raw or QCOW2, by content.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{ImageError, SourceImage};
use crate::boot::DiskFormat;

/// The magic number of QCOW2 (QEMU `docs/interop/qcow2.txt`, "Header").
const QCOW2_MAGIC: [u8; 4] = *b"QFI\xfb";
/// The bytes of the header that are read here.
const HEADER: usize = 104;
/// Header bit "external data file" of the incompatible features.
const EXTERNAL_DATA: u64 = 1 << 2;

/// An image that QEMU can boot without following it to other files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootableImage {
    format: DiskFormat,
    virtual_size: u64,
}

impl BootableImage {
    /// Looks at the image.
    ///
    /// # Errors
    ///
    /// It is neither raw nor QCOW2, or a QCOW2 that names another file of the host.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        match SourceImage::open(path) {
            Ok(source) => Ok(Self {
                format: DiskFormat::Raw,
                virtual_size: source.size(),
            }),
            Err(error @ ImageError::NotRaw { .. }) => match qcow2_size(path)? {
                Some(virtual_size) => Ok(Self {
                    format: DiskFormat::Qcow2,
                    virtual_size,
                }),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Its format.
    pub fn format(self) -> DiskFormat {
        self.format
    }

    /// The size of the disk in it, in bytes.
    pub fn virtual_size(self) -> u64 {
        self.virtual_size
    }
}

/// The size of the disk in a QCOW2; `None` for any other format.
fn qcow2_size(path: &Path) -> Result<Option<u64>, ImageError> {
    let failed = |source| ImageError::Io {
        action: "reading the header of",
        path: path.to_owned(),
        source,
    };
    let mut header = [0; HEADER];
    let file = File::open(path).map_err(failed)?;
    if file.read_exact_at(&mut header, 0).is_err() || !header.starts_with(&QCOW2_MAGIC) {
        return Ok(None);
    }
    let version = u32::from_be_bytes(field(&header, 4));
    let backing = u64::from_be_bytes(field(&header, 8));
    let features = u64::from_be_bytes(field(&header, 72));
    if backing != 0 || (version >= 3 && features & EXTERNAL_DATA != 0) {
        return Err(ImageError::OtherFile {
            path: path.to_owned(),
        });
    }
    Ok(Some(u64::from_be_bytes(field(&header, 24))))
}

fn field<const N: usize>(header: &[u8; HEADER], offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[offset..offset + N]);
    bytes
}
