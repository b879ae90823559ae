//! A source as a raw disk: in place where its bytes are the disk, otherwise written out.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use nix::sys::statvfs::statvfs;

use super::copy::{Below, Sink};
use super::error::ImageError;
use super::expand;
use super::source::{Content, SourceImage};
use super::spool::unnamed_file;
use crate::layout::{Layout, LayoutError};
use crate::progress::Narrator;

/// What writing a disk out is called.
pub(super) const ACTION: &str = "copying";

/// A raw disk that is only read: its first `size` bytes count.
#[derive(Debug)]
pub struct RawDisk {
    file: File,
    size: u64,
}

impl RawDisk {
    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The size of the disk in bytes; the file may be longer.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads what is on the disk.
    ///
    /// # Errors
    ///
    /// [`LayoutError`]: the disk cannot be read.
    pub fn layout(&self) -> Result<Layout, LayoutError> {
        Layout::of_file(&self.file, self.size)
    }

    /// Gives up the disk for its file and its size in bytes.
    pub(crate) fn into_parts(self) -> (File, u64) {
        (self.file, self.size)
    }
}

impl SourceImage {
    /// The disk for reading. One that does not lie in a file as it is goes to an unnamed file in
    /// `workdir`.
    ///
    /// # Errors
    ///
    /// [`ImageError`]: the image is damaged, `workdir` has too little room, a read or write fails,
    /// or a signal arrives.
    pub fn raw_disk(&self, workdir: &Path, narrator: Narrator) -> Result<RawDisk, ImageError> {
        let size = self.size();
        let file = match &self.content {
            Content::Plain { window, .. } => second(window.place().0, self)?,
            Content::Mapped(_) => {
                let file = unnamed_file(workdir)?;
                self.expand(&file, workdir, narrator)?;
                file
            }
        };
        Ok(RawDisk { file, size })
    }

    /// Writes a disk that has tables to an empty file, without what is zero.
    pub(super) fn expand(
        &self,
        to: &File,
        workdir: &Path,
        narrator: Narrator,
    ) -> Result<(), ImageError> {
        let Content::Mapped(layers) = &self.content else {
            return Ok(());
        };
        let told = |fault| ImageError::of_fault(ACTION, self.path(), self.format(), fault);
        let mut needed = 0_u64;
        for layer in layers {
            let data = expand::measure(layer.map.as_ref(), &layer.window).map_err(told)?;
            needed = needed.saturating_add(data);
        }
        check_space(needed, workdir)?;
        to.set_len(self.size())
            .map_err(|error| ImageError::of_io(ACTION, self.path(), error))?;
        let mut task = narrator.bytes(ACTION, needed);
        let mut below = Below::Nothing;
        for layer in layers {
            let mut sink = Sink::new(to, below, &mut task);
            expand::write(layer.map.as_ref(), &layer.window, self.size(), &mut sink)
                .map_err(told)?;
            below = Below::Data;
        }
        self.check_unchanged()
    }
}

/// The same open file once more.
pub(super) fn second(file: &Arc<File>, source: &SourceImage) -> Result<File, ImageError> {
    file.try_clone()
        .map_err(|error| ImageError::of_io("opening a second time", source.path(), error))
}

/// An error unless `needed` bytes are free in `workdir`.
pub(super) fn check_space(needed: u64, workdir: &Path) -> Result<(), ImageError> {
    let stat = statvfs(workdir).map_err(|errno| ImageError::Io {
        action: "reading the free space of",
        path: workdir.to_owned(),
        source: errno.into(),
    })?;
    let available = stat.blocks_available().saturating_mul(stat.fragment_size());
    if needed > available {
        return Err(ImageError::NoSpace {
            workdir: workdir.to_owned(),
            needed,
            available,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_space_is_told_before_the_copy() {
        // A file system that never has room.
        let error = check_space(1, Path::new("/proc")).unwrap_err();
        assert!(
            matches!(error, ImageError::NoSpace { available: 0, .. }),
            "{error}"
        );
    }
}
