//! Compressed files as streams of what is in them.

use std::io::{self, BufRead, BufReader, Chain, Cursor, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// The memory that the LZMA decoder may take, in KiB: `xz -9` asks for 64 MiB.
const LZMA_MEMORY: u32 = 520 * 1024;
/// The window of a Zstandard file, in bytes: `zstd --ultra -22` asks for 128 MiB.
const ZSTD_WINDOW: u64 = 128 << 20;
/// The window of a single block, in bytes.
const ZSTD_BLOCK_WINDOW: u64 = 8 << 20;
/// How much is read from the file at a time, in bytes.
const BUFFER: usize = 256 * 1024;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// One or more members of gzip (RFC 1952).
    Gzip,
    /// One or more streams of xz.
    Xz,
    /// One or more frames of Zstandard (RFC 8878).
    Zstd,
}

impl Compression {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    /// What comes out of a file. Its checksums are verified on the way.
    pub(super) fn reader<'a>(self, file: impl Read + 'a) -> Box<dyn Read + 'a> {
        let file = BufReader::with_capacity(BUFFER, file);
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(file)),
            Self::Xz => Box::new(XzReader::new_mem_limit(file, true, LZMA_MEMORY)),
            Self::Zstd => Box::new(ZstdReader::Between(file)),
        }
    }
}

/// The first bytes of a frame, read ahead, and the rest of the file.
type Frame<R> = StreamingDecoder<Chain<Cursor<[u8; 4]>, R>, FrameDecoder>;

/// Zstandard frames, one after another; those to be skipped are.
enum ZstdReader<R: BufRead> {
    /// Before a frame, or at the end.
    Between(R),
    /// In a frame.
    Within(Box<Frame<R>>),
    /// A frame could not be read.
    Broken,
}

impl<R: BufRead> ZstdReader<R> {
    /// Begins the next frame; `None` at the end.
    fn begin(mut file: R) -> io::Result<Result<Box<Frame<R>>, R>> {
        while !file.fill_buf()?.is_empty() {
            let mut magic = [0; 4];
            file.read_exact(&mut magic)?;
            let number = u32::from_le_bytes(magic);
            if number & 0xffff_fff0 == 0x184d_2a50 {
                let mut length = [0; 4];
                file.read_exact(&mut length)?;
                let length = u64::from(u32::from_le_bytes(length));
                let skipped = io::copy(&mut (&mut file).take(length), &mut io::sink())?;
                if skipped < length {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                continue;
            }
            let source = Cursor::new(magic).chain(file);
            return StreamingDecoder::new_with_max_window_size(source, ZSTD_WINDOW)
                .map(|frame| Ok(Box::new(frame)))
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error));
        }
        Ok(Err(file))
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(self, Self::Broken) {
                Self::Between(file) => match Self::begin(file)? {
                    Ok(frame) => *self = Self::Within(frame),
                    Err(file) => {
                        *self = Self::Between(file);
                        return Ok(0);
                    }
                },
                Self::Within(mut frame) => {
                    let length = frame.read(buffer)?;
                    if length > 0 {
                        *self = Self::Within(frame);
                        return Ok(length);
                    }
                    let stated = frame.decoder.get_checksum_from_data();
                    if stated.is_some() && stated != frame.decoder.get_calculated_checksum() {
                        return Err(broken("the checksum of a zstd frame is wrong"));
                    }
                    let (_, file) = frame.into_inner().into_inner();
                    *self = Self::Between(file);
                }
                Self::Broken => return Err(broken("a zstd frame is broken")),
            }
        }
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// Fills `block` from the Zstandard frame that `packed` begins with.
pub(super) fn zstd_block(packed: &[u8], block: &mut [u8]) -> io::Result<()> {
    StreamingDecoder::new_with_max_window_size(packed, ZSTD_BLOCK_WINDOW)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?
        .read_exact(block)
}
