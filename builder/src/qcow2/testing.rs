//! Disk contents and a reader of its own for the tests: it inflates step by step, so that it sees
//! how far back each copy reaches.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use byoi_agent::cmd::Cmd;

use flate2::read::ZlibDecoder;
use ruzstd::decoding::StreamingDecoder;

use super::dump::Dump;
use super::header::CompressionType;
use super::tables::Mapping;
use crate::sparsify::CLUSTER_LENGTH;

/// `length` bytes that do not compress.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..length)
        .map(|_| random.next().to_be_bytes()[0])
        .collect()
}

/// `length` bytes that compress as text does.
pub fn text(seed: u64, length: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "boot ",
        "root ",
        "kernel ",
        "/dev/vda1 ",
        "UUID=",
        "ext4 ",
        "defaults\n",
        "0 ",
        "console=",
        "ttyS0 ",
        "network ",
        "dhcp\n",
        "# ",
        "the ",
        "interface ",
        "address ",
    ];
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(length + 16);
    while bytes.len() < length {
        let [word, digits, number, ..] = random.next().to_be_bytes();
        bytes.extend_from_slice(WORDS[usize::from(word) % WORDS.len()].as_bytes());
        if digits < 64 {
            bytes.extend_from_slice(number.to_string().as_bytes());
        }
    }
    bytes.truncate(length);
    bytes
}

/// The generator xorshift64*.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// The content of the guest's disk in a small image.
pub fn read_back(image: &File) -> Vec<u8> {
    let dump = Dump::read(image).unwrap();
    let size = usize::try_from(dump.header().size).unwrap();
    let mut disk = vec![0; size.next_multiple_of(CLUSTER_LENGTH)];
    for cluster in dump.clusters() {
        let (index, mapping) = cluster.unwrap();
        let at = usize::try_from(index.start().bytes()).unwrap();
        let content = match mapping {
            Mapping::Unallocated => continue,
            Mapping::Stored(place) => {
                let mut bytes = vec![0; CLUSTER_LENGTH];
                image
                    .read_exact_at(&mut bytes, place.start().bytes())
                    .unwrap();
                bytes
            }
            Mapping::Compressed {
                start,
                more_sectors,
            } => {
                let into_sector = usize::try_from(start.bytes() % 512).unwrap();
                let mut bytes = vec![0; (usize::from(more_sectors) + 1) * 512 - into_sector];
                image.read_exact_at(&mut bytes, start.bytes()).unwrap();
                match dump.header().compression_type {
                    CompressionType::Zlib => {
                        let inflated = inflate(&bytes);
                        assert!(inflated.max_distance <= 4096, "{}", inflated.max_distance);
                        inflated.bytes
                    }
                    CompressionType::Zstd => unpack_zstd(&bytes),
                }
            }
        };
        disk[at..at + CLUSTER_LENGTH].copy_from_slice(&content);
    }
    assert!(
        disk[size..].iter().all(|&byte| byte == 0),
        "data after the end of the disk"
    );
    disk.truncate(size);
    disk
}

/// What the zlib stream `data` holds, its checksum verified.
pub fn unpack_zlib(data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ZlibDecoder::new(data).read_to_end(&mut bytes).unwrap();
    bytes
}

/// What the first frame in `data` holds.
pub fn unpack_zstd(mut data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    StreamingDecoder::new(&mut data)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

/// What deflated data holds.
pub struct Inflated {
    pub bytes: Vec<u8>,
    /// The furthest that a copy reaches back.
    pub max_distance: usize,
}

/// Inflates raw deflate data (RFC 1951); panics if it is broken.
pub fn inflate(data: &[u8]) -> Inflated {
    let mut bits = Bits { data, at: 0 };
    let mut out = Inflated {
        bytes: Vec::new(),
        max_distance: 0,
    };
    loop {
        let last = bits.take(1) == 1;
        match bits.take(2) {
            0 => stored(&mut bits, &mut out),
            1 => {
                let lengths: Vec<u8> = (0..288)
                    .map(|symbol| match symbol {
                        144..256 => 9,
                        256..280 => 7,
                        _ => 8,
                    })
                    .collect();
                block(
                    &mut bits,
                    &mut out,
                    &Code::new(&lengths),
                    &Code::new(&[5; 30]),
                );
            }
            2 => {
                let (literals, distances) = dynamic(&mut bits);
                block(&mut bits, &mut out, &literals, &distances);
            }
            _ => panic!("reserved block type"),
        }
        if last {
            return out;
        }
    }
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> usize {
        (0..count).fold(0, |value, bit| {
            let set = self.data[self.at / 8] >> (self.at % 8) & 1;
            self.at += 1;
            value | usize::from(set) << bit
        })
    }
}

/// A canonical Huffman code.
struct Code {
    /// How many codes there are of each length.
    counts: [usize; 16],
    /// The symbols in the order of their codes.
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; 16];
        let mut symbols = Vec::new();
        for (length, count) in counts.iter_mut().enumerate().skip(1) {
            for (symbol, &of) in lengths.iter().enumerate() {
                if usize::from(of) == length {
                    *count += 1;
                    symbols.push(symbol);
                }
            }
        }
        Self { counts, symbols }
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> usize {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.take(1);
            if code < first + count {
                return self.symbols[index + code - first];
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        panic!("no such code");
    }
}

fn stored(bits: &mut Bits<'_>, out: &mut Inflated) {
    bits.at = bits.at.next_multiple_of(8);
    let length = bits.take(16);
    assert_eq!(bits.take(16), length ^ 0xffff);
    let start = bits.at / 8;
    out.bytes
        .extend_from_slice(&bits.data[start..start + length]);
    bits.at += length * 8;
}

fn dynamic(bits: &mut Bits<'_>) -> (Code, Code) {
    const ORDER: [usize; 19] = [
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
    ];
    let literals = bits.take(5) + 257;
    let distances = bits.take(5) + 1;
    let count = bits.take(4) + 4;
    let mut lengths = [0; 19];
    for &symbol in &ORDER[..count] {
        lengths[symbol] = u8::try_from(bits.take(3)).unwrap();
    }
    let code = Code::new(&lengths);
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (value, times) = match code.symbol(bits) {
            16 => (*lengths.last().unwrap(), 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            length => (u8::try_from(length).unwrap(), 1),
        };
        lengths.resize(lengths.len() + times, value);
    }
    (
        Code::new(&lengths[..literals]),
        Code::new(&lengths[literals..]),
    )
}

fn block(bits: &mut Bits<'_>, out: &mut Inflated, literals: &Code, distances: &Code) {
    loop {
        match literals.symbol(bits) {
            256 => return,
            literal @ 0..256 => out.bytes.push(u8::try_from(literal).unwrap()),
            285 => copy(bits, out, 258, distances),
            symbol => {
                let symbol = symbol - 257;
                let extra = (symbol / 4).saturating_sub(1);
                let base = if symbol < 8 {
                    symbol
                } else {
                    (4 + symbol % 4) << extra
                };
                let length = 3 + base + bits.take(extra);
                copy(bits, out, length, distances);
            }
        }
    }
}

fn copy(bits: &mut Bits<'_>, out: &mut Inflated, length: usize, distances: &Code) {
    let symbol = distances.symbol(bits);
    let extra = (symbol / 2).saturating_sub(1);
    let base = if symbol < 4 {
        symbol
    } else {
        (2 + symbol % 2) << extra
    };
    let distance = 1 + base + bits.take(extra);
    out.max_distance = out.max_distance.max(distance);
    for _ in 0..length {
        let byte = out.bytes[out.bytes.len() - distance];
        out.bytes.push(byte);
    }
}

/// Runs qemu-img with a few options on files; panics with what it says unless it succeeds.
pub fn qemu_img(options: &[&str], files: &[&Path]) {
    Cmd::new("qemu-img")
        .args(options)
        .args(files)
        .run()
        .unwrap();
}
