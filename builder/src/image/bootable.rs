//! An image that is only booted: QEMU reads raw and QCOW2 by itself, all else is written out first.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::error::ImageError;
use super::expand;
use super::probe::Format;
use super::raw::second;
use super::source::{Content, SourceImage};
use super::work::WorkDisk;
use crate::boot::DiskFormat;
use crate::progress::Narrator;

/// An image that QEMU can boot without following it to other files. It is given as an open file,
/// so that what boots is what was looked at.
#[derive(Debug)]
pub struct BootableImage {
    file: File,
    format: DiskFormat,
}

impl SourceImage {
    /// The image for a boot.
    ///
    /// # Errors
    ///
    /// [`ImageError`]: as [`SourceImage::raw_disk`].
    pub fn bootable(
        &self,
        workdir: &Path,
        narrator: Narrator,
    ) -> Result<BootableImage, ImageError> {
        if let Content::Mapped(layers) = &self.content
            && let ([layer], Format::Qcow2) = (layers.as_slice(), self.format())
            && layer.window.place().1 == 0
        {
            expand::measure(layer.map.as_ref(), &layer.window).map_err(|fault| {
                ImageError::of_fault("reading", self.path(), self.format(), fault)
            })?;
            return Ok(BootableImage {
                file: second(layer.window.place().0, self)?,
                format: DiskFormat::Qcow2,
            });
        }
        // QEMU takes a raw file as it is, and the footer of a VHD would be a part of the disk.
        let file = match &self.content {
            Content::Plain { window, .. } if window.len() != self.size() => {
                WorkDisk::copy_of(self, workdir, narrator)?.into_parts().0
            }
            _ => self.raw_disk(workdir, narrator)?.into_parts().0,
        };
        Ok(BootableImage {
            file,
            format: DiskFormat::Raw,
        })
    }
}

impl BootableImage {
    /// A path by which QEMU can open it while this value lives.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.file.as_raw_fd()
        ))
    }

    /// Its format.
    pub fn format(&self) -> DiskFormat {
        self.format
    }
}
