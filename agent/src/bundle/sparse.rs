//! Files with holes: only what holds data is read, kept and written.
//!
//! A file is cut into blocks of 64 KiB, and what is all zeros is none of its data, so that it does not
//! matter how a file system lays it out. In the archive the data follows a map, as in GNU tar's
//! sparse format 1.0: decimal numbers, one a line, how many pieces there are and then the offset and
//! the length of each, filled up with zeros to a multiple of 512 bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};

use sha2::{Digest, Sha256};

use super::state::hex;
use crate::interrupt;
use crate::root::next_data;

/// The size of a block, in bytes.
const BLOCK: usize = 64 << 10;
const BLOCK_SIZE: u64 = 64 << 10;
/// What a map is filled up to a multiple of, in bytes.
const RECORD: usize = 512;
/// The largest map, in bytes.
const MAP_LIMIT: u64 = 64 << 20;
/// The unit of `st_blocks`, in bytes.
const UNIT: u64 = 512;

/// Whether a file has a hole that is worth the trouble.
pub(super) fn has_holes(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let allocated = metadata.blocks().saturating_mul(UNIT);
    Ok(allocated.saturating_add(BLOCK_SIZE) <= metadata.size())
}

/// A piece of a file that holds data, in bytes. It starts with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    start: u64,
    length: u64,
}

impl Piece {
    fn end(self) -> Option<u64> {
        self.start.checked_add(self.length)
    }
}

/// The digest of the data of a file: of the offset and the content of each block.
#[derive(Debug, Default)]
struct DataDigest(Sha256);

impl DataDigest {
    fn block(&mut self, offset: u64, content: &[u8]) {
        self.0.update(offset.to_le_bytes());
        self.0.update(content);
    }

    fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Shows each block of the first `size` bytes that is not all zeros, with its offset.
fn blocks(
    file: &File,
    size: u64,
    mut visit: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; BLOCK];
    let mut offset = 0;
    while let Some((start, end)) = next_data(file, offset)? {
        offset = offset.max(start - start % BLOCK_SIZE);
        while offset < end.min(size) {
            interrupt::check()?;
            let block = block_of(&mut buffer, size - offset);
            file.read_exact_at(block, offset)?;
            if block.iter().any(|byte| *byte != 0) {
                visit(offset, block)?;
            }
            offset += BLOCK_SIZE;
        }
        if offset >= size {
            break;
        }
    }
    Ok(())
}

/// As much of a block as there is.
fn block_of(buffer: &mut [u8], left: u64) -> &mut [u8] {
    let length = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
    &mut buffer[..length]
}

/// The digest of the data in the first `size` bytes of a file.
pub(super) fn digest(file: &File, size: u64) -> io::Result<String> {
    let mut digest = DataDigest::default();
    blocks(file, size, |offset, block| {
        digest.block(offset, block);
        Ok(())
    })?;
    Ok(digest.finish())
}

/// A file as the archive holds it.
#[derive(Debug)]
pub(super) struct Packed {
    file: File,
    map: Vec<u8>,
    pieces: Vec<Piece>,
}

impl Packed {
    /// Looks for the data in the first `size` bytes of a file.
    pub(super) fn of(file: File, size: u64) -> io::Result<Self> {
        let mut pieces: Vec<Piece> = Vec::new();
        blocks(&file, size, |start, block| {
            let length = u64::try_from(block.len()).map_err(io::Error::other)?;
            match pieces.last_mut() {
                Some(last) if last.end() == Some(start) => last.length += length,
                _ => pieces.push(Piece { start, length }),
            }
            Ok(())
        })?;
        let mut map = format!("{}\n", pieces.len()).into_bytes();
        for piece in &pieces {
            writeln!(map, "{}\n{}", piece.start, piece.length)?;
        }
        map.resize(map.len().next_multiple_of(RECORD), 0);
        if u64::try_from(map.len()).is_ok_and(|length| length <= MAP_LIMIT) {
            Ok(Self { file, map, pieces })
        } else {
            Err(io::Error::other("it has too many holes"))
        }
    }

    /// How many bytes the archive holds of it.
    pub(super) fn length(&self) -> io::Result<u64> {
        let map = u64::try_from(self.map.len()).map_err(io::Error::other)?;
        Ok(self
            .pieces
            .iter()
            .fold(map, |sum, piece| sum + piece.length))
    }

    /// Writes what the archive holds of it, and tells the digest of the data.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<String> {
        out.write_all(&self.map)?;
        let mut digest = DataDigest::default();
        each_block(&self.pieces, |offset, block| {
            self.file.read_exact_at(block, offset)?;
            digest.block(offset, block);
            out.write_all(block)
        })?;
        Ok(digest.finish())
    }
}

/// Goes through the blocks of pieces in their order; `fill` puts the content into the buffer.
fn each_block(
    pieces: &[Piece],
    mut fill: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; BLOCK];
    for piece in pieces {
        let mut done = 0;
        while done < piece.length {
            interrupt::check()?;
            fill(
                piece.start + done,
                block_of(&mut buffer, piece.length - done),
            )?;
            done += BLOCK_SIZE;
        }
    }
    Ok(())
}

/// Reads a file of `size` bytes as the archive holds it, writes it where a file is given, with its
/// holes, and tells the digest of its data.
pub(super) fn unpack(
    source: &mut dyn Read,
    size: u64,
    mut out: Option<&mut File>,
) -> io::Result<String> {
    let mut source = BufReader::new(source);
    let pieces = read_map(&mut source, size)?;
    let mut digest = DataDigest::default();
    each_block(&pieces, |offset, block| {
        source.read_exact(block)?;
        digest.block(offset, block);
        match &mut out {
            Some(file) => {
                file.seek(SeekFrom::Start(offset))?;
                file.write_all(block)
            }
            None => Ok(()),
        }
    })?;
    if !source.fill_buf()?.is_empty() {
        return Err(io::Error::other("there is more in it than its map says"));
    }
    if let Some(file) = out {
        file.set_len(size)?;
    }
    Ok(digest.finish())
}

/// Reads a map: pieces in order, apart, and inside of the file.
fn read_map(source: &mut impl BufRead, size: u64) -> io::Result<Vec<Piece>> {
    let damaged = || io::Error::other("its map is damaged");
    let mut source = source.take(MAP_LIMIT);
    let mut line = Vec::new();
    let mut number = || -> io::Result<u64> {
        line.clear();
        source.read_until(b'\n', &mut line)?;
        let digits = line.strip_suffix(b"\n").ok_or_else(damaged)?;
        let text = std::str::from_utf8(digits).map_err(io::Error::other)?;
        text.parse().map_err(io::Error::other)
    };
    let mut pieces = Vec::new();
    let mut last = 0;
    for _ in 0..number()? {
        let piece = Piece {
            start: number()?,
            length: number()?,
        };
        let end = piece.end().filter(|end| *end <= size).ok_or_else(damaged)?;
        if piece.start < last || !piece.start.is_multiple_of(BLOCK_SIZE) || piece.length == 0 {
            return Err(damaged());
        }
        last = end;
        pieces.push(piece);
    }
    let read = usize::try_from(MAP_LIMIT - source.limit()).map_err(io::Error::other)?;
    let mut filling = vec![0; read.next_multiple_of(RECORD) - read];
    source.read_exact(&mut filling)?;
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(pieces: &[(u64, &[u8])], size: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        for (offset, content) in pieces {
            file.write_all_at(content, *offset).unwrap();
        }
        file.set_len(size).unwrap();
        file
    }

    #[test]
    fn only_data_is_kept_and_all_of_it_comes_back() {
        let block = vec![7; BLOCK];
        let zeros = vec![0; 3 * BLOCK];
        for (pieces, size, length) in [
            (&[][..], 0, 512),
            (&[], 1 << 40, 512),
            (&[(1, &b"a"[..])], 300 << 20, 512 + BLOCK_SIZE),
            (&[((1 << 40) - 1, b"z")], 1 << 40, 512 + BLOCK_SIZE),
            (&[(0, &zeros)], 1 << 30, 512),
            (
                &[
                    (BLOCK_SIZE, &block),
                    (2 * BLOCK_SIZE, &block),
                    (9 * BLOCK_SIZE, b"x"),
                ],
                (9 << 16) + 5,
                512 + 2 * BLOCK_SIZE + 5,
            ),
        ] {
            let old = file(pieces, size);
            let digested = digest(&old, size).unwrap();
            let packed = Packed::of(old.try_clone().unwrap(), size).unwrap();
            assert_eq!(packed.length().unwrap(), length);
            let mut archive = Vec::new();
            assert_eq!(packed.write(&mut archive).unwrap(), digested);
            assert_eq!(u64::try_from(archive.len()).unwrap(), length);
            let mut new = tempfile::tempfile().unwrap();
            let read = unpack(&mut archive.as_slice(), size, Some(&mut new)).unwrap();
            assert_eq!(read, digested);
            assert_eq!(digest(&new, size).unwrap(), digested);
            assert_eq!(new.metadata().unwrap().len(), size);
            assert!(new.metadata().unwrap().blocks() * UNIT <= 4 * BLOCK_SIZE);
            archive.push(0);
            assert!(unpack(&mut archive.as_slice(), size, None).is_err());
            assert!(unpack(&mut &archive[..archive.len() - 2], size, None).is_err());
        }
        assert!(!has_holes(&file(&[(0, &block)], BLOCK_SIZE)).unwrap());
        assert!(has_holes(&file(&[(0, &block)], 3 * BLOCK_SIZE)).unwrap());
    }

    #[test]
    fn damaged_maps_are_refused() {
        let padded = |map: &str| {
            let mut bytes = map.as_bytes().to_vec();
            bytes.resize(512, 0);
            bytes.extend([1; 2 * BLOCK]);
            bytes
        };
        for map in [
            "",
            "x\n",
            "1\n0\n",
            "-1\n",
            "99999999999999999999\n",
            "9223372036854775807\n0\n1\n",
            "1\n1\n5\n",
            "1\n0\n0\n",
            "1\n0\n131073\n",
            "1\n18446744073709486080\n131072\n",
            "2\n65536\n65536\n0\n65536\n",
            "2\n0\n65536\n0\n65536\n",
        ] {
            let read = unpack(&mut padded(map).as_slice(), 2 * BLOCK_SIZE, None);
            assert!(read.is_err(), "{map:?}");
        }
        assert!(
            unpack(
                &mut padded("1\n0\n131072\n").as_slice(),
                2 * BLOCK_SIZE,
                None
            )
            .is_ok()
        );
    }
}
