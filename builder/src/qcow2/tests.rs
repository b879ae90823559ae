//! Whole images, judged by qemu-img and by the reader of [`super::testing`].

use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use proptest::prelude::*;
use tempfile::TempDir;

use super::dump::{Dump, DumpError};
use super::testing::{noise, qemu_img, read_back, text};
use super::{Compression, write};
use crate::deflate::Level;
use crate::encode::{Disk as Source, Summary, WriteError};
use crate::sparsify::{AllocationMap, CLUSTER_LENGTH, CLUSTER_SIZE};

const ZLIB: Compression = Compression::Zlib {
    level: Level::Default,
};
const ZSTD: Compression = Compression::Zstd {
    level: Level::Default,
};

/// A raw disk and a folder for the images made from it.
struct Disk {
    folder: TempDir,
    file: File,
    map: AllocationMap,
}

impl Disk {
    /// A disk of `size` bytes with holes between the given contents.
    fn new(size: u64, contents: &[(u64, Vec<u8>)]) -> Self {
        // In memory where that is possible: every image is flushed twice.
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

    fn raw(&self) -> PathBuf {
        self.folder.path().join("raw")
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn source(&self) -> Source<'_> {
        Source {
            file: &self.file,
            map: &self.map,
        }
    }

    fn try_write(
        &self,
        image: &Path,
        compression: Compression,
        threads: usize,
    ) -> Result<Summary, WriteError> {
        let output = File::create(image).unwrap();
        let threads = NonZeroUsize::new(threads).unwrap();
        write(self.source(), &output, compression, threads, &mut |_| {})
    }

    fn write(&self, compression: Compression, threads: usize) -> Summary {
        let summary = self.try_write(&self.image(), compression, threads).unwrap();
        let length = fs::metadata(self.image()).unwrap().len();
        assert_eq!(summary.file_size, length);
        summary
    }

    /// No leak, no error, the same content.
    fn check(&self) {
        qemu_img(&["check", "-q", "-f", "qcow2"], &[&self.image()]);
        qemu_img(
            &["compare", "-q", "-f", "raw", "-F", "qcow2"],
            &[&self.raw(), &self.image()],
        );
    }
}

/// 3 MiB less a sector of everything: text, noise, zeros as data, holes.
fn mixed() -> Disk {
    let k = 1024;
    Disk::new(
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

#[test]
fn qemu_img_agrees_at_every_size() {
    let c = CLUSTER_SIZE;
    for size in [0, 512, c - 512, c, c + 512, 8 * c, 9 * c + 512] {
        for compression in [Compression::None, ZLIB, ZSTD] {
            let length = usize::try_from(size).unwrap();
            for content in [vec![0; length], noise(1, length), text(1, length)] {
                let disk = Disk::new(size, &[(0, content)]);
                let summary = disk.write(compression, 2);
                assert_eq!(summary.virtual_size, size);
                let clusters = size.div_ceil(c);
                assert_eq!(summary.data_clusters + summary.zero_clusters, clusters);
                disk.check();
            }
        }
    }
}

#[test]
fn qemu_img_agrees_at_every_level() {
    let disk = mixed();
    let plain = disk.write(Compression::None, 2);
    disk.check();
    assert_eq!(plain.compressed_clusters, 0);
    let mut best = plain.file_size;
    for level in [Level::Fast, Level::Default, Level::Best] {
        disk.write(Compression::Zstd { level }, 3);
        disk.check();
        let summary = disk.write(Compression::Zlib { level }, 3);
        disk.check();
        assert_eq!(summary.data_clusters, plain.data_clusters);
        assert_eq!(summary.zero_clusters, plain.zero_clusters);
        assert!(summary.compressed_clusters > 10, "{summary:?}");
        assert!(
            summary.compressed_clusters < summary.data_clusters,
            "{summary:?}"
        );
        assert!(summary.file_size <= best, "{summary:?}");
        best = summary.file_size;
    }
    // Zeros as data: 300 000 bytes from a cluster boundary are four clusters and a part.
    assert_eq!(plain.zero_clusters, 5);
}

#[test]
fn few_clusters_on_a_huge_disk() {
    let size = (390 << 30) + 512;
    let places = [0, 511 << 20, 512 << 20, 100 << 30, (389 << 30) + 70_000];
    let mut contents: Vec<_> = places.map(|place| (place, text(place, 200_000))).into();
    contents.push((size - 512, noise(1, 512)));
    let disk = Disk::new(size, &contents);
    let summary = disk.write(ZLIB, 2);
    disk.check();
    assert_eq!(summary.data_clusters, 21);
    // Header, L1, five L2 tables, refcounts, and a little data.
    assert!(summary.file_size < 24 * CLUSTER_SIZE, "{summary:?}");
}

#[test]
fn progress_ends_with_all_data() {
    let disk = mixed();
    let output = tempfile::tempfile().unwrap();
    let mut told = Vec::new();
    let two = NonZeroUsize::new(2).unwrap();
    write(disk.source(), &output, ZLIB, two, &mut |done| {
        told.push(done);
    })
    .unwrap();
    assert!(told.is_sorted(), "{told:?}");
    assert_eq!(told.last(), Some(&disk.map.data_bytes()));
}

#[test]
fn what_was_in_the_file_is_gone() {
    let disk = mixed();
    disk.write(ZLIB, 1);
    let fresh = fs::read(disk.image()).unwrap();
    let output = tempfile::tempfile().unwrap();
    output.write_all_at(&vec![0xff; 4 << 20], 0).unwrap();
    write(disk.source(), &output, ZLIB, NonZeroUsize::MIN, &mut |_| {}).unwrap();
    let mut bytes = Vec::new();
    (&output).read_to_end(&mut bytes).unwrap();
    assert!(bytes == fresh);
}

#[test]
fn sizes_that_no_image_can_have_are_refused() {
    let output = tempfile::tempfile().unwrap();
    let holes = tempfile::tempfile().unwrap();
    let try_size = |size| {
        let map = AllocationMap::of_file(&holes, size).unwrap();
        let source = Source {
            file: &holes,
            map: &map,
        };
        write(source, &output, ZLIB, NonZeroUsize::MIN, &mut |_| {}).unwrap_err()
    };
    let error = try_size((1 << 51) + 512);
    assert!(matches!(error, WriteError::Size { .. }), "{error}");
}

/// Whether a reader would take the file for an image.
fn has_header(image: &Path) -> bool {
    let mut magic = [0; 4];
    let file = File::open(image).unwrap();
    file.read_exact_at(&mut magic, 0).is_ok() && magic != [0; 4]
}

#[test]
fn a_disk_that_shrinks_is_an_error() {
    let disk = mixed();
    disk.file.set_len(2 << 20).unwrap();
    for threads in [1, 3] {
        let error = disk.try_write(&disk.image(), ZLIB, threads).unwrap_err();
        let WriteError::Read { offset, source } = error else {
            panic!("{error}");
        };
        assert_eq!(offset, 3008 << 10);
        assert_eq!(source.kind(), io::ErrorKind::UnexpectedEof);
        assert!(!has_header(&disk.image()));
    }
}

#[test]
fn privileged_a_full_file_system_never_leaves_a_header() {
    let disk = mixed();
    let folder = disk.folder.path().join("full");
    fs::create_dir(&folder).unwrap();
    // Whether the image fits into so many KiB, and what becomes of it.
    let fits = |kib: u32, compression| {
        let size = format!("size={kib}k");
        mount(
            Some("tmpfs"),
            &folder,
            Some("tmpfs"),
            MsFlags::empty(),
            Some(size.as_str()),
        )
        .unwrap();
        let image = folder.join("image");
        let result = disk.try_write(&image, compression, 2);
        let header = has_header(&image);
        // Not at once: a process that another test is about to start has every file of this one.
        umount2(&folder, MntFlags::MNT_DETACH).unwrap();
        assert_eq!(result.is_ok(), header, "{kib} KiB");
        match result {
            Ok(_) => true,
            Err(WriteError::Write { source, .. }) => {
                assert_eq!(source.kind(), io::ErrorKind::StorageFull);
                false
            }
            Err(error) => panic!("{error}"),
        }
    };
    for compression in [Compression::None, ZLIB] {
        let enough = (64..)
            .step_by(64)
            .find(|&kib| fits(kib, compression))
            .unwrap();
        assert!(enough > 256, "{enough} KiB");
        // Page by page through the tables, until only the header has no room.
        for kib in (enough - 256..enough).step_by(4) {
            fits(kib, compression);
        }
    }
}

#[test]
fn the_layout_of_a_small_image() {
    let disk = Disk::new(
        5 * CLUSTER_SIZE - 512,
        &[
            (0, noise(1, CLUSTER_LENGTH)),
            (2 * CLUSTER_SIZE, vec![0; CLUSTER_LENGTH]),
            (4 * CLUSTER_SIZE, noise(2, 512)),
        ],
    );
    disk.write(Compression::None, 1);
    let image = File::open(disk.image()).unwrap();
    let text = Dump::read(&image).unwrap().text().unwrap();
    assert_eq!(
        text,
        "disk 327168 bytes\n\
         file 458752 bytes\n\
         compression type Zlib\n\
         L1 table at 0x10000, 1 entries\n\
         refcount table at 0x60000, 1 clusters\n\
         0x0 stored at 0x20000\n\
         0x40000 stored at 0x30000\n\
         2 stored, 0 compressed\n"
    );
}

type Expected = fn(&DumpError) -> bool;

#[test]
fn a_broken_image_is_not_dumped() {
    let disk = Disk::new(CLUSTER_SIZE, &[(0, noise(1, CLUSTER_LENGTH))]);
    disk.write(Compression::None, 1);
    let l1 = 0x10000;
    let l2 = 0x30000;
    let cases: [(u64, u64, Expected); 7] = [
        (0, 0, |e| matches!(e, DumpError::Header { .. })),
        (24, 1 << 40, |e| matches!(e, DumpError::L1Size { .. })),
        (l1, 0x8000_0000_0003_0200, |e| {
            matches!(e, DumpError::Entry { offset: 0, .. })
        }),
        (l1, 0x8000_0000_7fff_0000, |e| {
            matches!(e, DumpError::Read { .. })
        }),
        (l2, 0x8000_0000_7fff_0000, |e| {
            matches!(e, DumpError::BeyondEnd { offset: 0 })
        }),
        (l2, 0x7fc0_0000_0005_0000, |e| {
            matches!(e, DumpError::BeyondEnd { offset: 0 })
        }),
        (l2 + 8, 0x8000_0000_0002_0000, |e| {
            matches!(e, DumpError::Entry { offset: 65536, .. })
        }),
    ];
    let good = fs::read(disk.image()).unwrap();
    for (at, value, expected) in cases {
        let image = tempfile::tempfile().unwrap();
        image.write_all_at(&good, 0).unwrap();
        image.write_all_at(&value.to_be_bytes(), at).unwrap();
        let error = Dump::read(&image).and_then(|dump| dump.text()).unwrap_err();
        assert!(expected(&error), "{value:#x} at {at:#x}: {error}");
    }
}

/// What a part of a random disk holds.
#[derive(Debug, Clone)]
enum Part {
    Hole,
    Zeros,
    Noise,
    Text,
}

fn parts() -> impl Strategy<Value = Vec<(Part, usize)>> {
    let part = prop_oneof![
        Just(Part::Hole),
        Just(Part::Zeros),
        Just(Part::Noise),
        Just(Part::Text),
    ];
    prop::collection::vec((part, 1_usize..500), 0..12)
}

fn random_disk(parts: &[(Part, usize)]) -> Disk {
    let mut size = 0;
    let mut contents = Vec::new();
    for (part, sectors) in parts {
        let length = sectors * 512;
        match part {
            Part::Hole => {}
            Part::Zeros => contents.push((size, vec![0; length])),
            Part::Noise => contents.push((size, noise(size, length))),
            Part::Text => contents.push((size, text(size, length))),
        }
        size += u64::try_from(length).unwrap();
    }
    Disk::new(size, &contents)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn any_disk_reads_back_and_threads_make_no_difference(parts in parts()) {
        let disk = random_disk(&parts);
        disk.write(ZLIB, 1);
        disk.check();
        let image = fs::read(disk.image()).unwrap();
        let raw = fs::read(disk.raw()).unwrap();
        prop_assert!(read_back(&File::open(disk.image()).unwrap()) == raw);
        for threads in [2, 5] {
            disk.write(ZLIB, threads);
            prop_assert!(fs::read(disk.image()).unwrap() == image, "{threads} threads");
        }
        disk.write(ZSTD, 3);
        disk.check();
        prop_assert!(read_back(&File::open(disk.image()).unwrap()) == raw);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn no_damage_makes_the_dump_panic(table in 0_usize..3, offset in 0_u64..128, value: u64) {
        static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
            let disk = Disk::new(CLUSTER_SIZE, &[(0, vec![1; 512])]);
            disk.write(Compression::None, 1);
            fs::read(disk.image()).unwrap()
        });
        let image = tempfile::tempfile().unwrap();
        image.write_all_at(&GOOD, 0).unwrap();
        let place = [0, 0x10000, 0x30000][table] + offset;
        image.write_all_at(&value.to_be_bytes(), place).unwrap();
        Dump::read(&image).and_then(|dump| dump.text()).ok();
    }
}
