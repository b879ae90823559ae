//! The symbols of RFC 1951 (section 3.2.5) for lengths and distances, as tables.

/// Literals, the end of a block and the lengths that RFC 1951 uses: 0 to 285.
pub const LITERALS: usize = 286;

/// The symbol that ends a block.
pub const END: usize = 256;

/// The distance symbols that a window of 4 KiB needs: 0 to 23.
pub const DISTANCES: usize = 24;

/// How far back a copy may reach, in bytes.
pub const WINDOW: usize = 4096;

/// The shortest copy, in bytes.
pub const MIN_MATCH: usize = 3;

/// The longest copy, in bytes.
pub const MAX_MATCH: usize = 258;

/// A symbol that stands for several lengths or distances.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// The first length or distance.
    pub base: u16,
    /// How many bits follow to tell which.
    pub extra: u8,
}

/// The lengths of the symbols 257 to 285.
pub const LENGTHS: [Range; 29] = lengths();

/// The distances of the symbols 0 to 23.
pub const DISTANCE_RANGES: [Range; DISTANCES] = distances();

/// The symbol, less 257, of each length less 3.
pub const LENGTH_SYMBOLS: [u8; 256] = length_symbols();

/// The symbol of each distance less 1.
pub static DISTANCE_SYMBOLS: [u8; WINDOW] = distance_symbols();

const fn lengths() -> [Range; 29] {
    let mut ranges = [Range {
        base: 258,
        extra: 0,
    }; 29];
    let (mut base, mut extra, mut symbol) = (3, 0, 0);
    while symbol < 28 {
        if symbol >= 8 && symbol % 4 == 0 {
            extra += 1;
        }
        ranges[symbol] = Range { base, extra };
        base += 1 << extra;
        symbol += 1;
    }
    ranges
}

const fn distances() -> [Range; DISTANCES] {
    let mut ranges = [Range { base: 1, extra: 0 }; DISTANCES];
    let (mut base, mut extra, mut symbol) = (1, 0, 0);
    while symbol < DISTANCES {
        if symbol >= 4 && symbol % 2 == 0 {
            extra += 1;
        }
        ranges[symbol] = Range { base, extra };
        base += 1 << extra;
        symbol += 1;
    }
    ranges
}

const fn length_symbols() -> [u8; 256] {
    let mut symbols = [28; 256];
    let (mut index, mut symbol) = (0, 0);
    while index < 255 {
        if index + 3 == LENGTHS[symbol as usize + 1].base as usize {
            symbol += 1;
        }
        symbols[index] = symbol;
        index += 1;
    }
    symbols
}

const fn distance_symbols() -> [u8; WINDOW] {
    let mut symbols = [23; WINDOW];
    let (mut index, mut symbol) = (0, 0);
    while index < WINDOW {
        if symbol < 23 && index + 1 == DISTANCE_RANGES[symbol as usize + 1].base as usize {
            symbol += 1;
        }
        symbols[index] = symbol;
        index += 1;
    }
    symbols
}
