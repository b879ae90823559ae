//! Whole images, judged by qemu-img and by the reader of [`crate::image`].

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use proptest::prelude::*;

use super::write;
use crate::deflate::Level;
use crate::encode::testing::{Fault, Faulty, RawDisk, Witness, mixed};
use crate::encode::{Disk, Summary, WriteError};
use crate::image::{Input, SourceImage};
use crate::progress::Narrator;
use crate::qcow2::testing::{noise, qemu_img, text};
use crate::sparsify::{AllocationMap, CLUSTER_SIZE};

fn write_image(disk: &RawDisk, level: Level, threads: usize) -> Summary {
    let output = File::create(disk.image()).unwrap();
    let threads = NonZeroUsize::new(threads).unwrap();
    let summary = write(disk.source(), &output, level, threads, &mut |_: u64| {}).unwrap();
    let image = fs::read(disk.image()).unwrap();
    assert_eq!(summary.file_size, u64::try_from(image.len()).unwrap());
    summary
}

/// QEMU and our own reader find no error and the same content.
fn check(disk: &RawDisk) {
    qemu_img(&["check", "-q", "-f", "vmdk"], &[&disk.image()]);
    disk.compare("vmdk", &disk.image());
    let folder = disk.folder.path();
    let input = Input::of(disk.image());
    let source = SourceImage::open_any(&input, folder, Narrator::Silent).unwrap();
    assert_eq!(source.format().name(), "vmdk");
    let (copy, size) = source
        .raw_disk(folder, Narrator::Silent)
        .unwrap()
        .into_parts();
    assert_eq!(size, disk.map.size().next_multiple_of(512));
    for run in disk.map.runs() {
        let length = usize::try_from(disk.map.bytes_of(*run)).unwrap();
        let content = |file: &File| {
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, run.first().start().bytes())
                .unwrap();
            bytes
        };
        assert!(content(&disk.file) == content(&copy), "{run:?}");
    }
}

#[test]
fn qemu_img_and_we_agree_at_every_size() {
    let c = CLUSTER_SIZE;
    for size in [512, c - 512, c, c + 512, 9 * c + 512] {
        let length = usize::try_from(size).unwrap();
        for content in [vec![0; length], noise(1, length), text(1, length)] {
            let disk = RawDisk::new(size, &[(0, content)]);
            let summary = write_image(&disk, Level::Default, 2);
            assert_eq!(summary.virtual_size, size);
            let clusters = size.div_ceil(c);
            assert_eq!(summary.data_clusters + summary.zero_clusters, clusters);
            check(&disk);
        }
    }
}

#[test]
fn qemu_img_and_we_agree_at_every_level() {
    let disk = mixed();
    for level in [Level::Fast, Level::Default, Level::Best] {
        let summary = write_image(&disk, level, 3);
        assert_eq!(summary.zero_clusters, 5);
        check(&disk);
    }
    disk.convert("vmdk", &disk.image());
}

#[test]
fn what_is_settled_stays() {
    let disk = mixed();
    let output = tempfile::tempfile().unwrap();
    let mut witness = Witness {
        image: &output,
        settled: None,
    };
    let two = NonZeroUsize::new(2).unwrap();
    write(disk.source(), &output, Level::Fast, two, &mut witness).unwrap();
    witness.check();
}

#[test]
fn few_clusters_on_a_huge_disk() {
    let size = 400 << 30;
    let places = [0, 31 << 20, 32 << 20, 100 << 30, size - 70_000];
    let contents = places.map(|place| (place, text(place, 70_000)));
    let disk = RawDisk::new(size, &contents);
    let summary = write_image(&disk, Level::Default, 2);
    // The directory takes 4 bytes for each 32 MiB.
    assert!(summary.file_size < 500_000, "{summary:?}");
    check(&disk);
}

#[test]
fn the_layout_of_a_small_image() {
    let disk = RawDisk::new(
        (32 << 20) + 2 * CLUSTER_SIZE,
        &[(CLUSTER_SIZE, text(1, 1000)), (32 << 20, text(2, 1000))],
    );
    write_image(&disk, Level::Default, 1);
    let image = fs::read(disk.image()).unwrap();
    let number = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap());
    let marker = |sector: usize| {
        (
            number(sector * 512),
            number(sector * 512 + 8),
            number(sector * 512 + 12),
        )
    };
    // As the first of two grains is: its place, its length, a zlib stream.
    let length = number(128 * 512 + 8);
    assert_eq!((number(128 * 512), image[128 * 512 + 12]), (128, 0x78));
    let table = 128 + usize::try_from(length + 12).unwrap().div_ceil(512);
    assert_eq!(marker(table), (4, 0, 1));
    assert_eq!(
        (number((table + 1) * 512), number((table + 1) * 512 + 4)),
        (0, 128)
    );
    let end = image.len() / 512;
    assert_eq!(marker(end - 1), (0, 0, 0));
    assert_eq!(marker(end - 3), (1, 0, 3));
    assert_eq!(marker(end - 5), (1, 0, 2));
    let directory = (end - 4) * 512;
    assert_eq!(number(directory), u32::try_from(table + 1).unwrap());
    // The footer is the header, but for the place of the directory.
    let (mut header, footer) = (
        image[..512].to_vec(),
        &image[(end - 2) * 512..(end - 1) * 512],
    );
    assert_eq!(header[56..64], [0xff; 8]);
    header[56..64].copy_from_slice(&u64::try_from(end - 4).unwrap().to_le_bytes());
    assert_eq!(header, footer);
    let text = String::from_utf8_lossy(&image[512..128 * 512]);
    for line in [
        "createType=\"streamOptimized\"",
        "RW 65792 SPARSE",
        "lsilogic",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn sizes_that_no_image_can_have_are_refused() {
    let holes = tempfile::tempfile().unwrap();
    for size in [0, (64 << 40) + 512] {
        let map = AllocationMap::of_file(&holes, size).unwrap();
        let disk = Disk {
            file: &holes,
            map: &map,
        };
        let output = tempfile::tempfile().unwrap();
        let error = write(
            disk,
            &output,
            Level::Fast,
            NonZeroUsize::MIN,
            &mut |_: u64| {},
        )
        .unwrap_err();
        assert!(matches!(error, WriteError::Size { .. }), "{error}");
    }
}

#[test]
fn a_write_that_fails_anywhere_leaves_no_footer() {
    let disk = RawDisk::new(
        64 << 20,
        &[(0, noise(1, 6 << 20)), (40 << 20, text(2, 1 << 20))],
    );
    write_image(&disk, Level::Fast, 2);
    let image = fs::read(disk.image()).unwrap();
    let end = u64::try_from(image.len()).unwrap();
    let number = |at: u64| {
        let at = usize::try_from(at).unwrap();
        u64::from(u32::from_le_bytes(image[at..at + 4].try_into().unwrap()))
    };
    let directory = number(end - 1024 + 56) * 512;
    let table = number(directory) * 512;
    for (what, place) in [
        ("header", 0),
        ("descriptor", 512),
        ("first grain", number(table) * 512),
        ("later grain", number(table + 4 * 90) * 512),
        ("grain table", table),
        ("last grain table", number(directory + 4) * 512),
        ("directory", directory),
        ("footer", end - 1024),
        ("end of the stream", end - 512),
    ] {
        assert!(place != 0 || what == "header", "{what}");
        for fault in [
            Fault::At(place, Errno::EIO),
            Fault::Short(place + 10, Errno::ENOSPC),
        ] {
            let file = File::create(disk.image()).unwrap();
            let output = Faulty { file: &file, fault };
            let one = NonZeroUsize::MIN;
            let error =
                write(disk.source(), &output, Level::Fast, one, &mut |_: u64| {}).unwrap_err();
            let WriteError::Write { source, .. } = error else {
                panic!("{what}: {error}");
            };
            let (Fault::At(_, errno) | Fault::Short(_, errno)) = fault else {
                unreachable!();
            };
            assert_eq!(source.raw_os_error(), Some(errno as i32), "{what}");
            let input = Input::of(disk.image());
            let opened = SourceImage::open(&input, disk.folder.path(), Narrator::Silent);
            let is_image = opened.is_ok_and(|image| image.format().name() == "vmdk");
            assert!(!is_image, "{what} {fault:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(6) })]

    #[test]
    fn any_disk_reads_back_and_threads_make_no_difference(
        parts in prop::collection::vec((0_u64..700, 1_usize..300, any::<bool>()), 1..8),
    ) {
        let mut size = 0;
        let mut contents = Vec::new();
        for &(hole, sectors, is_text) in &parts {
            size += hole * CLUSTER_SIZE;
            let length = sectors * 512;
            contents.push((size, if is_text { text(size, length) } else { noise(size, length) }));
            size += u64::try_from(length).unwrap();
        }
        let disk = RawDisk::new(size, &contents);
        write_image(&disk, Level::Fast, 1);
        check(&disk);
        let image = fs::read(disk.image()).unwrap();
        write_image(&disk, Level::Fast, 4);
        prop_assert!(fs::read(disk.image()).unwrap() == image);
    }
}
