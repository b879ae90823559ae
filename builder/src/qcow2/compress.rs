//! One cluster of the guest's disk as it will be in the image.

use super::Compression;
use crate::deflate::Deflater;
use crate::sparsify::{CLUSTER_LENGTH, is_zero};

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
    deflater: Option<Deflater>,
}

impl Encoder {
    pub fn new(compression: Compression) -> Self {
        Self {
            deflater: match compression {
                Compression::None => None,
                Compression::Zlib { level } => Some(Deflater::new(level)),
            },
        }
    }

    /// Encodes `cluster`, which is [`CLUSTER_LENGTH`] long.
    pub fn encode(&mut self, cluster: &[u8]) -> Encoded {
        if is_zero(cluster) {
            return Encoded::Zero;
        }
        let compressed = self
            .deflater
            .as_mut()
            .and_then(|deflater| deflater.deflate(cluster, WORTHWHILE));
        match compressed {
            Some(bytes) => Encoded::Compressed(bytes.to_vec()),
            None => Encoded::Stored(cluster.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{inflate, noise, text};
    use super::*;
    use crate::deflate::Level;
    use flate2::{Compress, FlushCompress};

    const LEVELS: [Level; 3] = [Level::Fast, Level::Default, Level::Best];

    fn encoder(level: Level) -> Encoder {
        Encoder::new(Compression::Zlib { level })
    }

    #[test]
    fn zeros_stay_out() {
        let zeros = vec![0; CLUSTER_LENGTH];
        for compression in [
            Compression::None,
            Compression::Zlib {
                level: Level::Default,
            },
        ] {
            assert_eq!(Encoder::new(compression).encode(&zeros), Encoded::Zero);
        }
    }

    #[test]
    fn what_does_not_shrink_is_stored() {
        let noise = noise(1, CLUSTER_LENGTH);
        assert_eq!(
            encoder(Level::Default).encode(&noise),
            Encoded::Stored(noise.clone())
        );
        let text = text(1, CLUSTER_LENGTH);
        let mut plain = Encoder::new(Compression::None);
        assert_eq!(plain.encode(&text), Encoded::Stored(text.clone()));
        // All but a few hundred bytes are noise: less than a sector to gain.
        let mut mixed = noise;
        mixed[..300].fill(0);
        assert!(matches!(
            encoder(Level::Best).encode(&mixed),
            Encoded::Stored(_)
        ));
        mixed[..3000].fill(0);
        assert!(matches!(
            encoder(Level::Best).encode(&mixed),
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
        for level in LEVELS {
            for cluster in [text(3, CLUSTER_LENGTH), far_repeats()] {
                let Encoded::Compressed(bytes) = encoder(level).encode(&cluster) else {
                    panic!("{level:?} stored text");
                };
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
        for level in LEVELS {
            let mut used = encoder(level);
            for seed in 0..4 {
                for cluster in [
                    text(seed, CLUSTER_LENGTH),
                    text(seed + 9, CLUSTER_LENGTH),
                    noise(seed, CLUSTER_LENGTH),
                ] {
                    let fresh = encoder(level).encode(&cluster);
                    assert!(used.encode(&cluster) == fresh, "{level:?}");
                }
            }
        }
    }
}
