//! Puts grains, tables and the ends of the stream into the file.

use std::num::NonZeroUsize;

use super::descriptor::descriptor;
use super::header::{AT_END, Header, Marker, OVERHEAD, grain_marker};
use super::{GRAIN_SECTORS, NAME, SECTOR_LENGTH, TABLE_ENTRIES};
use crate::deflate::Level;
use crate::encode::{
    self, Codec, Disk, Encoded, Format, Observer, Settled, Sink, Summary, Target, WriteError,
};
use crate::sparsify::ClusterIndex;
use crate::units::{SECTOR_SIZE, byte_len};

/// The largest disk in grain tables: 64 TiB, what VMware's products and our reader take.
const MAX_TABLES: u64 = 1 << 21;

/// Writes `disk` to the empty file `output`, which is not flushed at the end. Reads and compresses
/// on `threads` threads.
///
/// # Errors
///
/// [`WriteError`], also when a signal arrived. Then `output` has no footer.
pub fn write(
    disk: Disk<'_>,
    output: &dyn Target,
    level: Level,
    threads: NonZeroUsize,
    observer: &mut dyn Observer,
) -> Result<Summary, WriteError> {
    let mut image = StreamWriter::new(output, disk)?;
    encode::clusters(disk, Codec::Zlib(level), threads, observer, &mut image)?;
    image.finish()
}

/// An image that has no footer yet.
#[must_use = "an image is nothing until it is finished"]
struct StreamWriter<'a> {
    sink: Sink<'a>,
    /// The sectors of the disk.
    capacity: u64,
    /// The sector of each grain table; 0 where there is none.
    directory: Vec<u32>,
    /// The table that is being filled, and its place in the directory.
    table: Option<(usize, Vec<u32>)>,
    summary: Summary,
}

impl<'a> StreamWriter<'a> {
    fn new(output: &'a dyn Target, disk: Disk<'_>) -> Result<Self, WriteError> {
        let size = disk.map.size();
        // The last sector is filled up with zeros.
        let capacity = size.div_ceil(SECTOR_SIZE);
        let tables = capacity.div_ceil(GRAIN_SECTORS * u64::from(TABLE_ENTRIES));
        // A capacity of 0 says that the data is in other files.
        let entries = match usize::try_from(tables) {
            Ok(entries) if (1..=MAX_TABLES).contains(&tables) => entries,
            _ => return Err(WriteError::Size { size, format: NAME }),
        };
        let mut image = Self {
            sink: Sink::new(output, 0),
            capacity,
            directory: vec![0; entries],
            table: None,
            summary: Summary::new(capacity * SECTOR_SIZE),
        };
        image.sink.append(&image.header(AT_END))?;
        let mut text = descriptor(capacity, disk.map).into_bytes();
        text.resize(within_memory((OVERHEAD - 1) * SECTOR_SIZE)?, 0);
        image.sink.append(&text)?;
        Ok(image)
    }

    fn header(&self, directory: u64) -> [u8; SECTOR_LENGTH] {
        let header = Header {
            capacity: self.capacity,
            directory,
        };
        header.to_bytes()
    }

    /// Writes the grain table that is being filled.
    fn end_table(&mut self) -> Result<(), WriteError> {
        if let Some((number, places)) = self.table.take() {
            self.directory[number] = self.put_table(Marker::GrainTable, &places)?;
        }
        Ok(())
    }

    /// Writes the directory and what ends the stream.
    fn finish(mut self) -> Result<Summary, WriteError> {
        self.end_table()?;
        let directory = std::mem::take(&mut self.directory);
        let place = self.put_table(Marker::Directory, &directory)?;
        self.sink.append(&Marker::Footer.to_bytes(1))?;
        self.sink.append(&self.header(place.into()))?;
        self.sink.append(&Marker::EndOfStream.to_bytes(0))?;
        self.sink.flush()?;
        self.summary.file_size = self.sink.end();
        Ok(self.summary)
    }

    /// Writes a table behind its marker; the sector where it begins.
    fn put_table(&mut self, marker: Marker, entries: &[u32]) -> Result<u32, WriteError> {
        let bytes: Vec<u8> = entries
            .iter()
            .flat_map(|entry| entry.to_le_bytes())
            .collect();
        self.sink
            .append(&marker.to_bytes(byte_len(bytes.len()).div_ceil(SECTOR_SIZE)))?;
        let place = self.sector()?;
        self.sink.append(&bytes)?;
        self.fill_sector()?;
        Ok(place)
    }

    /// The sector that the file ends with, as tables name it.
    fn sector(&self) -> Result<u32, WriteError> {
        u32::try_from(self.sink.end() / SECTOR_SIZE).map_err(|_| exhausted())
    }

    fn fill_sector(&mut self) -> Result<(), WriteError> {
        let end = self.sink.end();
        let missing = end.next_multiple_of(SECTOR_SIZE) - end;
        self.sink
            .append(&[0; SECTOR_LENGTH][..within_memory(missing)?])
    }
}

impl Format for StreamWriter<'_> {
    fn put(&mut self, grain: ClusterIndex, encoded: Encoded<'_>) -> Result<(), WriteError> {
        self.summary.count(encoded);
        let (Encoded::Stored(bytes) | Encoded::Compressed(bytes)) = encoded else {
            return Ok(());
        };
        let (table, slot) = (
            within_memory(grain.number() / u64::from(TABLE_ENTRIES))?,
            within_memory(grain.number() % u64::from(TABLE_ENTRIES))?,
        );
        if self
            .table
            .as_ref()
            .is_none_or(|&(number, _)| number != table)
        {
            self.end_table()?;
        }
        let place = self.sector()?;
        let entries = within_memory(TABLE_ENTRIES.into())?;
        let (_, places) = self.table.get_or_insert_with(|| (table, vec![0; entries]));
        places[slot] = place;
        let length = u32::try_from(bytes.len()).map_err(|_| exhausted())?;
        self.sink
            .append(&grain_marker(grain.number() * GRAIN_SECTORS, length))?;
        self.sink.append(bytes)?;
        self.fill_sector()
    }

    fn settle(&mut self) -> Result<Settled, WriteError> {
        self.sink.flush()?;
        Ok(Settled {
            start: Vec::new(),
            end: self.sink.end(),
        })
    }
}

fn exhausted() -> WriteError {
    WriteError::Exhausted { format: NAME }
}

/// A number of what is in memory.
fn within_memory(number: u64) -> Result<usize, WriteError> {
    usize::try_from(number).map_err(|_| exhausted())
}
