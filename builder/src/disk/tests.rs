use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use super::*;
use crate::image::{Input, SourceImage};
use crate::progress::Narrator;

const MIB: u64 = 1024 * 1024;

fn disk() -> AttachedDisk {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let file = File::create(&path).unwrap();
    file.set_len(8 * MIB).unwrap();
    file.write_all_at(b"here", 3 * MIB).unwrap();
    let source = SourceImage::open(&Input::of(&path), dir.path(), Narrator::Silent).unwrap();
    let work = WorkDisk::copy_of(&source, dir.path(), Narrator::Silent).unwrap();
    AttachedDisk::new(work).unwrap()
}

/// The loop devices on a disk, known by the inode that the kernel shows behind the name.
pub(crate) fn loops_on(disk: &File) -> Vec<String> {
    let link = fs::read_link(format!("/proc/self/fd/{}", disk.as_fd().as_raw_fd())).unwrap();
    let name = link.to_str().unwrap().trim_end_matches(" (deleted)");
    fs::read_dir("/sys/block")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("loop/backing_file"))
        .filter_map(|path| fs::read_to_string(path).ok())
        .filter(|backing| backing.trim_end().trim_end_matches(" (deleted)") == name)
        .collect()
}

fn range() -> ByteRange {
    ByteRange::new(3 * MIB, MIB).unwrap()
}

#[test]
fn privileged_a_range_is_a_device_of_its_own() {
    let disk = disk();
    let device = disk.attach(range(), Access::ReadWrite).unwrap();
    assert_eq!(loops_on(disk.file()).len(), 1);
    let node = File::options()
        .read(true)
        .write(true)
        .open(device.path())
        .unwrap();
    let end = io::Seek::seek(&mut &node, io::SeekFrom::End(0)).unwrap();
    assert_eq!(end, MIB);
    let mut bytes = [0; 4];
    node.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"here");
    node.write_all_at(b"gone", MIB - 4).unwrap();
    node.sync_all().unwrap();
    drop(node);
    device.detach().unwrap();
    disk.file().read_exact_at(&mut bytes, 4 * MIB - 4).unwrap();
    assert_eq!(&bytes, b"gone");
    assert!(loops_on(disk.file()).is_empty());
}

#[test]
fn privileged_what_nobody_flushed_is_not_lost() {
    let disk = disk();
    let device = disk.attach(range(), Access::ReadWrite).unwrap();
    let node = File::options().write(true).open(device.path()).unwrap();
    node.write_all_at(b"late", 0).unwrap();
    drop(node);
    device.detach().unwrap();
    let mut bytes = [0; 4];
    disk.file().read_exact_at(&mut bytes, 3 * MIB).unwrap();
    assert_eq!(&bytes, b"late");
}

#[test]
fn privileged_read_only_means_so() {
    let disk = disk();
    let device = disk.attach(range(), Access::ReadOnly).unwrap();
    // Depending on its version, the kernel refuses to open the device or to write to it.
    let written = File::options()
        .write(true)
        .open(device.path())
        .and_then(|node| node.write_all_at(b"x", 0));
    assert!(written.is_err());
    device.detach().unwrap();
}

#[test]
fn privileged_what_is_not_on_the_disk_is_not_attached() {
    let disk = disk();
    for range in [
        ByteRange::new(7 * MIB, 2 * MIB),
        ByteRange::new(0, 0),
        ByteRange::new(u64::MAX - 1, 1),
    ] {
        let error = disk.attach(range.unwrap(), Access::ReadOnly).unwrap_err();
        assert!(matches!(error, DiskError::OutOfBounds { .. }), "{error}");
    }
}

#[test]
fn privileged_a_block_device_is_a_source_too() {
    let disk = disk();
    let device = disk.attach(range(), Access::ReadOnly).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let input = Input::of(device.path());
    let source = SourceImage::open(&input, dir.path(), Narrator::Silent).unwrap();
    assert_eq!(source.size(), MIB);
    let work = WorkDisk::copy_of(&source, dir.path(), Narrator::Silent).unwrap();
    let mut bytes = [0; 4];
    work.file().read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"here");
    assert!(source.is_same_file(device.path()).unwrap());
    drop(source);
    device.detach().unwrap();
}

#[test]
fn privileged_a_disk_in_use_is_not_given_back() {
    let disk = disk();
    let device = disk.attach(range(), Access::ReadOnly).unwrap();
    assert!(matches!(disk.detach(), Err(DiskError::StillAttached)));
    device.detach().unwrap();
}

#[test]
fn privileged_many_may_attach_at_once() {
    let disks: Vec<_> = (0..4).map(|_| disk()).collect();
    thread::scope(|scope| {
        for disk in &disks {
            scope.spawn(|| {
                for _ in 0..10 {
                    let device = disk.attach(range(), Access::ReadWrite).unwrap();
                    device.detach().unwrap();
                }
            });
        }
    });
    for disk in &disks {
        assert!(loops_on(disk.file()).is_empty());
    }
}

#[test]
fn privileged_a_panic_leaves_no_device() {
    let disk = disk();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let _device = disk.attach(range(), Access::ReadWrite).unwrap();
        panic!("on purpose");
    }));
    assert!(outcome.is_err());
    assert!(loops_on(disk.file()).is_empty());
}

#[test]
fn privileged_a_device_held_by_others_is_reported_busy() {
    let disk = disk();
    let device = disk.attach(range(), Access::ReadWrite).unwrap();
    let other = File::open(device.path()).unwrap();
    assert!(matches!(device.detach(), Err(DiskError::Busy { .. })));
    drop(other);
    assert!(loops_on(disk.file()).is_empty());
}
