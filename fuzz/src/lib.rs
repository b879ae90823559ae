//! What several targets need.

/// The CRC-32 of IEEE 802.3, as GPT has it.
pub fn crc32(bytes: &[u8]) -> u32 {
    !crc32_from(u32::MAX, bytes)
}

/// The same polynomial, neither begun nor ended with an inversion, as LVM has it.
pub fn crc32_from(start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}
