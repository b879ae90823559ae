//! One cluster of the guest's disk as it will be in the image.

use std::io;

use simd_adler32::adler32;
use zstd::bulk::Compressor;

use crate::deflate::{Deflater, Level};
use crate::sparsify::{CLUSTER_LENGTH, is_zero};

/// The most bytes that a compressed cluster may have: one that saves less than a sector is not
/// worth inflating.
const WORTHWHILE: usize = CLUSTER_LENGTH - 512;

/// What begins a zlib stream (RFC 1950, section 2.2): DEFLATE, the default level, no dictionary. It
/// states the window of 32 KiB that every reader expects, although 4 KiB are enough.
const ZLIB_HEADER: [u8; 2] = [0x78, 0x9c];

/// How clusters are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Each is stored as it is.
    Plain,
    /// Raw DEFLATE (RFC 1951) that reaches back 4 KiB at most.
    Deflate(Level),
    /// A frame of zstd (RFC 8878).
    Zstd(Level),
    /// A zlib stream (RFC 1950) of the same DEFLATE, whether it is smaller or not.
    Zlib(Level),
}

/// What became of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// It is all zeros.
    Zero,
    /// Its bytes are as they were.
    Stored,
    /// Its bytes are compressed.
    Compressed,
}

/// Encodes one cluster after another; each result depends on its cluster alone.
pub struct Encoder(Machine);

#[allow(clippy::large_enum_variant, reason = "there is one for each thread")]
enum Machine {
    Plain {
        cluster: Box<[u8; CLUSTER_LENGTH]>,
    },
    Deflate(Deflater),
    Zlib(Deflater),
    Zstd {
        compressor: Compressor<'static>,
        cluster: Box<[u8; CLUSTER_LENGTH]>,
        frame: Box<[u8; WORTHWHILE]>,
    },
}

impl Encoder {
    /// Makes the tables.
    ///
    /// # Errors
    ///
    /// There is no memory for them.
    pub fn new(codec: Codec) -> io::Result<Self> {
        let cluster = || Box::new([0; CLUSTER_LENGTH]);
        Ok(Self(match codec {
            Codec::Plain => Machine::Plain { cluster: cluster() },
            Codec::Deflate(level) => Machine::Deflate(Deflater::new(level)),
            Codec::Zlib(level) => Machine::Zlib(Deflater::new(level)),
            Codec::Zstd(level) => Machine::Zstd {
                compressor: Compressor::new(zstd_level(level))?,
                cluster: cluster(),
                frame: Box::new([0; WORTHWHILE]),
            },
        }))
    }

    /// Where the next cluster is to be put.
    pub fn cluster(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Machine::Plain { cluster } | Machine::Zstd { cluster, .. } => cluster.as_mut_slice(),
            Machine::Deflate(deflater) | Machine::Zlib(deflater) => deflater.input(),
        }
    }

    /// Encodes the cluster and appends the result to `out`.
    pub fn encode(&mut self, out: &mut Vec<u8>) -> Form {
        if is_zero(self.cluster()) {
            return Form::Zero;
        }
        let compressed = match &mut self.0 {
            Machine::Plain { .. } => None,
            Machine::Zlib(deflater) => {
                out.extend_from_slice(&ZLIB_HEADER);
                match deflater.deflate_input(WORTHWHILE) {
                    Some(bytes) => out.extend_from_slice(bytes),
                    None => store(deflater.input(), out),
                }
                let cluster: &[u8] = deflater.input();
                out.extend_from_slice(&adler32(&cluster).to_be_bytes());
                return Form::Compressed;
            }
            Machine::Deflate(deflater) => deflater.deflate_input(WORTHWHILE),
            Machine::Zstd {
                compressor,
                cluster,
                frame,
            } => compressor
                .compress_to_buffer(cluster.as_slice(), frame.as_mut_slice())
                // The only failure left is that the frame does not fit.
                .ok()
                .map(|length| &frame[..length]),
        };
        if let Some(bytes) = compressed {
            out.extend_from_slice(bytes);
            return Form::Compressed;
        }
        out.extend_from_slice(self.cluster());
        Form::Stored
    }
}

/// Appends `cluster` as stored blocks of DEFLATE (RFC 1951, section 3.2.4).
fn store(cluster: &[u8], out: &mut Vec<u8>) {
    let (first, last) = cluster.split_at(cluster.len() / 2);
    for (is_last, block) in [(0, first), (1, last)] {
        // Half a cluster is within the limit of a block.
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(is_last);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
}

/// What zstd calls the level. From 2 to 3 a cluster loses a percent and takes a fifth longer; from
/// 15 on almost nothing is gained any more.
fn zstd_level(level: Level) -> i32 {
    match level {
        Level::Fast => 1,
        Level::Default => 2,
        Level::Best => 15,
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, FlushCompress};

    use super::*;
    use crate::qcow2::testing::{inflate, noise, text, unpack_zlib, unpack_zstd};

    const LEVELS: [Level; 3] = [Level::Fast, Level::Default, Level::Best];

    fn encode(codec: Codec, cluster: &[u8]) -> (Form, Vec<u8>) {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(codec).unwrap();
        encoder.cluster().copy_from_slice(cluster);
        let form = encoder.encode(&mut out);
        (form, out)
    }

    fn codecs() -> Vec<Codec> {
        let mut codecs = vec![Codec::Plain];
        for level in LEVELS {
            codecs.extend([
                Codec::Deflate(level),
                Codec::Zstd(level),
                Codec::Zlib(level),
            ]);
        }
        codecs
    }

    #[test]
    fn zeros_stay_out() {
        let zeros = vec![0; CLUSTER_LENGTH];
        for codec in codecs() {
            assert_eq!(encode(codec, &zeros), (Form::Zero, Vec::new()), "{codec:?}");
        }
    }

    #[test]
    fn what_does_not_shrink_is_stored() {
        let noise = noise(1, CLUSTER_LENGTH);
        let text = text(1, CLUSTER_LENGTH);
        assert_eq!(encode(Codec::Plain, &text), (Form::Stored, text));
        // All but a few hundred bytes are noise: less than a sector to gain.
        let mut mixed = noise.clone();
        mixed[..300].fill(0);
        let mut more = noise.clone();
        more[..3000].fill(0);
        for codec in [Codec::Deflate(Level::Best), Codec::Zstd(Level::Best)] {
            assert_eq!(
                encode(codec, &noise),
                (Form::Stored, noise.clone()),
                "{codec:?}"
            );
            assert_eq!(encode(codec, &mixed).0, Form::Stored, "{codec:?}");
            assert_eq!(encode(codec, &more).0, Form::Compressed, "{codec:?}");
        }
    }

    #[test]
    fn zlib_and_zstd_are_read_by_others() {
        for level in LEVELS {
            for cluster in [text(4, CLUSTER_LENGTH), noise(4, CLUSTER_LENGTH)] {
                let (form, bytes) = encode(Codec::Zlib(level), &cluster);
                assert_eq!(form, Form::Compressed);
                assert!(bytes.len() <= CLUSTER_LENGTH + 16, "{}", bytes.len());
                assert!(unpack_zlib(&bytes) == cluster, "{level:?}");
            }
            let cluster = text(5, CLUSTER_LENGTH);
            let (form, mut bytes) = encode(Codec::Zstd(level), &cluster);
            assert_eq!(form, Form::Compressed);
            // In the image, other clusters follow in the same sector.
            bytes.extend_from_slice(&[0xff; 100]);
            assert!(unpack_zstd(&bytes) == cluster, "{level:?}");
        }
    }

    /// Repeats that lie 5000 bytes apart, which a window of 4 KiB must not use.
    fn far_repeats() -> Vec<u8> {
        let mut cluster = text(2, 5000).repeat(14);
        cluster.truncate(CLUSTER_LENGTH);
        cluster
    }

    #[test]
    fn no_level_refers_back_further_than_the_window() {
        for level in LEVELS {
            for cluster in [text(3, CLUSTER_LENGTH), far_repeats()] {
                let (form, bytes) = encode(Codec::Deflate(level), &cluster);
                assert_eq!(form, Form::Compressed, "{level:?}");
                let inflated = inflate(&bytes);
                assert!(inflated.bytes == cluster, "{level:?}");
                assert!(
                    inflated.max_distance <= 4096,
                    "{level:?}: {}",
                    inflated.max_distance
                );
            }
        }
    }

    #[test]
    fn the_distances_are_really_measured() {
        let mut wide = Compress::new(flate2::Compression::default(), false);
        let mut bytes = vec![0; CLUSTER_LENGTH];
        wide.compress(&far_repeats(), &mut bytes, FlushCompress::Finish)
            .unwrap();
        assert!(inflate(&bytes).max_distance >= 5000);
    }

    #[test]
    fn a_used_encoder_gives_the_same_bytes_as_a_new_one() {
        for codec in codecs() {
            let mut used = Encoder::new(codec).unwrap();
            for cluster in [
                text(1, CLUSTER_LENGTH),
                noise(1, CLUSTER_LENGTH),
                text(2, CLUSTER_LENGTH),
            ] {
                let mut out = Vec::new();
                used.cluster().copy_from_slice(&cluster);
                let form = used.encode(&mut out);
                assert!((form, out) == encode(codec, &cluster), "{codec:?}");
            }
        }
    }
}
