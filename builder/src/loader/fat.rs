//! Files of a FAT12, FAT16 or FAT32 file system, read without the kernel's help: it may have no
//! driver for the EFI system partition.
//!
//! Source: Microsoft's "FAT32 File System Specification" 1.03. A chain of clusters ends after as
//! many as the file system has; a directory after 65,536 entries, as the specification has it.

use std::io::{self, Read, Seek};

use crate::bytes::{Window, array, le16, le32, utf16};
use crate::units::ByteRange;

/// The most entries of a directory, of 32 bytes each.
const MAX_ENTRIES: usize = 65_536;
const ENTRY: usize = 32;
const DIRECTORY: u8 = 0x10;
const VOLUME: u8 = 0x08;
const LONG_NAME: u8 = 0x0f;

/// The width of an entry in the table of clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Fat12,
    Fat16,
    Fat32,
}

/// A FAT file system on a part of a disk.
#[derive(Debug)]
pub struct Fat<'a, R> {
    part: Window<'a, R>,
    width: Width,
    table: u64,
    table_len: u64,
    /// The root directory where it has a place of its own.
    root: Option<(u64, u64)>,
    root_cluster: u32,
    data: u64,
    cluster: u64,
    clusters: u32,
}

/// A file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, the long one where it has one.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// The size of a file, in bytes.
    pub size: u64,
    cluster: u32,
}

impl<'a, R: Read + Seek> Fat<'a, R> {
    /// Reads the parameter block; `None` where it makes no sense.
    ///
    /// # Errors
    ///
    /// The disk could not be read.
    pub fn open(disk: &'a mut R, range: ByteRange) -> io::Result<Option<Self>> {
        let mut part = Window::new(disk, range);
        let head = part.read(0, 512)?;
        Ok(Self::layout(part, &head))
    }

    fn layout(part: Window<'a, R>, head: &[u8]) -> Option<Self> {
        let sector = u64::from(le16(head, 11));
        let per_cluster = u64::from(*head.get(13)?);
        let reserved = u64::from(le16(head, 14));
        let tables = u64::from(*head.get(16)?);
        let root_entries = u64::from(le16(head, 17));
        let total = match le16(head, 19) {
            0 => u64::from(le32(head, 32)),
            total => u64::from(total),
        };
        let table_sectors = match le16(head, 22) {
            0 => u64::from(le32(head, 36)),
            sectors => u64::from(sectors),
        };
        let plausible = [512, 1024, 2048, 4096].contains(&sector)
            && per_cluster.is_power_of_two()
            && reserved > 0
            && (1..=2).contains(&tables)
            && table_sectors > 0;
        if !plausible {
            return None;
        }
        // No factor exceeds 2^32, so no product exceeds 2^46.
        let table = reserved * sector;
        let table_len = table_sectors * sector;
        let root = table + tables * table_len;
        let root_len = (root_entries * 32).div_ceil(sector) * sector;
        let data = root + root_len;
        let cluster = per_cluster * sector;
        let clusters = (total * sector).checked_sub(data)? / cluster;
        let clusters = u32::try_from(clusters).ok()?;
        let width = match clusters {
            0..4085 => Width::Fat12,
            4085..65_525 => Width::Fat16,
            _ => Width::Fat32,
        };
        Some(Self {
            part,
            width,
            table,
            table_len,
            root: (root_entries > 0).then_some((root, root_len)),
            root_cluster: le32(head, 44),
            data,
            cluster,
            clusters,
        })
    }

    /// What is at a path such as `EFI/BOOT`, case ignored; `None` where there is nothing.
    ///
    /// # Errors
    ///
    /// The disk could not be read.
    pub fn find(&mut self, path: &str) -> io::Result<Option<Entry>> {
        let mut found = None;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let entries = match &found {
                None => self.root()?,
                Some(dir) => self.entries(dir)?,
            };
            found = entries
                .into_iter()
                .find(|entry| entry.name.eq_ignore_ascii_case(name));
            if found.is_none() {
                return Ok(None);
            }
        }
        Ok(found)
    }

    /// The entries of a directory at a path; none where there is no such directory.
    ///
    /// # Errors
    ///
    /// The disk could not be read.
    pub fn list(&mut self, path: &str) -> io::Result<Vec<Entry>> {
        if path.split('/').all(str::is_empty) {
            return self.root();
        }
        match self.find(path)? {
            Some(dir) => self.entries(&dir),
            None => Ok(Vec::new()),
        }
    }

    /// The first `limit` bytes of a file.
    ///
    /// # Errors
    ///
    /// The disk could not be read.
    pub fn head(&mut self, file: &Entry, limit: u64) -> io::Result<Vec<u8>> {
        self.chain(file.cluster, file.size.min(limit))
    }

    fn root(&mut self) -> io::Result<Vec<Entry>> {
        let bytes = match self.root {
            Some((start, len)) => self.part.read(start, len)?,
            None => self.chain(self.root_cluster, dir_limit())?,
        };
        Ok(entries(&bytes))
    }

    fn entries(&mut self, dir: &Entry) -> io::Result<Vec<Entry>> {
        if !dir.is_dir {
            return Ok(Vec::new());
        }
        Ok(entries(&self.chain(dir.cluster, dir_limit())?))
    }

    /// Up to `limit` bytes of the clusters that follow each other from `first` on.
    fn chain(&mut self, first: u32, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut cluster = first;
        let mut left = limit;
        for _ in 0..self.clusters {
            let Some(index) = cluster.checked_sub(2).filter(|at| *at < self.clusters) else {
                break;
            };
            let start = self.data + u64::from(index) * self.cluster;
            let wanted = self.cluster.min(left);
            let read = self.part.read(start, wanted)?;
            let whole = u64::try_from(read.len()).is_ok_and(|len| len == wanted);
            bytes.extend(read);
            left -= wanted;
            if left == 0 || !whole {
                break;
            }
            cluster = self.next(cluster)?;
        }
        Ok(bytes)
    }

    fn next(&mut self, cluster: u32) -> io::Result<u32> {
        let cluster = u64::from(cluster);
        let (offset, len) = match self.width {
            Width::Fat12 => (cluster + cluster / 2, 2),
            Width::Fat16 => (cluster * 2, 2),
            Width::Fat32 => (cluster * 4, 4),
        };
        if offset + len > self.table_len {
            return Ok(0);
        }
        let bytes = self.part.read(self.table + offset, len)?;
        let value = match self.width {
            Width::Fat12 if cluster % 2 == 1 => u32::from(le16(&bytes, 0) >> 4),
            Width::Fat12 => u32::from(le16(&bytes, 0) & 0xfff),
            Width::Fat16 => u32::from(le16(&bytes, 0)),
            Width::Fat32 => le32(&bytes, 0) & 0x0fff_ffff,
        };
        Ok(value)
    }
}

fn dir_limit() -> u64 {
    crate::units::byte_len(MAX_ENTRIES * ENTRY)
}

/// The entries of a directory. Each may have parts of its long name before it, the last part first.
fn entries(bytes: &[u8]) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut long: Vec<u8> = Vec::new();
    for raw in bytes.chunks_exact(ENTRY).take(MAX_ENTRIES) {
        match (raw[0], raw[11]) {
            (0, _) => break,
            (0xe5, _) => long.clear(),
            (order, LONG_NAME) => {
                if order & 0x40 != 0 {
                    long.clear();
                }
                if long.len() < 20 * 26 {
                    let part = [&raw[1..11], &raw[14..26], &raw[28..32]].concat();
                    long.splice(0..0, part);
                }
            }
            (_, attributes) if attributes & VOLUME != 0 => long.clear(),
            (_, attributes) => {
                let name = utf16(&long).unwrap_or_else(|| short_name(raw));
                long.clear();
                if name == "." || name == ".." {
                    continue;
                }
                found.push(Entry {
                    name,
                    is_dir: attributes & DIRECTORY != 0,
                    size: le32(raw, 28).into(),
                    cluster: (u32::from(le16(raw, 20)) << 16) | u32::from(le16(raw, 26)),
                });
            }
        }
    }
    found
}

/// `NAME.EXT` out of eight and three characters filled up with spaces.
fn short_name(raw: &[u8]) -> String {
    let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let name = part(&array::<8>(raw, 0));
    let extension = part(&array::<3>(raw, 8));
    if extension.is_empty() {
        name
    } else {
        format!("{name}.{extension}")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use byoi_agent::cmd::Cmd;
    use proptest::prelude::*;

    use super::*;

    /// A file system of these bits with a file in a directory that has a long name, behind some
    /// bytes of something else.
    fn made(bits: &str, mib: u64) -> Option<(Vec<u8>, ByteRange)> {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("fat");
        std::fs::File::create(&image)
            .unwrap()
            .set_len(mib << 20)
            .unwrap();
        let content = dir.path().join("content");
        std::fs::write(&content, vec![b'x'; 70_000]).unwrap();
        let made = Cmd::new("mkfs.fat").arg("-F").arg(bits).arg(&image).run();
        let filled = made.and_then(|_| {
            Cmd::new("mmd")
                .arg("-i")
                .arg(&image)
                .args(["::EFI", "::EFI/A long directory name"])
                .run()?;
            Cmd::new("mcopy")
                .arg("-i")
                .arg(&image)
                .arg(&content)
                .arg("::EFI/A long directory name/shimx64.efi")
                .run()
        });
        if filled.is_err() {
            eprintln!("skipped: mkfs.fat and mtools are needed");
            return None;
        }
        let mut disk = vec![0xaa; 4096];
        disk.extend(std::fs::read(&image).unwrap());
        let range = ByteRange::new(4096, mib << 20).unwrap();
        Some((disk, range))
    }

    #[test]
    fn files_are_found_in_every_width() {
        for (bits, mib) in [("12", 4), ("16", 16), ("32", 64)] {
            let Some((disk, range)) = made(bits, mib) else {
                return;
            };
            let mut disk = Cursor::new(disk);
            let mut fat = Fat::open(&mut disk, range).unwrap().unwrap();
            let path = "/efi/a LONG directory name/SHIMX64.EFI";
            let file = fat.find(path).unwrap().unwrap();
            assert_eq!(file.size, 70_000, "{bits}");
            assert_eq!(fat.head(&file, 1 << 20).unwrap(), vec![b'x'; 70_000]);
            assert_eq!(fat.head(&file, 10).unwrap().len(), 10);
            let names: Vec<String> = fat
                .list("EFI")
                .unwrap()
                .into_iter()
                .map(|entry| entry.name)
                .collect();
            assert_eq!(names, ["A long directory name"]);
            assert_eq!(fat.find("EFI/none").unwrap(), None);
            assert_eq!(
                fat.find("EFI/A long directory name/shimx64.efi/x").unwrap(),
                None
            );
        }
    }

    #[test]
    fn a_chain_that_leads_back_ends() {
        let Some((mut disk, range)) = made("16", 16) else {
            return;
        };
        // Every cluster leads to cluster 2.
        let table = 4096 + usize::from(le16(&disk[4096..], 14)) * 512;
        for entry in disk[table + 4..table + 20_000].chunks_exact_mut(2) {
            entry.copy_from_slice(&[2, 0]);
        }
        let mut disk = Cursor::new(disk);
        let mut fat = Fat::open(&mut disk, range).unwrap().unwrap();
        assert!(fat.list("EFI").unwrap().len() <= MAX_ENTRIES);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(
            head in proptest::collection::vec(any::<u8>(), 48),
            rest in proptest::collection::vec(any::<u8>(), 0..4000),
        ) {
            let mut bytes = head;
            bytes[11..14].copy_from_slice(&[0, 2, 1]);
            bytes[16] = 1;
            bytes[14..16].copy_from_slice(&[1, 0]);
            bytes.extend(rest);
            let range = ByteRange::new(0, bytes.len() as u64).unwrap();
            let mut disk = Cursor::new(bytes);
            if let Some(mut fat) = Fat::open(&mut disk, range).unwrap() {
                for entry in fat.list("").unwrap().iter().take(4) {
                    let _ = fat.head(entry, 10_000).unwrap();
                    let _ = fat.entries(entry).unwrap();
                }
            }
        }
    }
}
