//! Whatever is compressed at any level comes back, with no copy from further back than 4 KiB.
#![no_main]

use byoi_builder::deflate::{Deflater, Level, MAX_INPUT};
use flate2::{Decompress, FlushDecompress, Status};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let data = &data[..data.len().min(MAX_INPUT)];
    for level in [Level::Fast, Level::Default, Level::Best] {
        let mut deflater = Deflater::new(level);
        let stream = deflater
            .deflate(data, MAX_INPUT + 64)
            .expect("a stored block has room")
            .to_vec();
        // The window is full after 4 KiB and the reader gives 1 KiB at a time, so that a copy
        // from further back finds nothing.
        let mut reader = Decompress::new_with_window_bits(false, 12);
        let mut bytes = Vec::with_capacity(data.len());
        let mut piece = [0; 1024];
        loop {
            let (taken, given) = (reader.total_in() as usize, reader.total_out());
            let status = reader
                .decompress(&stream[taken..], &mut piece, FlushDecompress::None)
                .expect("what was written can be read");
            let count = (reader.total_out() - given) as usize;
            bytes.extend_from_slice(&piece[..count]);
            if status == Status::StreamEnd {
                break;
            }
            assert!(count > 0, "the stream has no end");
        }
        assert!(bytes == data);
    }
});
