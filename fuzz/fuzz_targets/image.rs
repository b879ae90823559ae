//! An image of any format: what it says is refused, or becomes a disk of the size that it says.
#![no_main]

use std::fs;
use std::path::Path;

use byoi_builder::image::{Input, SourceImage};
use byoi_builder::progress::Narrator;
use libfuzzer_sys::fuzz_target;

/// Where disks are written out, in memory.
const WORKDIR: &str = "/dev/shm";

fuzz_target!(|image: &[u8]| {
    let dir = tempfile::tempdir_in(WORKDIR).expect("there is room");
    let path = dir.path().join("image");
    fs::write(&path, image).expect("there is room");
    let input = Input::of(&path);
    if let Ok(source) = SourceImage::open_any(&input, dir.path(), Narrator::Silent) {
        let size = source.size();
        if let Ok(disk) = source.raw_disk(Path::new(WORKDIR), Narrator::Silent) {
            assert_eq!(disk.size(), size);
        }
    }
});
