//! The packet capture that QEMU's `filter-dump` writes, read while it grows.
//!
//! Only that one dialect: little-endian libpcap 2.4 with Ethernet frames
//! (draft-ietf-opsawg-pcap). A record that is still being written is left for the next call.

/// The length of the file header, in bytes.
const FILE_HEADER: usize = 24;
/// The length of a record header, in bytes.
const RECORD_HEADER: usize = 16;
/// Microsecond time stamps, in this byte order.
const MAGIC: u32 = 0xa1b2_c3d4;
/// `LINKTYPE_ETHERNET`.
const ETHERNET: u32 = 1;
/// The longest frame that is believed, in bytes: libpcap's own limit.
const MAX_FRAME: usize = 256 * 1024;

/// The capture is not what QEMU writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PcapError {
    /// The file header is another one.
    #[error("not a little-endian capture of Ethernet frames")]
    Header,
    /// A record claims an impossible length.
    #[error("a record of {0} bytes in the packet capture")]
    Length(u32),
}

/// Cuts a growing capture into frames.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
    header_seen: bool,
}

impl Decoder {
    /// Takes the next bytes of the file.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole frame; none while it is incomplete.
    ///
    /// # Errors
    ///
    /// [`PcapError`]; nothing after it can be read.
    pub fn frame(&mut self) -> Result<Option<Vec<u8>>, PcapError> {
        if !self.header_seen {
            let Some(header) = self.pending.get(..FILE_HEADER) else {
                return Ok(None);
            };
            if u32_at(header, 0) != Some(MAGIC) || u32_at(header, 20) != Some(ETHERNET) {
                return Err(PcapError::Header);
            }
            self.pending.drain(..FILE_HEADER);
            self.header_seen = true;
        }
        let Some(length) = u32_at(&self.pending, 8) else {
            return Ok(None);
        };
        let length = match usize::try_from(length) {
            Ok(bytes) if bytes <= MAX_FRAME => bytes,
            _ => return Err(PcapError::Length(length)),
        };
        let end = RECORD_HEADER + length;
        if self.pending.len() < end {
            return Ok(None);
        }
        let frame = self.pending.drain(..end).skip(RECORD_HEADER).collect();
        Ok(Some(frame))
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let (value, _) = bytes.get(offset..)?.split_first_chunk()?;
    Some(u32::from_le_bytes(*value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(frames: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [MAGIC, 0x0004_0002, 0, 0, 65536, ETHERNET] {
            bytes.extend(word.to_le_bytes());
        }
        for frame in frames {
            let length = u32::try_from(frame.len()).unwrap();
            for word in [1, 2, length, length] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.extend(*frame);
        }
        bytes
    }

    fn frames(decoder: &mut Decoder) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| decoder.frame().unwrap()).collect()
    }

    #[test]
    fn frames_come_whole_however_the_file_grows() {
        let bytes = capture(&[b"first", b"", b"the third"]);
        for step in [1, 7, bytes.len()] {
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for chunk in bytes.chunks(step) {
                decoder.feed(chunk);
                seen.extend(frames(&mut decoder));
            }
            assert_eq!(seen, [b"first".to_vec(), vec![], b"the third".to_vec()]);
        }
    }

    #[test]
    fn a_cut_off_record_is_left_out() {
        let bytes = capture(&[b"first", b"second"]);
        let mut decoder = Decoder::default();
        decoder.feed(&bytes[..bytes.len() - 1]);
        assert_eq!(frames(&mut decoder), [b"first".to_vec()]);
    }

    #[test]
    fn other_files_and_absurd_lengths_are_refused() {
        let mut decoder = Decoder::default();
        decoder.feed(&[0; FILE_HEADER]);
        assert_eq!(decoder.frame(), Err(PcapError::Header));

        let mut bytes = capture(&[b"first"]);
        bytes[FILE_HEADER + 8..FILE_HEADER + 12].fill(0xff);
        let mut decoder = Decoder::default();
        decoder.feed(&bytes);
        assert_eq!(decoder.frame(), Err(PcapError::Length(u32::MAX)));
    }
}
