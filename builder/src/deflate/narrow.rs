//! Conversions of numbers that are known to fit, without a check in the inner loops.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "callers pass what fits; the low bits are meant otherwise"
)]

/// The low 16 bits.
#[inline(always)]
pub const fn low16(number: usize) -> u16 {
    number as u16
}

/// The low 32 bits.
#[inline(always)]
pub const fn low32(number: usize) -> u32 {
    number as u32
}

/// A count below 2^24.
#[inline(always)]
pub fn float(number: u32) -> f32 {
    number.cast_signed() as f32
}

/// A number from 0 to 2^32, rounded down.
#[inline(always)]
pub fn whole(number: f32) -> u32 {
    number as u32
}
