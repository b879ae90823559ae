//! The copy of the source that everything is done to.

use std::fs::File;
use std::io;
use std::path::Path;

use byoi_agent::interrupt::Interrupted;
use nix::sys::statvfs::statvfs;

use super::copy::copy_sparse;
use super::error::ImageError;
use super::source::SourceImage;
use crate::progress::Narrator;

/// A private copy of a disk, in a file without a name: it vanishes with the process.
#[derive(Debug)]
pub struct WorkDisk {
    file: File,
    size: u64,
}

impl WorkDisk {
    /// Copies `source` into `workdir`: as a reflink where the file system can, otherwise without
    /// holes and zeros.
    ///
    /// # Errors
    ///
    /// [`ImageError`]: no file can be made in `workdir`, it has too little room, a read or write
    /// fails, the source changes meanwhile, or a signal arrives.
    pub fn copy_of(
        source: &SourceImage,
        workdir: &Path,
        narrator: Narrator,
    ) -> Result<Self, ImageError> {
        // O_TMPFILE, or where that is unknown a file whose name goes at once.
        let file = tempfile::tempfile_in(workdir).map_err(|source| ImageError::Io {
            action: "making a working disk in",
            path: workdir.to_owned(),
            source,
        })?;
        if rustix::fs::ioctl_ficlone(&file, source.file()).is_err() {
            // Whatever the reason (another file system, a block device), a copy does the same.
            check_space(source, workdir)?;
            let mut task = narrator.bytes("copying", source.size());
            copy_sparse(source.file(), &file, source.size(), &mut task)
                .map_err(|error| copy_error(source, error))?;
        }
        source.check_unchanged()?;
        Ok(Self {
            file,
            size: source.size(),
        })
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

fn check_space(source: &SourceImage, workdir: &Path) -> Result<(), ImageError> {
    let needed = source.allocated()?;
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

fn copy_error(source: &SourceImage, error: io::Error) -> ImageError {
    const ACTION: &str = "copying";
    let path = source.path().to_owned();
    match error.downcast::<Interrupted>() {
        Ok(source) => ImageError::Interrupted {
            action: ACTION,
            path,
            source,
        },
        Err(source) => ImageError::Io {
            action: ACTION,
            path,
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

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

        let source = SourceImage::open(&path).unwrap();
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

    #[test]
    fn a_lack_of_space_is_told_before_the_copy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        fs::write(&path, vec![1; 4 << 20]).unwrap();
        let source = SourceImage::open(&path).unwrap();
        // A file system that never has room.
        let error = check_space(&source, Path::new("/proc")).unwrap_err();
        assert!(
            matches!(error, ImageError::NoSpace { available: 0, .. }),
            "{error}"
        );
    }
}
