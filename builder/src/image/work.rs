//! The copy of the source that everything is done to.

use std::fs::File;
use std::io;
use std::path::Path;

use super::copy::{Below, Sink};
use super::error::ImageError;
use super::raw::{ACTION, check_space, second};
use super::source::{Content, SourceImage};
use super::spool::unnamed_file;
use super::window::Window;
use crate::progress::Narrator;

/// A private copy of a disk, in a file without a name: it vanishes with the process.
#[derive(Debug)]
pub struct WorkDisk {
    file: File,
    size: u64,
}

impl WorkDisk {
    /// Copies `source` into `workdir`: as a reflink where the file system can, otherwise without
    /// holes and zeros. What was unpacked into an unnamed file is not copied again, but changes
    /// with the working disk.
    ///
    /// # Errors
    ///
    /// [`ImageError`]: no file can be made in `workdir`, it has too little room, the image is
    /// damaged, a read or write fails, the source changes meanwhile, or a signal arrives.
    pub fn copy_of(
        source: &SourceImage,
        workdir: &Path,
        narrator: Narrator,
    ) -> Result<Self, ImageError> {
        let size = source.size();
        let failed = |error| ImageError::of_io(ACTION, source.path(), error);
        let file = match &source.content {
            Content::Plain {
                window,
                private: true,
            } => {
                let file = second(window.place().0, source)?;
                file.set_len(size).map_err(failed)?;
                file
            }
            Content::Plain { window, .. } => {
                let file = unnamed_file(workdir)?;
                if clone(window, &file, size).is_err() {
                    // Whatever the reason (another file system, a block device), a copy does the
                    // same.
                    let needed = source.allocated()?;
                    check_space(needed, workdir)?;
                    let mut task = narrator.bytes(ACTION, needed);
                    file.set_len(size).map_err(failed)?;
                    Sink::new(&file, Below::Nothing, &mut task)
                        .copy(window.place().0, 0, 0, size)
                        .map_err(failed)?;
                }
                file
            }
            Content::Mapped(_) => {
                let file = unnamed_file(workdir)?;
                source.expand(&file, workdir, narrator)?;
                file
            }
        };
        source.check_unchanged()?;
        Ok(Self { file, size })
    }

    /// The open file, for reading and writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The size of the disk in bytes, a multiple of 512.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Gives up the working disk for its file and its size in bytes.
    pub(crate) fn into_parts(self) -> (File, u64) {
        (self.file, self.size)
    }
}

/// Shares the blocks of a file, and leaves off what follows the disk in it.
fn clone(window: &Window, to: &File, size: u64) -> io::Result<()> {
    rustix::fs::ioctl_ficlone(to, window.place().0)?;
    to.set_len(size)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;
    use crate::image::Input;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn the_copy_is_equal_sparse_and_nameless() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let file = File::create(&path).unwrap();
        let size = 64 * MIB + 512;
        file.set_len(size).unwrap();
        // Written zeros, data across a block boundary, and data in the last sector.
        file.write_all_at(&vec![0; 8 << 20], 8 * MIB).unwrap();
        file.write_all_at(b"data", 10 * MIB - 2).unwrap();
        file.write_all_at(&[5; 512], size - 512).unwrap();

        let source = SourceImage::open(&Input::of(&path), dir.path(), Narrator::Silent).unwrap();
        let work = WorkDisk::copy_of(&source, dir.path(), Narrator::Silent).unwrap();
        assert_eq!(work.size(), size);
        let mut copy = vec![0; usize::try_from(size).unwrap()];
        work.file().read_exact_at(&mut copy, 0).unwrap();
        assert!(copy == fs::read(&path).unwrap());
        let metadata = work.file().metadata().unwrap();
        assert_eq!(metadata.len(), size);
        assert!(
            metadata.blocks() * 512 <= 512 * 1024,
            "{}",
            metadata.blocks()
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
