//! Disks to write, and files that fail.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use tempfile::TempDir;

use super::{Disk, Observer, Settled, Target, WriteError};
use crate::qcow2::testing::{noise, qemu_img, text};
use crate::sparsify::AllocationMap;
use crate::units::byte_len;

/// A raw disk and a folder for the images made from it.
pub struct RawDisk {
    pub folder: TempDir,
    pub file: File,
    pub map: AllocationMap,
}

impl RawDisk {
    /// A disk of `size` bytes with holes between the given contents.
    pub fn new(size: u64, contents: &[(u64, Vec<u8>)]) -> Self {
        // In memory where that is possible.
        let folder = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(folder.path().join("raw"))
            .unwrap();
        file.set_len(size).unwrap();
        for (offset, bytes) in contents {
            file.write_all_at(bytes, *offset).unwrap();
        }
        let map = AllocationMap::of_file(&file, size).unwrap();
        Self { folder, file, map }
    }

    /// The disk as writers take it.
    pub fn source(&self) -> Disk<'_> {
        Disk {
            file: &self.file,
            map: &self.map,
        }
    }

    pub fn raw(&self) -> PathBuf {
        self.folder.path().join("raw")
    }

    /// Where an image of it goes.
    pub fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// QEMU finds the same content in the image.
    pub fn compare(&self, format: &str, image: &Path) {
        qemu_img(
            &["compare", "-q", "-f", "raw", "-F", format],
            &[&self.raw(), image],
        );
    }

    /// QEMU makes every other format of the image, with the same content.
    pub fn convert(&self, format: &str, image: &Path) {
        let copy = self.folder.path().join("copy");
        for (other, options) in [
            ("raw", &[][..]),
            ("qcow2", &["-c"]),
            ("vmdk", &["-o", "subformat=streamOptimized"]),
            ("vdi", &[]),
            ("vpc", &["-o", "force_size=on"]),
            ("vhdx", &[]),
        ] {
            let mut arguments = vec!["convert", "-f", format, "-O", other];
            arguments.extend(options);
            qemu_img(&arguments, &[image, &copy]);
            self.compare(other, &copy);
            std::fs::remove_file(&copy).unwrap();
        }
    }
}

/// 3 MiB less a sector of everything: text, noise, zeros as data, holes.
pub fn mixed() -> RawDisk {
    let k = 1024;
    RawDisk::new(
        3072 * k - 512,
        &[
            (0, text(1, 100_000)),
            (256 * k, noise(1, 200_000)),
            (512 * k, vec![0; 300_000]),
            (1024 * k, text(2, 600_000)),
            (1700 * k, noise(2, 70_000)),
            (1800 * k, text(3, 70_000)),
            (3072 * k - 1024, noise(3, 512)),
        ],
    )
}

/// Remembers what is settled of an image, as it is in the file then.
pub struct Witness<'a> {
    pub image: &'a File,
    pub settled: Option<Vec<u8>>,
}

impl Observer for Witness<'_> {
    fn progress(&mut self, _: u64) {}

    fn settled(&mut self, settled: Settled) -> Result<(), WriteError> {
        assert_eq!(self.settled, None, "only once");
        let mut bytes = vec![0; usize::try_from(settled.end).unwrap()];
        let in_file = usize::try_from(self.image.metadata().unwrap().len())
            .unwrap()
            .min(bytes.len());
        self.image.read_exact_at(&mut bytes[..in_file], 0).unwrap();
        bytes[..settled.start.len()].copy_from_slice(&settled.start);
        self.settled = Some(bytes);
        Ok(())
    }
}

impl Witness<'_> {
    /// The image begins with what was settled, and that is most of it.
    pub fn check(&self) {
        let settled = self.settled.as_ref().unwrap();
        let mut begin = vec![0; settled.len()];
        self.image.read_exact_at(&mut begin, 0).unwrap();
        assert!(begin == *settled);
        let length = self.image.metadata().unwrap().len();
        assert!(byte_len(settled.len()) > length / 2, "{length}");
    }
}

/// What happens to a write.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The one that touches this byte fails.
    At(u64, Errno),
    /// The one that reaches this byte ends there, and the next one fails.
    Short(u64, Errno),
    /// Each takes at most so many bytes.
    Crumbs(usize),
}

/// A file of which not every write succeeds.
pub struct Faulty<'a> {
    pub file: &'a File,
    pub fault: Fault,
}

impl Target for Faulty<'_> {
    fn write_back(&self, offset: u64, length: usize) {
        self.file.write_back(offset, length);
    }
}

impl FileExt for Faulty<'_> {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let touches = |place| (offset..offset + byte_len(bytes.len())).contains(&place);
        match self.fault {
            Fault::At(place, errno) if touches(place) => Err(errno.into()),
            Fault::Short(place, errno) if place == offset => Err(errno.into()),
            Fault::Short(place, _) if touches(place) => {
                let before = usize::try_from(place - offset).unwrap();
                self.file.write_at(&bytes[..before], offset)
            }
            Fault::Crumbs(most) => self.file.write_at(&bytes[..bytes.len().min(most)], offset),
            Fault::At(..) | Fault::Short(..) => self.file.write_at(bytes, offset),
        }
    }
}
