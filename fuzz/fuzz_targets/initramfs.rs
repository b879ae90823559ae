//! An initramfs: segments, compression, cpio.
#![no_main]

use byoi_agent::initramfs::{Initramfs, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|image: &[u8]| {
    let limits = Limits {
        unpacked: 16 << 20,
        kept: 1 << 20,
        ..Limits::default()
    };
    if let Ok(read) = Initramfs::read(image, &|path| path.starts_with("etc"), &limits) {
        let kept = read.iter().filter_map(|(_, entry)| entry.content());
        assert!(kept.map(<[u8]>::len).sum::<usize>() <= 1 << 20);
    }
});
