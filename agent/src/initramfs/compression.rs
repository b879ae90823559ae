//! How a segment is compressed, and the decompressors.
//!
//! The formats are those of the kernel's `lib/decompress.c`, recognised by their first bytes, plus
//! LZ4 frames. As in the kernel, one segment is one gzip member, one xz stream, one zstd frame.

use std::fmt;
use std::io::{self, Read};

use ruzstd::decoding::StreamingDecoder;

use super::input::Input;
use super::lz4_legacy::{self, Lz4Legacy};

/// How many bytes [`recognise`] looks at.
pub(super) const HEAD: usize = 6;

/// How far back a decompressor may have to remember, in bytes: the kernel's limit for zstd, and
/// twice the largest preset of xz.
const WINDOW: u64 = 128 << 20;
/// The same for the LZMA decoders, with room for their tables, in KiB.
const LZMA_MEMORY: u32 = (128 << 10) + 1024;

/// How a segment is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A bare cpio archive.
    None,
    /// RFC 1952.
    Gzip,
    /// bzip2.
    Bzip2,
    /// The `.lzma` format that came before xz ("LZMA alone").
    Lzma,
    /// The `.xz` format.
    Xz,
    /// The legacy frames of `lz4 -l`, the only ones the kernel reads.
    Lz4Legacy,
    /// LZ4 frames.
    Lz4,
    /// RFC 8878.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "not compressed",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Lzma => "lzma",
            Self::Xz => "xz",
            Self::Lz4Legacy => "lz4 legacy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

/// What the first bytes of a segment say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A segment that can be read.
    Readable(Compression),
    /// A format known by name only.
    Foreign(&'static str),
    /// Nothing that begins a segment.
    Unknown,
}

/// Recognises a segment by its first [`HEAD`] bytes.
pub(super) fn recognise(head: &[u8]) -> Format {
    const MAGIC: &[(&[u8], Format)] = &[
        (b"070701", Format::Readable(Compression::None)),
        (b"070702", Format::Readable(Compression::None)),
        (&[0x1f, 0x8b], Format::Readable(Compression::Gzip)),
        (b"BZh", Format::Readable(Compression::Bzip2)),
        (&[0x5d, 0, 0], Format::Readable(Compression::Lzma)),
        (b"\xfd7zXZ\0", Format::Readable(Compression::Xz)),
        (&lz4_legacy::MAGIC, Format::Readable(Compression::Lz4Legacy)),
        (
            &[0x04, 0x22, 0x4d, 0x18],
            Format::Readable(Compression::Lz4),
        ),
        (
            &[0x28, 0xb5, 0x2f, 0xfd],
            Format::Readable(Compression::Zstd),
        ),
        (b"\x89LZO", Format::Foreign("lzop")),
        (b"070707", Format::Foreign("old portable cpio")),
    ];
    MAGIC
        .iter()
        .find(|(magic, _)| head.starts_with(magic))
        .map_or(Format::Unknown, |(_, format)| *format)
}

/// The decompressed bytes of the segment that begins at `input`.
///
/// The reader says 0 once the compressed data has ended and must not be asked again; `input` then
/// stands behind that data.
pub(super) fn decompress<'a>(
    compression: Compression,
    input: &'a mut Input<'_>,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(flate2::bufread::GzDecoder::new(input)),
        Compression::Bzip2 => Box::new(bzip2::bufread::BzDecoder::new(input)),
        Compression::Lzma => Box::new(Lzma::new(input)?),
        Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(
            input,
            false,
            LZMA_MEMORY,
        )),
        Compression::Lz4Legacy => Box::new(Lz4Legacy::new(input)?),
        Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(input)),
        Compression::Zstd => Box::new(Zstd::new(input)?),
    })
}

/// An `.lzma` stream that gives back what it read too far.
struct Lzma<'a, 'r>(Option<lzma_rust2::LzmaReader<&'a mut Input<'r>>>);

impl<'a, 'r> Lzma<'a, 'r> {
    fn new(input: &'a mut Input<'r>) -> io::Result<Self> {
        let mut reader = lzma_rust2::LzmaReader::new_mem_limit(input, LZMA_MEMORY, None)?;
        // An end marker may follow even where the header states the size: it is to be consumed.
        reader.set_relaxed_end_condition(false);
        Ok(Self(Some(reader)))
    }
}

impl Read for Lzma<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(reader) = &mut self.0 else {
            return Ok(0);
        };
        let length = reader.read(buf)?;
        if length == 0
            && !buf.is_empty()
            && let Some(reader) = self.0.take()
        {
            let (input, unused) = reader.into_parts();
            input.unread(&unused);
        }
        Ok(length)
    }
}

/// A zstd frame whose checksum is verified, which the decoder leaves to its caller.
struct Zstd<R: Read>(StreamingDecoder<R, ruzstd::decoding::FrameDecoder>);

impl<R: Read> Zstd<R> {
    fn new(source: R) -> io::Result<Self> {
        StreamingDecoder::new_with_max_window_size(source, WINDOW)
            .map(Self)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buf)?;
        if length == 0 && !buf.is_empty() {
            let decoder = &self.0.decoder;
            let stated = decoder.get_checksum_from_data();
            if stated.is_some() && stated != decoder.get_calculated_checksum() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the checksum of the zstd frame does not match",
                ));
            }
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_recognised_by_their_first_bytes() {
        for (head, format) in [
            (&b"070701"[..], Format::Readable(Compression::None)),
            (b"070702", Format::Readable(Compression::None)),
            (b"070707", Format::Foreign("old portable cpio")),
            (b"\x1f\x8b\x08\0\0\0", Format::Readable(Compression::Gzip)),
            (b"BZh91A", Format::Readable(Compression::Bzip2)),
            (b"\x5d\0\0\x80\0\xff", Format::Readable(Compression::Lzma)),
            (b"\xfd7zXZ\0", Format::Readable(Compression::Xz)),
            (
                b"\x02\x21\x4c\x18\0\0",
                Format::Readable(Compression::Lz4Legacy),
            ),
            (
                b"\x04\x22\x4d\x18\x64\x40",
                Format::Readable(Compression::Lz4),
            ),
            (b"\x28\xb5\x2f\xfd\0\0", Format::Readable(Compression::Zstd)),
            (b"\x89LZO\0\r", Format::Foreign("lzop")),
            (b"\x1f", Format::Unknown),
            (b"hello!", Format::Unknown),
        ] {
            assert_eq!(recognise(head), format, "{head:?}");
        }
    }
}
