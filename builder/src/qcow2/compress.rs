//! One cluster of the guest's disk as it will be in the image.

use flate2::{Compress, CompressError, FlushCompress, Status};

use super::{Compression, ZlibLevel};
use crate::sparsify::{CLUSTER_LENGTH, is_zero};

/// Binary logarithm of how far back deflated data may refer: 4 KiB, as QEMU writes and reads it.
/// A reader that inflates in pieces refuses more; the specification does not say.
const WINDOW_BITS: u8 = 12;

/// The most bytes that a compressed cluster may have: one that saves less than a sector is not
/// worth inflating.
const WORTHWHILE: usize = CLUSTER_LENGTH - 512;

/// What becomes of a cluster.
#[derive(Debug, PartialEq, Eq)]
pub enum Encoded {
    /// It is all zeros and stays out of the image.
    Zero,
    /// It is stored as it is.
    Stored(Vec<u8>),
    /// It is stored as these bytes, fewer than a cluster.
    Compressed(Vec<u8>),
}

/// Encodes one cluster after another; each result depends on its cluster alone.
pub struct Encoder {
    codec: Codec,
    scratch: Vec<u8>,
}

enum Codec {
    None,
    Zlib { level: ZlibLevel, deflate: Compress },
}

impl Encoder {
    pub fn new(compression: Compression) -> Self {
        let codec = match compression {
            Compression::None => Codec::None,
            Compression::Zlib { level } => Codec::Zlib {
                level,
                deflate: new_deflate(level, WINDOW_BITS),
            },
        };
        Self {
            codec,
            scratch: vec![0; WORTHWHILE],
        }
    }

    /// Encodes `cluster`, which is [`CLUSTER_LENGTH`] long.
    pub fn encode(&mut self, cluster: &[u8]) -> Result<Encoded, CompressError> {
        if is_zero(cluster) {
            return Ok(Encoded::Zero);
        }
        let compressed = match &mut self.codec {
            Codec::None => None,
            Codec::Zlib { level, deflate } => {
                let status = deflate.compress(cluster, &mut self.scratch, FlushCompress::Finish)?;
                let length = deflate.total_out();
                match status {
                    Status::StreamEnd => {
                        deflate.reset();
                        usize::try_from(length).ok()
                    }
                    // There was no room for the rest. After this a reset is not enough: zlib-rs
                    // 0.6.8 keeps what was pending, and the next stream may be broken by it.
                    Status::Ok | Status::BufError => {
                        *deflate = new_deflate(*level, WINDOW_BITS);
                        None
                    }
                }
            }
        };
        Ok(
            match compressed.and_then(|length| self.scratch.get(..length)) {
                Some(bytes) => Encoded::Compressed(bytes.to_vec()),
                None => Encoded::Stored(cluster.to_vec()),
            },
        )
    }
}

fn new_deflate(level: ZlibLevel, window_bits: u8) -> Compress {
    let level = flate2::Compression::new(level.get());
    Compress::new_with_window_bits(level, false, window_bits)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{inflate, noise, text};
    use super::*;

    fn encoder(level: u32) -> Encoder {
        Encoder::new(Compression::Zlib {
            level: ZlibLevel::new(level).unwrap(),
        })
    }

    #[test]
    fn zeros_stay_out() {
        let zeros = vec![0; CLUSTER_LENGTH];
        for compression in [
            Compression::None,
            Compression::Zlib {
                level: ZlibLevel::DEFAULT,
            },
        ] {
            assert_eq!(
                Encoder::new(compression).encode(&zeros).unwrap(),
                Encoded::Zero
            );
        }
    }

    #[test]
    fn what_does_not_shrink_is_stored() {
        let noise = noise(1, CLUSTER_LENGTH);
        assert_eq!(
            encoder(6).encode(&noise).unwrap(),
            Encoded::Stored(noise.clone())
        );
        let text = text(1, CLUSTER_LENGTH);
        let mut plain = Encoder::new(Compression::None);
        assert_eq!(plain.encode(&text).unwrap(), Encoded::Stored(text.clone()));
        // All but a few hundred bytes are noise: less than a sector to gain.
        let mut mixed = noise;
        mixed[..300].fill(0);
        assert!(matches!(
            encoder(9).encode(&mixed).unwrap(),
            Encoded::Stored(_)
        ));
        mixed[..3000].fill(0);
        assert!(matches!(
            encoder(9).encode(&mixed).unwrap(),
            Encoded::Compressed(_)
        ));
    }

    /// Repeats that lie 5000 bytes apart, which a window of 4 KiB must not use.
    fn far_repeats() -> Vec<u8> {
        let mut cluster = text(2, 5000).repeat(14);
        cluster.truncate(CLUSTER_LENGTH);
        cluster
    }

    #[test]
    fn no_level_refers_back_further_than_the_window() {
        for level in 1..=9 {
            for cluster in [text(3, CLUSTER_LENGTH), far_repeats()] {
                let Encoded::Compressed(bytes) = encoder(level).encode(&cluster).unwrap() else {
                    panic!("level {level} stored text");
                };
                let inflated = inflate(&bytes);
                assert!(inflated.bytes == cluster, "level {level}");
                assert!(
                    inflated.max_distance <= 4096,
                    "level {level}: {}",
                    inflated.max_distance
                );
            }
        }
    }

    #[test]
    fn the_distances_are_really_measured() {
        let mut wide = new_deflate(ZlibLevel::DEFAULT, 15);
        let mut bytes = vec![0; CLUSTER_LENGTH];
        wide.compress(&far_repeats(), &mut bytes, FlushCompress::Finish)
            .unwrap();
        assert!(inflate(&bytes).max_distance >= 5000);
    }

    #[test]
    fn a_used_encoder_gives_the_same_bytes_as_a_new_one() {
        for level in 1..=9 {
            let mut used = encoder(level);
            for seed in 0..4 {
                for cluster in [
                    text(seed, CLUSTER_LENGTH),
                    text(seed + 9, CLUSTER_LENGTH),
                    noise(seed, CLUSTER_LENGTH),
                ] {
                    let fresh = encoder(level).encode(&cluster).unwrap();
                    assert!(used.encode(&cluster).unwrap() == fresh, "level {level}");
                }
            }
        }
    }
}
