//! What is written to a disk outside of the kernel's file systems: the active flag, a DOS table in
//! place of a GPT, a loader on the ESP. Each is done, or refused, and leads to a disk with the same
//! partitions.
#![no_main]

use std::fs::File;
use std::io::{Cursor, Write};

use byoi_builder::layout::{Layout, Slot};
use byoi_builder::loader::Loader;
use byoi_builder::repair::{esp, table};
use byoi_fuzz::sealed;
use libfuzzer_sys::fuzz_target;

/// Where disks are written, in memory.
const WORKDIR: &str = "/dev/shm";

fuzz_target!(|disk: &[u8]| {
    let disk = sealed(disk);
    let layout = Layout::read(&mut Cursor::new(&disk)).expect("memory can be read");

    if let Ok(Some(_)) = table::activate(&file(&disk), &layout) {
        let active = |layout: &Layout| {
            let partitions = layout.partitions.iter();
            partitions
                .filter(|partition| partition.active && partition.slot != Slot::Logical)
                .count()
        };
        let file = file(&disk);
        table::activate(&file, &layout).expect("it was done before");
        let after = Layout::of_file(&file, layout.disk_size).expect("memory can be read");
        assert_eq!(active(&after), 1);
    }
    let converted = file(&disk);
    if let Ok(Some(made)) = table::convert(&converted, &layout) {
        let after = Layout::of_file(&converted, layout.disk_size).expect("memory can be read");
        for (number, former) in &made.former {
            let range = |layout: &Layout, number| layout.partition(number).map(|part| part.range);
            assert_eq!(range(&after, *number), range(&layout, former.number));
        }
    }
    let copied = file(&disk);
    if let Ok(Some(_)) = esp::copy_loader(&copied, &layout) {
        let loader = Loader::read(&mut &copied, &layout).expect("memory can be read");
        assert!(!loader.efi.is_empty());
    }
    assert_eq!(
        copied.metadata().expect("it is open").len(),
        layout.disk_size
    );
});

fn file(disk: &[u8]) -> File {
    let mut file = tempfile::tempfile_in(WORKDIR).expect("there is room");
    file.write_all(disk).expect("there is room");
    file
}
