//! Every stream is inflated again, by readers that were not made here too.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use proptest::prelude::*;

use super::{Census, Deflater, Level, MAX_INPUT};
use crate::qcow2::testing::{inflate, noise, text};

const LEVELS: [Level; 3] = [Level::Fast, Level::Default, Level::Best];

/// What zlib-rs makes of a stream, taken 4 KiB at a time with a window of 4 KiB.
fn inflate_by_pieces(stream: &[u8]) -> Vec<u8> {
    let mut reader = Decompress::new_with_window_bits(false, 12);
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let taken = usize::try_from(reader.total_in()).unwrap();
        let input = &stream[taken..stream.len().min(taken + 4096)];
        let before = bytes.len();
        let status = reader
            .decompress(input, &mut piece, FlushDecompress::None)
            .unwrap();
        let given = usize::try_from(reader.total_out()).unwrap() - before;
        bytes.extend_from_slice(&piece[..given]);
        if status == Status::StreamEnd {
            assert_eq!(usize::try_from(reader.total_in()).unwrap(), stream.len());
            return bytes;
        }
        assert!(given > 0 || !input.is_empty(), "the stream has no end");
    }
}

/// The length of the stream for `data`.
fn round_trip(level: Level, data: &[u8]) -> usize {
    let mut deflater = Deflater::new(level);
    let stream = deflater.deflate(data, MAX_INPUT + 64).unwrap().to_vec();
    let inflated = inflate(&stream);
    assert!(inflated.bytes == data, "{level:?}, {} bytes", data.len());
    assert!(inflated.max_distance <= 4096, "{}", inflated.max_distance);
    assert!(inflate_by_pieces(&stream) == data);
    assert!(miniz_oxide::inflate::decompress_to_vec(&stream).unwrap() == data);
    let length = stream.len();
    // Noise may be given up.
    let noise = Census::of(data).is_noise_throughout();
    assert!(noise || deflater.deflate(data, length + 8).is_some());
    assert!(deflater.deflate(data, length - 1).is_none());
    length
}

#[test]
fn every_length() {
    let lengths = [
        0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 257, 258, 259, 4095, 4096, 4097, 8192, 65_534, 65_535,
        65_536,
    ];
    for level in LEVELS {
        for length in lengths {
            round_trip(level, &noise(1, length));
            round_trip(level, &text(1, length));
            round_trip(level, &vec![0; length]);
            round_trip(level, &vec![0xff; length]);
        }
    }
}

#[test]
fn repeats_at_every_distance() {
    for level in LEVELS {
        for period in [1, 2, 3, 4, 5, 7, 16, 258, 4094, 4095, 4096, 4097, 5000] {
            let mut data = noise(period, period.try_into().unwrap())
                .repeat(70_000 / usize::try_from(period).unwrap() + 1);
            data.truncate(MAX_INPUT);
            let length = round_trip(level, &data);
            assert_eq!(
                length < 10_000,
                period <= 4096,
                "{level:?}, {period}: {length}"
            );
        }
    }
}

#[test]
fn noise_is_given_up_where_it_does_not_begin_to_shrink() {
    let limit = MAX_INPUT - 512;
    let noise_only = noise(1, MAX_INPUT);
    // Every tenth byte of the pieces is within a copy.
    let piece = |number| [noise(number, 900), noise(1, 100)].concat();
    let mut with_copies: Vec<u8> = (0..66).flat_map(piece).collect();
    with_copies.truncate(MAX_INPUT);
    for level in LEVELS {
        let mut deflater = Deflater::new(level);
        assert!(deflater.deflate(&noise_only, limit).is_none(), "{level:?}");
        assert!(Census::of(&with_copies).is_noise_throughout());
        let length = deflater.deflate(&with_copies, limit).unwrap().len();
        assert!(length < MAX_INPUT * 93 / 100, "{level:?}: {length}");
        // Nothing but the stored form is left.
        let length = deflater.deflate(&noise_only, usize::MAX).unwrap().len();
        assert!(length > MAX_INPUT, "{level:?}: {length}");
    }
}

#[test]
fn more_than_fits_is_refused() {
    let mut deflater = Deflater::new(Level::Default);
    assert!(
        deflater
            .deflate(&vec![0; MAX_INPUT + 1], usize::MAX)
            .is_none()
    );
}

/// What people wrote: sources of this program, one after another.
fn sources() -> Vec<u8> {
    let sources = [
        include_str!("block.rs"),
        include_str!("header.rs"),
        include_str!("huffman.rs"),
        include_str!("optimal.rs"),
        include_str!("symbols.rs"),
        include_str!("tests.rs"),
        include_str!("../cli.rs"),
        include_str!("../qcow2/tables.rs"),
    ];
    let mut data = sources.concat().into_bytes();
    data.truncate(MAX_INPUT);
    data
}

#[test]
fn harder_is_smaller() {
    let data = sources();
    let [fast, default, best] = LEVELS.map(|level| round_trip(level, &data));
    let mut zlib = Compress::new_with_window_bits(Compression::new(6), false, 12);
    let mut out = vec![0; MAX_INPUT];
    zlib.compress(&data, &mut out, FlushCompress::Finish)
        .unwrap();
    let zlib = usize::try_from(zlib.total_out()).unwrap();
    assert!(
        best < default.min(zlib) && default < fast && default * 100 <= zlib * 101,
        "{best} {default} {fast}, zlib {zlib}"
    );
}

/// Stretches of several kinds one after another.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let piece = (0_u8..5, any::<u64>(), 1_usize..9000, any::<u8>()).prop_map(
        |(kind, seed, length, byte)| match kind {
            0 => noise(seed % 1000, length),
            1 => text(seed % 1000, length),
            2 => vec![byte; length],
            3 => noise(seed % 1000, 1 + length % 300).repeat(8),
            // Few symbols, so that codes are short and copies many.
            _ => noise(seed % 1000, length)
                .iter()
                .map(|byte| byte & 3)
                .collect(),
        },
    );
    prop::collection::vec(piece, 0..12).prop_map(|pieces| {
        let mut data = pieces.concat();
        data.truncate(MAX_INPUT);
        data
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn anything_comes_back(data in data()) {
        for level in LEVELS {
            round_trip(level, &data);
        }
    }
}
