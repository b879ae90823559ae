//! A disk: partition tables, superblocks, boot code, GRUB 2's core image, ESP, kernel. What a GPT is
//! summed up by is made right, for otherwise hardly any would be read.
#![no_main]

use std::io::Cursor;

use byoi_builder::layout::{Layout, findings};
use byoi_builder::loader::{Loader, bzimage};
use byoi_fuzz::sealed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|disk: &[u8]| {
    let len = disk.len().try_into().expect("it is in memory");
    bzimage::examine(disk, len).expect("memory can be read");
    let mut disk = Cursor::new(sealed(disk));
    let layout = Layout::read(&mut disk).expect("memory can be read");
    for accept_gpt in [false, true] {
        findings::findings(&layout, accept_gpt);
    }
    findings::partial_volumes(&layout);
    Loader::read(&mut disk, &layout).expect("memory can be read");
});
