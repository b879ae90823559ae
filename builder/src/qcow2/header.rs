//! The header: the first bytes of the image.

use super::types::HostOffset;
use crate::sparsify::CLUSTER_BITS;

/// Bytes of the header with its additional field and padding.
pub const HEADER_SIZE: usize = 112;

const HEADER_LENGTH: u32 = 112;
const MAGIC: [u8; 4] = *b"QFI\xfb";
const VERSION: u32 = 3;

/// Refcounts of 16 bits, what every reader supports.
const REFCOUNT_ORDER: u32 = 4;

/// How compressed clusters are compressed (header byte 104).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionType {
    /// Deflate without a zlib header, at most 4 KiB back.
    Zlib,
    /// One frame of zstd (RFC 8878) for each cluster.
    Zstd,
}

impl CompressionType {
    /// The value of header byte 104.
    fn code(self) -> u8 {
        match self {
            Self::Zlib => 0,
            Self::Zstd => 1,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Zlib),
            1 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The incompatible features (header bytes 72 to 79) that the type asks of a reader: bit 3
    /// goes with every type but zlib.
    fn incompatible_features(self) -> u64 {
        match self {
            Self::Zlib => 0,
            Self::Zstd => 1 << 3,
        }
    }
}

/// What differs between the images that this module writes.
///
/// All the other fields are constant: no backing file, no encryption, no snapshots, no extensions,
/// no features beyond those of the compression type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes 24 to 31, `size`: the size of the guest's disk in bytes.
    pub size: u64,
    /// Bytes 36 to 39, `l1_size`: how many entries the L1 table has.
    pub l1_size: u32,
    /// Bytes 40 to 47, `l1_table_offset`: where the L1 table is, at a cluster boundary.
    pub l1_table: HostOffset,
    /// Bytes 48 to 55, `refcount_table_offset`: where the refcount table is, at a cluster boundary.
    pub refcount_table: HostOffset,
    /// Bytes 56 to 59, `refcount_table_clusters`: how many clusters the refcount table takes.
    pub refcount_table_clusters: u32,
    /// Byte 104, `compression_type`: how compressed clusters are compressed.
    pub compression_type: CompressionType,
}

/// What is in a header that this module does not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value:#x}, which is not supported")]
pub struct Unsupported {
    /// The name of the field in the specification.
    pub field: &'static str,
    /// Its value.
    pub value: u64,
}

impl Header {
    /// The header as it is in the file.
    pub fn to_bytes(self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        // Bytes 0 to 3, magic.
        bytes[0..4].copy_from_slice(&MAGIC);
        // Bytes 4 to 7, version.
        bytes[4..8].copy_from_slice(&VERSION.to_be_bytes());
        // Bytes 8 to 19, backing_file_offset and backing_file_size: 0, no backing file.
        // Bytes 20 to 23, cluster_bits: the binary logarithm of the cluster size.
        bytes[20..24].copy_from_slice(&CLUSTER_BITS.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.size.to_be_bytes());
        // Bytes 32 to 35, crypt_method: 0, no encryption.
        bytes[36..40].copy_from_slice(&self.l1_size.to_be_bytes());
        bytes[40..48].copy_from_slice(&self.l1_table.bytes().to_be_bytes());
        bytes[48..56].copy_from_slice(&self.refcount_table.bytes().to_be_bytes());
        bytes[56..60].copy_from_slice(&self.refcount_table_clusters.to_be_bytes());
        // Bytes 60 to 71, nb_snapshots and snapshots_offset: 0, no snapshots.
        // Bytes 72 to 79, incompatible_features: a reader that lacks one must not open the image.
        let incompatible = self.compression_type.incompatible_features();
        bytes[72..80].copy_from_slice(&incompatible.to_be_bytes());
        // Bytes 80 to 95, compatible_features and autoclear_features: none.
        // Bytes 96 to 99, refcount_order: the binary logarithm of the bits of a refcount.
        bytes[96..100].copy_from_slice(&REFCOUNT_ORDER.to_be_bytes());
        // Bytes 100 to 103, header_length.
        bytes[100..104].copy_from_slice(&HEADER_LENGTH.to_be_bytes());
        bytes[104] = self.compression_type.code();
        // Bytes 105 to 111, padding. The zeros that follow end the list of header extensions.
        bytes
    }

    /// The header in `bytes`, if it is one that [`Self::to_bytes`] could have made.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] names the first field with another value.
    pub fn parse(bytes: &[u8; HEADER_SIZE]) -> Result<Self, Unsupported> {
        let compression_type = CompressionType::from_code(bytes[104]).ok_or(Unsupported {
            field: "compression_type",
            value: bytes[104].into(),
        })?;
        let constants = [
            (
                "magic",
                u32_at(bytes, 0).into(),
                u32::from_be_bytes(MAGIC).into(),
            ),
            ("version", u32_at(bytes, 4).into(), VERSION.into()),
            ("backing_file_offset", u64_at(bytes, 8), 0),
            (
                "cluster_bits",
                u32_at(bytes, 20).into(),
                CLUSTER_BITS.into(),
            ),
            ("crypt_method", u32_at(bytes, 32).into(), 0),
            ("nb_snapshots", u32_at(bytes, 60).into(), 0),
            (
                "incompatible_features",
                u64_at(bytes, 72),
                compression_type.incompatible_features(),
            ),
            ("autoclear_features", u64_at(bytes, 88), 0),
            (
                "refcount_order",
                u32_at(bytes, 96).into(),
                REFCOUNT_ORDER.into(),
            ),
            (
                "header_length",
                u32_at(bytes, 100).into(),
                HEADER_LENGTH.into(),
            ),
        ];
        for (field, value, expected) in constants {
            if value != expected {
                return Err(Unsupported { field, value });
            }
        }
        Ok(Self {
            size: u64_at(bytes, 24),
            l1_size: u32_at(bytes, 36),
            l1_table: table_at(bytes, 40, "l1_table_offset")?,
            refcount_table: table_at(bytes, 48, "refcount_table_offset")?,
            refcount_table_clusters: u32_at(bytes, 56),
            compression_type,
        })
    }
}

fn u32_at(bytes: &[u8; HEADER_SIZE], at: usize) -> u32 {
    bytes[at..at + 4]
        .iter()
        .fold(0, |value, &byte| value << 8 | u32::from(byte))
}

fn u64_at(bytes: &[u8; HEADER_SIZE], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) << 32 | u64::from(u32_at(bytes, at + 4))
}

fn table_at(
    bytes: &[u8; HEADER_SIZE],
    at: usize,
    field: &'static str,
) -> Result<HostOffset, Unsupported> {
    let value = u64_at(bytes, at);
    HostOffset::new(value)
        .filter(|offset| offset.within_cluster() == 0)
        .ok_or(Unsupported { field, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            size: 0x0102_0304_0506_0708,
            l1_size: 0x1112_1314,
            l1_table: HostOffset::new(0x0021_2223_2425_0000).unwrap(),
            refcount_table: HostOffset::new(0x0031_3233_3435_0000).unwrap(),
            refcount_table_clusters: 0x4142_4344,
            compression_type: CompressionType::Zlib,
        }
    }

    #[test]
    fn every_field_is_at_its_place() {
        let expected = [
            &b"QFI\xfb\0\0\0\x03"[..],
            &[0; 12],
            &[0, 0, 0, 16],
            &[1, 2, 3, 4, 5, 6, 7, 8],
            &[0; 4],
            &[0x11, 0x12, 0x13, 0x14],
            &[0, 0x21, 0x22, 0x23, 0x24, 0x25, 0, 0],
            &[0, 0x31, 0x32, 0x33, 0x34, 0x35, 0, 0],
            &[0x41, 0x42, 0x43, 0x44],
            &[0; 36],
            &[0, 0, 0, 4, 0, 0, 0, 112],
            &[0; 8],
        ]
        .concat();
        assert_eq!(header().to_bytes().as_slice(), expected);
        assert_eq!(Header::parse(&header().to_bytes()), Ok(header()));
    }

    #[test]
    fn foreign_features_are_refused() {
        let cases = [
            (0, "magic"),
            (7, "version"),
            (15, "backing_file_offset"),
            (23, "cluster_bits"),
            (35, "crypt_method"),
            (47, "l1_table_offset"),
            (40, "l1_table_offset"),
            (55, "refcount_table_offset"),
            (63, "nb_snapshots"),
            (79, "incompatible_features"),
            (95, "autoclear_features"),
            (99, "refcount_order"),
            (103, "header_length"),
            (104, "compression_type"),
        ];
        for (at, field) in cases {
            let mut bytes = header().to_bytes();
            bytes[at] ^= 0x41;
            let error = Header::parse(&bytes).unwrap_err();
            assert_eq!(error.field, field, "byte {at}");
        }
    }
}
