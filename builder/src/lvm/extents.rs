//! Reading a logical volume without the device mapper: to see what is in it, never to write.

use std::io::{self, Read, Seek, SeekFrom};

use super::backing::{Backing, Table, Target};
use crate::units::{ByteRange, byte_len};

/// A logical volume of pieces of the disk, to be read.
#[derive(Debug)]
pub(crate) struct Extents<'a, R> {
    disk: &'a mut R,
    targets: Vec<(u64, Target)>,
    size: u64,
    position: u64,
}

impl<'a, R: Read + Seek> Extents<'a, R> {
    /// A volume that consists of pieces of the disk alone; `None` where another one is between.
    pub(crate) fn new(disk: &'a mut R, backing: &Backing) -> Option<Self> {
        let targets = match backing {
            Backing::Range(range) => vec![(range.len(), Target::Linear(*range))],
            Backing::Tables(tables) => match tables.as_slice() {
                [Table { targets }] => targets.clone(),
                _ => return None,
            },
        };
        let size = targets.iter().try_fold(0_u64, |size, (len, target)| {
            matches!(target, Target::Linear(_) | Target::Striped { .. })
                .then(|| size.checked_add(*len))
                .flatten()
        })?;
        Some(Self {
            disk,
            targets,
            size,
            position: 0,
        })
    }

    /// The whole volume.
    pub(crate) fn range(&self) -> Option<ByteRange> {
        ByteRange::new(0, self.size)
    }

    /// Where the byte at `position` is on the disk, and how many follow it there.
    fn locate(&self, position: u64) -> Option<(u64, u64)> {
        let mut start = 0;
        for (len, target) in &self.targets {
            let offset = position - start;
            if offset < *len {
                return match target {
                    Target::Linear(range) => Some((range.start() + offset, len - offset)),
                    Target::Striped { chunk, stripes } => striped(offset, *chunk, stripes),
                    Target::Thin { .. } | Target::ThinPool { .. } => None,
                };
            }
            start += len;
        }
        None
    }
}

fn striped(offset: u64, chunk: u64, stripes: &[ByteRange]) -> Option<(u64, u64)> {
    let count = byte_len(stripes.len());
    let turn = offset.checked_div(chunk)?;
    let inside = offset % chunk;
    let stripe = stripes.get(usize::try_from(turn.checked_rem(count)?).ok()?)?;
    Some((
        stripe.start() + turn / count * chunk + inside,
        chunk - inside,
    ))
}

impl<R: Read + Seek> Read for Extents<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((offset, left)) = self.locate(self.position) else {
            return Ok(0);
        };
        let wanted = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        self.disk.seek(SeekFrom::Start(offset))?;
        let read = self.disk.read(&mut buffer[..wanted])?;
        self.position += byte_len(read);
        Ok(read)
    }
}

impl<R: Read + Seek> Seek for Extents<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(distance) => self.size.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
