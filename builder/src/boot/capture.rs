//! The packet capture file, read while QEMU writes it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::pcap::{Decoder, PcapError};

/// A guest that sends more than this, in bytes, is stopped.
const MAX_CAPTURE: usize = 32 << 20;

/// Why the capture gives nothing more.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file.
    #[error("reading the packet capture {path}")]
    Read {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its contents.
    #[error("reading the packet capture")]
    Format(#[source] PcapError),
}

/// A capture that grows.
#[derive(Debug)]
pub struct Capture {
    path: PathBuf,
    file: File,
    decoder: Decoder,
    bytes: Vec<u8>,
}

impl Capture {
    /// Makes the empty file that QEMU will write into.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Read`].
    pub fn create(path: &Path) -> Result<Self, CaptureError> {
        let opened = File::create_new(path).and_then(|_| File::open(path));
        let file = opened.map_err(|source| CaptureError::Read {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            decoder: Decoder::default(),
            bytes: Vec::new(),
        })
    }

    /// Shows `see` the frames that were added; false once there are too many.
    ///
    /// # Errors
    ///
    /// [`CaptureError`].
    pub fn poll(&mut self, mut see: impl FnMut(&[u8])) -> Result<bool, CaptureError> {
        let mut buffer = [0; 64 << 10];
        while self.bytes.len() < MAX_CAPTURE {
            let length = self
                .file
                .read(&mut buffer)
                .map_err(|source| CaptureError::Read {
                    path: self.path.clone(),
                    source,
                })?;
            if length == 0 {
                return Ok(true);
            }
            self.bytes.extend_from_slice(&buffer[..length]);
            self.decoder.feed(&buffer[..length]);
            while let Some(frame) = self.decoder.frame().map_err(CaptureError::Format)? {
                see(&frame);
            }
        }
        Ok(false)
    }

    /// The whole file.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
