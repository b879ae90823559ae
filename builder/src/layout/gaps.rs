//! The gaps of a disk: bytes that belong to no partition, where remains of deleted ones lie.
//!
//! Nothing that starts the machine, describes the disk or may be in use counts as a gap:
//!
//! * the first MiB, with boot code, GRUB's core image and the primary GPT, and the last one, with
//!   the backup GPT, the metadata of RAID controllers and of Windows' dynamic disks;
//! * what lies before the first partition, unless it is known who wrote sector 0: none of the
//!   loaders that byoi knows reads from there, behind the first MiB;
//! * the gap that GRUB's core image lies in, as after a BIOS boot partition was given up;
//! * what a GPT keeps from its partitions, and both its tables;
//! * an extended partition as a whole: the records between the logical ones may hold boot code.
//!
//! There is no gap at all where the table does not tell for certain who owns what: partitions that
//! overlap or lie outside of the disk, a broken chain, a hybrid MBR, a GPT that is stale or of
//! which one copy is damaged, a disk that is as a whole a member of a RAID or something else
//! that has a superblock.

use std::io::{self, Read, Seek};

use super::{BootCode, Content, ContentKind, HeaderState, Layout, PartitionTable, Slot, gpt};
use crate::bytes::{Window, be32, sector};
use crate::units::{ByteRange, Lba, SECTOR_SIZE};

/// What stays at either end of the disk, in bytes.
const EDGE: u64 = 1024 * 1024;
/// What the last sector of a disk of a DDF RAID begins with (SNIA, "Common RAID Disk Data Format"):
/// how far back its metadata reach, only they tell.
const DDF_MAGIC: u32 = 0xde11_de11;

impl Layout {
    /// Whether two partitions claim the same bytes, or one claims bytes behind the end of the disk.
    pub(crate) fn is_contested(&self) -> bool {
        let mut end = 0;
        let mut ranges: Vec<ByteRange> = self
            .partitions
            .iter()
            .filter(|partition| partition.slot != Slot::Extended)
            .map(|partition| partition.range)
            .collect();
        ranges.sort();
        ranges.into_iter().any(|range| {
            let contested = range.start() < end || range.end() > self.disk_size;
            end = range.end();
            contested
        })
    }

    /// The gaps of the disk, in ascending order.
    ///
    /// # Errors
    ///
    /// The disk cannot be read.
    pub(crate) fn gaps<R: Read + Seek>(&self, disk: &mut R) -> io::Result<Vec<ByteRange>> {
        let mut partitions: Vec<ByteRange> = self.partitions.iter().map(|one| one.range).collect();
        partitions.sort();
        let (Some(first), Some(free)) = (partitions.first(), self.unreserved(disk)?) else {
            return Ok(Vec::new());
        };
        let code = BootCode::recognise(&sector(disk, Lba::ZERO)?);
        let mut at = match code {
            BootCode::Unknown => free.start().max(first.start()),
            _ => free.start(),
        };
        let end = ByteRange::new(free.end(), 0);
        let mut gaps = Vec::new();
        for range in partitions.iter().copied().chain(end) {
            let until = range.start().min(free.end());
            gaps.extend(
                until
                    .checked_sub(at)
                    .and_then(|len| ByteRange::new(at, len)),
            );
            at = at.max(range.end());
        }
        let embedded = match code {
            BootCode::Grub2 { core_image } => ByteRange::of_sectors(core_image, 1),
            _ => None,
        };
        gaps.retain(|gap| !gap.is_empty() && !embedded.is_some_and(|sector| gap.overlaps(sector)));
        Ok(gaps)
    }

    /// Between what and what gaps may lie; `None` where it is not certain.
    fn unreserved<R: Read + Seek>(&self, disk: &mut R) -> io::Result<Option<ByteRange>> {
        let size = self.disk_size / SECTOR_SIZE * SECTOR_SIZE;
        let Some(whole) = size
            .checked_sub(2 * EDGE)
            .and_then(|len| ByteRange::new(EDGE, len))
        else {
            return Ok(None);
        };
        let usable = match &self.table {
            PartitionTable::Dos {
                chain_faults,
                stale_gpt: false,
                ..
            } if chain_faults.is_empty() => Some(whole),
            PartitionTable::Gpt {
                primary: HeaderState::Valid,
                backup: HeaderState::Valid,
                hybrid: false,
                ..
            } => gpt::usable(disk, self.disk_size)?.and_then(|usable| {
                let start = usable.start().max(whole.start());
                let len = usable.end().min(whole.end()).checked_sub(start)?;
                ByteRange::new(start, len)
            }),
            _ => None,
        };
        let extended_outside = self.partitions.iter().any(|one| one.range.end() > size);
        if usable.is_none() || self.is_contested() || extended_outside {
            return Ok(None);
        }
        let last = Lba::new((size / SECTOR_SIZE).saturating_sub(1));
        let range = ByteRange::new(0, size).unwrap_or(ByteRange::EMPTY);
        let content = Content::probe(&mut Window::new(disk, range))?;
        let claimed =
            content.kind != ContentKind::Unknown || be32(&sector(disk, last)?, 0) == DDF_MAGIC;
        Ok(usable.filter(|_| !claimed))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    use byoi_agent::cmd::Cmd;
    use proptest::{collection, prelude::*};
    use tempfile::NamedTempFile;

    use super::*;
    use crate::bytes::FirstBytes;

    const MIB: u64 = 1024 * 1024;
    /// The gaps of the tables below: where they begin and end, in MiB.
    const BETWEEN: &[(u64, u64)] = &[(1, 8), (16, 24), (40, 63)];

    /// A disk of 64 MiB, divided by sfdisk.
    fn disk(script: &str) -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        file.as_file().set_len(64 * MIB).unwrap();
        Cmd::new("sh")
            .args(["-c", "printf '%b' \"$1\" | sfdisk -q \"$2\"", "sh", script])
            .arg(file.path())
            .run()
            .unwrap();
        file
    }

    fn gaps(disk: &NamedTempFile) -> Vec<(u64, u64)> {
        let layout = Layout::of_file(disk.as_file(), 64 * MIB).unwrap();
        let gaps = layout.gaps(&mut disk.reopen().unwrap()).unwrap();
        assert!(
            gaps.iter()
                .all(|gap| gap.start() % MIB == 0 && gap.len() % MIB == 0)
        );
        let in_mib = |gap: &ByteRange| (gap.start() / MIB, gap.end() / MIB);
        gaps.iter().map(in_mib).collect()
    }

    /// What sfdisk tells of a table, and whether it finds nothing wrong with it.
    fn told(disk: &Path) -> (Vec<u8>, bool) {
        let dump = Cmd::new("sfdisk").arg("--dump").arg(disk).run().unwrap();
        let verified = Cmd::new("sfdisk").args(["-q", "--verify"]).arg(disk).run();
        (dump.stdout, verified.is_ok())
    }

    const DOS: &str = "label: dos\\nstart=8M,size=8M\\nstart=24M,size=16M\\n";
    const GPT: &str = "label: gpt\\nstart=24M,size=16M\\nstart=8M,size=8M\\n";
    const EXTENDED: &str = "label: dos\\nstart=8M,size=8M\\nstart=24M,size=16M,type=5\\n\
                            start=25M,size=2M\\nstart=32M,size=2M\\n";

    #[test]
    fn gaps_lie_between_partitions_and_hold_nothing_of_the_table() {
        for script in [DOS, GPT, EXTENDED] {
            let disk = disk(script);
            assert_eq!(gaps(&disk), BETWEEN, "{script}");
            let before = told(disk.path());
            assert!(before.1, "{script}");
            let layout = Layout::of_file(disk.as_file(), 64 * MIB).unwrap();
            for gap in layout.gaps(&mut disk.reopen().unwrap()).unwrap() {
                let noise = vec![0xa5; usize::try_from(gap.len()).unwrap()];
                disk.as_file().write_all_at(&noise, gap.start()).unwrap();
            }
            assert_eq!(told(disk.path()), before, "{script}");
            let after = Layout::of_file(disk.as_file(), 64 * MIB).unwrap();
            assert_eq!(after, layout, "{script}");
        }
    }

    #[test]
    fn what_may_start_the_machine_is_no_gap() {
        let disk = disk(DOS);
        let file = disk.as_file();
        // Nobody knows what this code reads.
        file.write_all_at(&[0xeb, 0x10, 0x90], 0).unwrap();
        assert_eq!(gaps(&disk), BETWEEN[1..]);
        let grub = std::fs::read("/usr/lib/grub/i386-pc/boot.img").unwrap();
        file.write_all_at(&grub[..440], 0).unwrap();
        assert_eq!(gaps(&disk), BETWEEN);
        let core_image = 20 * MIB / SECTOR_SIZE;
        file.write_all_at(&core_image.to_le_bytes(), 0x5c).unwrap();
        assert_eq!(gaps(&disk), [BETWEEN[0], BETWEEN[2]]);
    }

    #[test]
    fn where_it_is_not_certain_there_is_no_gap() {
        let last = 64 * MIB - SECTOR_SIZE;
        let md_superblock = [0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0];
        let gpt_header = b"EFI PART";
        let cases: [(&str, u64, &[u8]); 8] = [
            // The second partition begins within the first, or ends behind the disk.
            (DOS, 470, &(9 * MIB / SECTOR_SIZE).to_le_bytes()[..4]),
            (DOS, 474, &(41 * MIB / SECTOR_SIZE).to_le_bytes()[..4]),
            // The chain of logical partitions is broken.
            (EXTENDED, 24 * MIB + 510, &[0]),
            (DOS, 512, gpt_header),
            // One copy is damaged; the MBR has entries of its own.
            (GPT, last + 16, &[0; 4]),
            (GPT, 462, &[0, 0, 0, 0, 0x83, 0, 0, 0, 1, 0, 0, 0, 1]),
            // Members of RAIDs.
            (DOS, 64 * MIB - 8192, &md_superblock),
            (DOS, last, &DDF_MAGIC.to_be_bytes()),
        ];
        for (script, at, bytes) in cases {
            let disk = disk(script);
            disk.as_file().write_all_at(bytes, at).unwrap();
            assert_eq!(gaps(&disk), [], "{bytes:x?} at {at}");
        }
        let bare = NamedTempFile::new().unwrap();
        bare.as_file().set_len(64 * MIB).unwrap();
        assert_eq!(gaps(&bare), []);
    }

    proptest! {
        /// Whatever a table says: no byte of a partition, nor of the ends of the disk, is in a gap.
        #[test]
        fn gaps_are_nobodys(
            entries in collection::vec((0_u32..70, 0_u32..70, 0_u8..0x90), 1..=4),
            disk_size in 0..70 * MIB,
        ) {
            let file = tempfile::tempfile().unwrap();
            file.set_len(disk_size).unwrap();
            for (entry, (start, len, kind)) in (0_u64..).zip(&entries) {
                // In units of a MiB.
                let place = [(start * 2048).to_le_bytes(), (len * 2048).to_le_bytes()].concat();
                file.write_all_at(&[*kind], 446 + 16 * entry + 4).unwrap();
                file.write_all_at(&place, 446 + 16 * entry + 8).unwrap();
            }
            file.write_all_at(&[0x55, 0xaa], 510).unwrap();
            let layout = Layout::of_file(&file, disk_size).unwrap();
            let mut end = EDGE;
            for gap in layout.gaps(&mut FirstBytes::of(&file, disk_size)).unwrap() {
                prop_assert!(end <= gap.start() && gap.end() + EDGE <= disk_size);
                prop_assert!(!layout.partitions.iter().any(|one| one.range.overlaps(gap)));
                end = gap.end();
            }
        }
    }
}
