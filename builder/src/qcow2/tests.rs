//! Whole images, judged by qemu-img and by the reader of [`super::testing`].

use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::LazyLock;

use imago::qcow2::Qcow2;
use imago::{FormatAccess, FormatDriverBuilder, PermissiveImplicitOpenGate};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use proptest::prelude::*;

use super::dump::{Dump, DumpError};
use super::testing::{noise, qemu_img, read_back, text};
use super::{Compression, write};
use crate::deflate::Level;
use crate::encode::testing::{Fault, Faulty, RawDisk, Witness, mixed};
use crate::encode::{Disk, Summary, WriteError};
use crate::sparsify::{AllocationMap, CLUSTER_LENGTH, CLUSTER_SIZE};

const ZLIB: Compression = Compression::Zlib {
    level: Level::Default,
};
const ZSTD: Compression = Compression::Zstd {
    level: Level::Default,
};

fn try_write(
    disk: &RawDisk,
    image: &Path,
    compression: Compression,
    threads: usize,
) -> Result<Summary, WriteError> {
    let output = File::create(image).unwrap();
    let threads = NonZeroUsize::new(threads).unwrap();
    write(
        disk.source(),
        &output,
        compression,
        threads,
        &mut |_: u64| {},
    )
}

fn write_image(disk: &RawDisk, compression: Compression, threads: usize) -> Summary {
    let summary = try_write(disk, &disk.image(), compression, threads).unwrap();
    let length = fs::metadata(disk.image()).unwrap().len();
    assert_eq!(summary.file_size, length);
    summary
}

/// No leak, no error, the same content.
fn check(disk: &RawDisk) {
    qemu_img(&["check", "-q", "-f", "qcow2"], &[&disk.image()]);
    disk.compare("qcow2", &disk.image());
}

#[test]
fn qemu_img_agrees_at_every_size() {
    let c = CLUSTER_SIZE;
    for size in [0, 512, c - 512, c, c + 512, 8 * c, 9 * c + 512] {
        for compression in [Compression::None, ZLIB, ZSTD] {
            let length = usize::try_from(size).unwrap();
            for content in [vec![0; length], noise(1, length), text(1, length)] {
                let disk = RawDisk::new(size, &[(0, content)]);
                let summary = write_image(&disk, compression, 2);
                assert_eq!(summary.virtual_size, size);
                let clusters = size.div_ceil(c);
                assert_eq!(summary.data_clusters + summary.zero_clusters, clusters);
                check(&disk);
            }
        }
    }
}

#[test]
fn qemu_img_agrees_at_every_level() {
    let disk = mixed();
    let plain = write_image(&disk, Compression::None, 2);
    check(&disk);
    assert_eq!(plain.compressed_clusters, 0);
    let mut best = plain.file_size;
    for level in [Level::Fast, Level::Default, Level::Best] {
        write_image(&disk, Compression::Zstd { level }, 3);
        check(&disk);
        let summary = write_image(&disk, Compression::Zlib { level }, 3);
        check(&disk);
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
fn an_image_is_read_by_others() {
    let disk = mixed();
    let raw = fs::read(disk.raw()).unwrap();
    for compression in [Compression::None, ZLIB] {
        write_image(&disk, compression, 2);
        let image = Qcow2::<imago::file::File>::builder_path(disk.image())
            .open(PermissiveImplicitOpenGate::default())
            .unwrap();
        let mut content = vec![0xff; raw.len()];
        FormatAccess::new(image).read(&mut content, 0).unwrap();
        assert!(content == raw, "{compression:?}");
    }
    for compression in [ZLIB, ZSTD] {
        write_image(&disk, compression, 2);
        disk.convert("qcow2", &disk.image());
    }
}

#[test]
fn an_l1_table_of_several_clusters() {
    let size = 9 << 40;
    let contents = [1 << 40, size - 70_000].map(|place| (place, text(place, 66_000)));
    let disk = RawDisk::new(size, &contents);
    let summary = write_image(&disk, ZLIB, 2);
    check(&disk);
    // Header, three of the L1, two L2 tables, refcounts, and a little data.
    assert!(summary.file_size < 10 * CLUSTER_SIZE, "{summary:?}");
}

#[test]
fn few_clusters_on_a_huge_disk() {
    let size = (390 << 30) + 512;
    let places = [0, 511 << 20, 512 << 20, 100 << 30, (389 << 30) + 70_000];
    let mut contents: Vec<_> = places.map(|place| (place, text(place, 200_000))).into();
    contents.push((size - 512, noise(1, 512)));
    let disk = RawDisk::new(size, &contents);
    let summary = write_image(&disk, ZLIB, 2);
    check(&disk);
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
    write(disk.source(), &output, ZLIB, two, &mut |done: u64| {
        told.push(done);
    })
    .unwrap();
    assert!(told.is_sorted(), "{told:?}");
    assert_eq!(told.last(), Some(&disk.map.data_bytes()));
}

#[test]
fn what_is_settled_stays() {
    let disk = mixed();
    for compression in [Compression::None, ZLIB, ZSTD] {
        let output = tempfile::tempfile().unwrap();
        let mut witness = Witness {
            image: &output,
            settled: None,
        };
        let two = NonZeroUsize::new(2).unwrap();
        write(disk.source(), &output, compression, two, &mut witness).unwrap();
        witness.check();
    }
}

#[test]
fn sizes_that_no_image_can_have_are_refused() {
    let output = tempfile::tempfile().unwrap();
    let holes = tempfile::tempfile().unwrap();
    let try_size = |size| {
        let map = AllocationMap::of_file(&holes, size).unwrap();
        let source = Disk {
            file: &holes,
            map: &map,
        };
        write(source, &output, ZLIB, NonZeroUsize::MIN, &mut |_: u64| {}).unwrap_err()
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
        let error = try_write(&disk, &disk.image(), ZLIB, threads).unwrap_err();
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
        let result = try_write(&disk, &image, compression, 2);
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

/// 10 MiB that take several writes.
fn large() -> RawDisk {
    RawDisk::new(
        600 << 20,
        &[(0, noise(1, 6 << 20)), (570 << 20, noise(2, 4 << 20))],
    )
}

#[test]
fn a_write_that_fails_anywhere_leaves_no_header() {
    let disk = large();
    write_image(&disk, Compression::None, 2);
    let good = File::open(disk.image()).unwrap();
    let header = Dump::read(&good).unwrap().header();
    let pointer = |at: u64| {
        let mut entry = [0; 8];
        good.read_exact_at(&mut entry, at).unwrap();
        u64::from_be_bytes(entry) & !(1 << 63)
    };
    let (l1, table) = (header.l1_table.bytes(), header.refcount_table.bytes());
    let places = [
        ("header", 0),
        ("L1 table", l1),
        ("L2 table", pointer(l1)),
        ("last L2 table", pointer(l1 + 8)),
        ("data", pointer(pointer(l1))),
        ("late data", pointer(pointer(l1 + 8) + 8 * 950)),
        ("refcount table", table),
        ("refcount block", pointer(table)),
    ];
    for (what, place) in places {
        assert!(place != 0 || what == "header", "{what}");
        for errno in [Errno::ENOSPC, Errno::EIO] {
            for fault in [
                Fault::At(place, errno),
                Fault::At(place + 100, errno),
                Fault::Short(place, errno),
                Fault::Short(place + 100, errno),
            ] {
                let file = File::create(disk.image()).unwrap();
                let output = Faulty { file: &file, fault };
                let error = write(
                    disk.source(),
                    &output,
                    Compression::None,
                    NonZeroUsize::MIN,
                    &mut |_: u64| {},
                )
                .unwrap_err();
                let WriteError::Write { source, .. } = error else {
                    panic!("{what}: {error}");
                };
                assert_eq!(source.kind(), io::Error::from(errno).kind(), "{what}");
                let is_header = what == "header" && matches!(fault, Fault::Short(100, _));
                assert_eq!(has_header(&disk.image()), is_header, "{what} {fault:?}");
            }
        }
    }
}

#[test]
fn short_writes_are_gone_on_with() {
    let disk = mixed();
    write_image(&disk, ZLIB, 1);
    let good = fs::read(disk.image()).unwrap();
    let file = File::create(disk.image()).unwrap();
    let output = Faulty {
        file: &file,
        fault: Fault::Crumbs(10_000),
    };
    write(
        disk.source(),
        &output,
        ZLIB,
        NonZeroUsize::MIN,
        &mut |_: u64| {},
    )
    .unwrap();
    assert!(fs::read(disk.image()).unwrap() == good);
}

#[test]
fn the_layout_of_a_small_image() {
    let disk = RawDisk::new(
        5 * CLUSTER_SIZE - 512,
        &[
            (0, noise(1, CLUSTER_LENGTH)),
            (2 * CLUSTER_SIZE, vec![0; CLUSTER_LENGTH]),
            (4 * CLUSTER_SIZE, noise(2, 512)),
        ],
    );
    write_image(&disk, Compression::None, 1);
    let image = File::open(disk.image()).unwrap();
    let text = Dump::read(&image).unwrap().text().unwrap();
    assert_eq!(
        text,
        "disk 327168 bytes\n\
         file 458752 bytes\n\
         compression type Zlib\n\
         L1 table at 0x30000, 1 entries\n\
         refcount table at 0x40000, 1 clusters\n\
         0x0 stored at 0x10000\n\
         0x40000 stored at 0x20000\n\
         2 stored, 0 compressed\n"
    );
}

type Expected = fn(&DumpError) -> bool;

#[test]
fn a_broken_image_is_not_dumped() {
    let disk = RawDisk::new(CLUSTER_SIZE, &[(0, noise(1, CLUSTER_LENGTH))]);
    write_image(&disk, Compression::None, 1);
    let l1 = 0x20000;
    let l2 = 0x40000;
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

fn random_disk(parts: &[(Part, usize)]) -> RawDisk {
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
    RawDisk::new(size, &contents)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn any_disk_reads_back_and_threads_make_no_difference(parts in parts()) {
        let disk = random_disk(&parts);
        write_image(&disk, ZLIB, 1);
        check(&disk);
        let image = fs::read(disk.image()).unwrap();
        let raw = fs::read(disk.raw()).unwrap();
        prop_assert!(read_back(&File::open(disk.image()).unwrap()) == raw);
        for threads in [2, 5] {
            write_image(&disk, ZLIB, threads);
            prop_assert!(fs::read(disk.image()).unwrap() == image, "{threads} threads");
        }
        write_image(&disk, ZSTD, 3);
        check(&disk);
        prop_assert!(read_back(&File::open(disk.image()).unwrap()) == raw);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn no_damage_makes_the_dump_panic(table in 0_usize..3, offset in 0_u64..128, value: u64) {
        static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
            let disk = RawDisk::new(CLUSTER_SIZE, &[(0, vec![1; 512])]);
            write_image(&disk, Compression::None, 1);
            fs::read(disk.image()).unwrap()
        });
        let image = tempfile::tempfile().unwrap();
        image.write_all_at(&GOOD, 0).unwrap();
        let place = [0, 0x10000, 0x30000][table] + offset;
        image.write_all_at(&value.to_be_bytes(), place).unwrap();
        Dump::read(&image).and_then(|dump| dump.text()).ok();
    }
}
