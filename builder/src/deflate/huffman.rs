//! Prefix codes of limited length (RFC 1951, section 3.2.2).

use super::narrow::low32;

/// The longest code of literals, lengths and distances, in bits.
pub const MAX_BITS: u8 = 15;

/// More symbols than any alphabet has.
const MAX_SYMBOLS: usize = 512;

/// Finds lengths for `counts`, at most `limit` bits; what does not occur gets none.
///
/// At least two symbols get a code: some readers refuse fewer.
pub fn lengths(counts: &[u32], limit: u8, lengths: &mut [u8]) {
    lengths.fill(0);
    // The count above, the symbol in the low 9 bits.
    let mut leaves = [0_u32; MAX_SYMBOLS];
    let mut used = 0;
    for (symbol, &count) in (0_u32..).zip(counts) {
        leaves[used & (MAX_SYMBOLS - 1)] = count << 9 | symbol;
        used += usize::from(count > 0);
    }
    if used < 2 {
        let only = if used == 1 { leaves[0] & 511 } else { 0 };
        lengths[only as usize] = 1;
        lengths[usize::from(only == 0)] = 1;
        return;
    }
    let leaves = &mut leaves[..used];
    sort(leaves);
    let mut by_length = depths(leaves);
    limit_depths(&mut by_length, limit);
    // The rarest symbols, which come first, get the longest codes.
    let mut leaves = leaves.iter();
    for length in (1..=limit).rev() {
        for leaf in leaves
            .by_ref()
            .take(by_length[usize::from(length)] as usize)
        {
            lengths[(leaf & 511) as usize] = length;
        }
    }
}

/// Sorts leaves by their counts, eight bits at a time; what counts the same keeps its order.
fn sort(leaves: &mut [u32]) {
    let most = leaves.iter().copied().max().unwrap_or(0);
    let mut sorted = [0_u32; MAX_SYMBOLS];
    let mut shift = 9;
    while most.checked_shr(shift).is_some_and(|digits| digits > 0) {
        let mut places = [0_u16; 256];
        for leaf in &*leaves {
            places[(leaf >> shift & 255) as usize] += 1;
        }
        let mut next = 0;
        for place in &mut places {
            next += std::mem::replace(place, next);
        }
        for &leaf in &*leaves {
            let place = &mut places[(leaf >> shift & 255) as usize];
            sorted[usize::from(*place) & (MAX_SYMBOLS - 1)] = leaf;
            *place += 1;
        }
        leaves.copy_from_slice(&sorted[..leaves.len()]);
        shift += 8;
    }
}

/// How many leaves of the Huffman tree lie at each depth; those beyond the last one count there.
///
/// The method of Moffat and Katajainen: `leaves`, in ascending order, makes room for the inner
/// nodes, of which there are always fewer than leaves used up.
fn depths(leaves: &[u32]) -> [u32; 33] {
    let count = leaves.len();
    // For each inner node its weight, later the number of its parent, later its depth.
    let mut nodes = [0_u32; MAX_SYMBOLS];
    let (mut leaf, mut node) = (0, 0);
    for next in 0..count - 1 {
        let mut weight = 0;
        for _ in 0..2 {
            let take_leaf = leaf < count
                && (node >= next || leaves[leaf] >> 9 <= nodes[node & (MAX_SYMBOLS - 1)]);
            if take_leaf {
                weight += leaves[leaf] >> 9;
                leaf += 1;
            } else {
                weight += nodes[node & (MAX_SYMBOLS - 1)];
                nodes[node & (MAX_SYMBOLS - 1)] = low32(next);
                node += 1;
            }
        }
        nodes[next & (MAX_SYMBOLS - 1)] = weight;
    }
    let mut at_depth = [0_u32; 33];
    let root = count - 2;
    nodes[root] = 0;
    let mut inner = [0_u32; 33];
    inner[0] = 1;
    for node in (0..root).rev() {
        let depth = (nodes[nodes[node] as usize & (MAX_SYMBOLS - 1)] + 1).min(31);
        nodes[node] = depth;
        inner[depth as usize] += 1;
    }
    for depth in 0..32 {
        // Children of a level that are no inner nodes are leaves.
        let children = 2 * inner[depth];
        at_depth[depth + 1] += children - inner[depth + 1].min(children);
    }
    at_depth
}

/// Shortens what is too long, and lengthens others so that the code stays a prefix code.
fn limit_depths(by_length: &mut [u32; 33], limit: u8) {
    let limit = usize::from(limit);
    let beyond: u32 = by_length[limit + 1..].iter().sum();
    if beyond == 0 {
        return;
    }
    by_length[limit] += beyond;
    by_length[limit + 1..].fill(0);
    // In units of the longest code.
    let mut taken: u32 = (1..=limit)
        .map(|length| by_length[length] << (limit - length))
        .sum();
    while taken > 1 << limit {
        by_length[limit] -= 1;
        let shorter = (1..limit).rev().find(|&length| by_length[length] > 0);
        let Some(length) = shorter else { break };
        by_length[length] -= 1;
        by_length[length + 1] += 2;
        taken -= 1;
    }
}

/// The codes of a canonical prefix code, as they are in the stream: first bit lowest.
pub fn codes(lengths: &[u8], codes: &mut [u16]) {
    let mut next = [0_u16; 16];
    let mut counts = [0_u16; 16];
    for &length in lengths {
        counts[usize::from(length & 15)] += 1;
    }
    counts[0] = 0;
    let mut code = 0;
    for length in 1..16 {
        code = (code + counts[length - 1]) << 1;
        next[length] = code;
    }
    for (&length, code) in lengths.iter().zip(codes) {
        let length = length & 15;
        let next = &mut next[usize::from(length)];
        *code = next.reverse_bits() >> ((16 - u16::from(length)) & 15);
        *next = next.wrapping_add(1);
    }
}

/// The bits that `counts` take with these lengths.
pub fn cost(counts: &[u32], lengths: &[u8]) -> u32 {
    counts
        .iter()
        .zip(lengths)
        .map(|(count, &length)| count * u32::from(length))
        .sum()
}
