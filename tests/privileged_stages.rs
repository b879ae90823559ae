//! The writer against the disk that it was given, by QEMU's own comparison.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;

use byoi_builder::deflate::Level;
use byoi_builder::disk::AttachedDisk;
use byoi_builder::encode::Disk;
use byoi_builder::image::{Input, SourceImage, WorkDisk};
use byoi_builder::progress::Narrator;
use byoi_builder::qcow2::{Compression, write};
use byoi_builder::sparsify::AllocationMap;
use byoi_tests::{fixture_disk, run, text};
use tempfile::TempDir;

#[test]
fn privileged_the_qcow2_equals_the_working_disk() {
    let dir = TempDir::new().unwrap();
    let input = Input::of(fixture_disk("bookworm"));
    let source = SourceImage::open(&input, dir.path(), Narrator::Silent).unwrap();
    let disk = WorkDisk::copy_of(&source, dir.path(), Narrator::Silent).unwrap();
    let disk = AttachedDisk::new(disk).unwrap();
    let layout = disk.layout().unwrap();
    let sealed = disk.seal(&layout).unwrap();
    let map = AllocationMap::of_file(sealed.file(), sealed.size()).unwrap();
    let image = dir.path().join("disk.qcow2");
    let output = File::create_new(&image).unwrap();
    let disk = Disk {
        file: sealed.file(),
        map: &map,
    };
    let compression = Compression::Zlib {
        level: Level::Default,
    };
    let threads = NonZeroUsize::new(2).unwrap();
    let summary = write(disk, &output, compression, threads, &mut |_| {}).unwrap();
    assert_eq!(summary.virtual_size, sealed.size());
    assert!(summary.compressed_clusters > 0);

    let working = format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        sealed.file().as_raw_fd()
    );
    let _ = run("qemu-img", &["check", text(&image)]).expect(0);
    let _ = run(
        "qemu-img",
        &[
            "compare",
            "-f",
            "raw",
            "-F",
            "qcow2",
            &working,
            text(&image),
        ],
    )
    .expect(0);
}
