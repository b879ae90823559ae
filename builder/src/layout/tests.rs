use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Cursor;
use std::os::unix::fs::FileExt;
use std::path::Path;

use byoi_agent::cmd::Cmd;
use proptest::prelude::*;

use super::findings::findings;
use super::*;
use crate::bytes::crc32;
use crate::lvm::testing;
use byoi_agent::finding::Severity;

const MIB: u64 = 1024 * 1024;

/// A disk of `sectors` sectors with boot records in some of them: flag, type, first, count.
fn disk(sectors: usize, records: &[(usize, &[(u8, u8, u32, u32)])]) -> Vec<u8> {
    let mut bytes = vec![0; sectors * 512];
    for (lba, entries) in records {
        let record = &mut bytes[lba * 512..][..512];
        for (entry, (flag, type_byte, first, count)) in entries.iter().enumerate() {
            let entry = &mut record[446 + 16 * entry..][..16];
            entry[0] = *flag;
            entry[4] = *type_byte;
            entry[8..12].copy_from_slice(&first.to_le_bytes());
            entry[12..16].copy_from_slice(&count.to_le_bytes());
        }
        record[510..].copy_from_slice(&[0x55, 0xaa]);
    }
    bytes
}

fn read(bytes: Vec<u8>) -> Layout {
    Layout::read(&mut Cursor::new(bytes)).unwrap()
}

fn read_file(path: &Path) -> Layout {
    Layout::read(&mut File::open(path).unwrap()).unwrap()
}

fn chain_faults(layout: &Layout) -> Vec<(u64, ChainFaultKind)> {
    match &layout.table {
        PartitionTable::Dos { chain_faults, .. } => chain_faults
            .iter()
            .map(|fault| (fault.at.get(), fault.kind))
            .collect(),
        other => panic!("{other:?}"),
    }
}

/// The rules that find something, with their severity.
fn rules(layout: &Layout) -> Vec<(&'static str, Severity)> {
    findings(layout, false)
        .iter()
        .map(|finding| (finding.rule, finding.severity))
        .collect()
}

#[test]
fn broken_chains_end() {
    use ChainFaultKind::{Loop, NoSignature, OutsideDisk};
    type Records<'a> = &'a [(usize, &'a [(u8, u8, u32, u32)])];
    let extended: &[_] = &[(0, 0x05, 100, 900)];
    let data = (0, 0x83, 1, 9);
    let cases: [(Records, &[(u64, ChainFaultKind)], usize); 6] = [
        // One logical partition, no link: nothing wrong.
        (&[(0, extended), (100, &[data])], &[], 1),
        // A record that links to itself, and two that link to each other.
        (
            &[(0, extended), (100, &[data, (0, 0x05, 0, 10)])],
            &[(100, Loop)],
            1,
        ),
        (
            &[
                (0, extended),
                (100, &[data, (0, 0x05, 50, 10)]),
                (150, &[data, (0, 0x0f, 0, 10)]),
            ],
            &[(100, Loop)],
            2,
        ),
        // A link behind the end of the disk, also of a 32-bit sector number.
        (
            &[(0, extended), (100, &[data, (0, 0x05, u32::MAX, 10)])],
            &[(100 + u64::from(u32::MAX), OutsideDisk)],
            1,
        ),
        (&[(0, &[(0, 0x05, 5000, 10)])], &[(5000, OutsideDisk)], 0),
        // A link to a sector of zeros.
        (
            &[(0, extended), (100, &[data, (0, 0x05, 60, 10)])],
            &[(160, NoSignature)],
            1,
        ),
    ];
    for (records, faults, logical) in cases {
        let layout = read(disk(1000, records));
        assert_eq!(chain_faults(&layout), faults, "{records:?}");
        let numbers: Vec<_> = layout
            .partitions
            .iter()
            .filter(|partition| partition.slot == Slot::Logical)
            .map(|partition| partition.number)
            .collect();
        let expected: Vec<_> = (5..).take(logical).collect();
        assert_eq!(numbers, expected, "{records:?}");
        let reported = rules(&layout)
            .iter()
            .filter(|(rule, _)| *rule == "disk/partition-bounds")
            .count();
        assert!(reported >= faults.len(), "{records:?}");
    }
}

#[test]
fn a_chain_without_partitions_or_end_is_given_up() {
    let mut bytes = disk(2000, &[(0, &[(0, 0x05, 10, 1900)])]);
    for index in 0_u32..500 {
        let lba = 10 + usize::try_from(index).unwrap();
        let link: &[_] = &[(0, 0, 0, 0), (0, 0x05, index + 1, 1)];
        let record = disk(1, &[(0, link)]);
        bytes[lba * 512..][..512].copy_from_slice(&record);
    }
    let layout = read(bytes);
    assert_eq!(chain_faults(&layout)[0].1, ChainFaultKind::TooLong);
}

#[test]
fn what_is_wrong_is_found() {
    use Severity::{Blocker, Note, Warning};
    let cases: [(&str, Vec<u8>, &[(&str, Severity)]); 7] = [
        ("zeros", vec![0; 4096], &[("disk/mbr-signature", Blocker)]),
        ("cut off", vec![0; 100], &[("disk/mbr-signature", Blocker)]),
        (
            "no boot code",
            disk(100, &[(0, &[(0x80, 0x83, 10, 10)])]),
            &[("disk/mbr-boot-code", Blocker)],
        ),
        (
            "past the end",
            disk(100, &[(0, &[(0x80, 0x83, 10, 91)])]),
            &[
                ("disk/mbr-boot-code", Blocker),
                ("disk/partition-bounds", Blocker),
            ],
        ),
        (
            "overlap, none active",
            disk(100, &[(0, &[(0, 0x83, 10, 20), (0, 0x83, 29, 20)])]),
            &[
                ("disk/mbr-boot-code", Blocker),
                ("disk/partition-overlap", Warning),
                ("disk/active-partition", Warning),
            ],
        ),
        (
            "UEFI only",
            disk(100, &[(0, &[(0x80, 0xef, 10, 20)])]),
            &[("disk/mbr-boot-code", Warning)],
        ),
        (
            "unknown boot code, two active",
            {
                let mut bytes = disk(100, &[(0, &[(0x80, 0x83, 10, 9), (0x80, 0x83, 30, 9)])]);
                bytes[0] = 0xeb;
                bytes
            },
            &[
                ("disk/mbr-boot-code", Note),
                ("disk/active-partition", Warning),
            ],
        ),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(rules(&read(bytes)), expected, "{name}");
    }
}

#[test]
fn a_logical_partition_outside_its_container_is_found() {
    let records: &[(usize, &[_])] = &[(0, &[(0x80, 0x05, 100, 100)]), (100, &[(0, 0x83, 10, 200)])];
    let layout = read(disk(1000, records));
    assert!(rules(&layout).contains(&("disk/partition-bounds", Severity::Blocker)));
}

fn partition_table(path: &Path, script: &str) {
    Cmd::new("sh")
        .args([
            "-c",
            "printf '%b' \"$1\" | sfdisk -q --no-tell-kernel \"$2\"",
            "sh",
            script,
        ])
        .arg(path)
        .run()
        .unwrap();
}

/// What sfdisk says: device number, first sector, count, PARTUUID.
fn sfdisk(path: &Path) -> Vec<(u32, u64, u64)> {
    let output = Cmd::new("sfdisk").arg("--json").arg(path).run().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = path.to_str().unwrap();
    json["partitiontable"]["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|partition| {
            let node = partition["node"].as_str().unwrap();
            (
                node.strip_prefix(name).unwrap().parse().unwrap(),
                partition["start"].as_u64().unwrap(),
                partition["size"].as_u64().unwrap(),
            )
        })
        .collect()
}

fn ours(layout: &Layout) -> Vec<(u32, u64, u64)> {
    layout
        .partitions
        .iter()
        .map(|partition| {
            let range = partition.range;
            (partition.number, range.start() / 512, range.len() / 512)
        })
        .collect()
}

#[test]
fn tables_of_sfdisk_are_read_as_sfdisk_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    File::create(&path).unwrap().set_len(64 * MIB).unwrap();
    for script in [
        "label: dos\\nsize=8M,type=83,bootable\\nsize=4M,type=82\\n",
        "label: dos\\nsize=4M,type=83\\ntype=5\\nsize=4M,type=83\\nsize=4M,type=82\\nsize=4M\\n",
        "label: gpt\\nsize=1M,type=21686148-6449-6E6F-744E-656564454649\\nsize=8M,name=root\\n",
        "label: gpt\\nfirst-lba: 2048\\nsize=8M,type=U\\n",
    ] {
        partition_table(&path, script);
        let layout = read_file(&path);
        assert_eq!(ours(&layout), sfdisk(&path), "{script}");
        assert!(!layout.partitions.is_empty());
        let wrong: Vec<_> = findings(&layout, false)
            .into_iter()
            .filter(|finding| finding.rule.starts_with("disk/partition"))
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

#[test]
fn partuuids_are_those_of_blkid() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    File::create(&path).unwrap().set_len(64 * MIB).unwrap();
    for script in [
        "label: dos\\nlabel-id: 0x0badcafe\\nsize=4M\\ntype=5\\nsize=4M\\n",
        "label: gpt\\nsize=8M,name=root,uuid=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709\\n",
    ] {
        partition_table(&path, script);
        for partition in read_file(&path).partitions {
            // `-n` wants a number relative to the table; the offset picks the entry.
            let output = Cmd::new("sfdisk")
                .args(["--json"])
                .arg(&path)
                .run()
                .unwrap();
            let json = String::from_utf8(output.stdout).unwrap().to_lowercase();
            let disk_id =
                json.contains("\"id\":\"0x0badcafe\"") || json.contains("\"id\": \"0x0badcafe\"");
            if partition.slot == Slot::Gpt {
                assert!(json.contains(&partition.part_uuid), "{json}");
            } else {
                assert!(disk_id, "{json}");
                assert_eq!(
                    partition.part_uuid,
                    format!("0badcafe-{:02x}", partition.number)
                );
            }
        }
    }
}

#[test]
fn a_damaged_gpt_is_read_from_its_other_copy() {
    use HeaderState::{HeaderChecksum, Missing, TableChecksum, Valid};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    File::create(&path).unwrap().set_len(64 * MIB).unwrap();
    let last = 64 * MIB - 512;
    let cases: [(&[u64], HeaderState, HeaderState, usize); 6] = [
        (&[], Valid, Valid, 2),
        (&[512], Missing, Valid, 2),
        // The first byte of the range for partitions, and the first of the table.
        (&[512 + 40], HeaderChecksum, Valid, 2),
        (&[1024], TableChecksum, Valid, 2),
        (&[last], Valid, Missing, 2),
        (&[512, last], Missing, Missing, 0),
    ];
    for (damage, primary, backup, count) in cases {
        partition_table(&path, "label: gpt\\nsize=8M\\nsize=8M\\n");
        let file = File::options().read(true).write(true).open(&path).unwrap();
        for &offset in damage {
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset).unwrap();
            file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
        }
        let layout = read_file(&path);
        assert!(
            matches!(layout.table, PartitionTable::Gpt { primary: p, backup: b, .. }
                if (p, b) == (primary, backup)),
            "{damage:?} {:?}",
            layout.table
        );
        assert_eq!(layout.partitions.len(), count, "{damage:?}");
        let severity = |accept_gpt| {
            let found = findings(&layout, accept_gpt).into_iter();
            let mut severities = found
                .filter(|finding| finding.rule == "disk/gpt")
                .map(|finding| finding.severity);
            severities.next()
        };
        let accepted = match count {
            0 => Severity::Blocker,
            _ => Severity::Warning,
        };
        assert_eq!(severity(true), Some(accepted), "{damage:?}");
        assert_eq!(severity(false), Some(Severity::Blocker), "{damage:?}");
    }
}

#[test]
fn gpt_headers_that_cannot_be_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let cases: [(usize, &[u8]); 7] = [
        // How many entries, and how large they are.
        (80, &u32::MAX.to_le_bytes()),
        (84, &0_u32.to_le_bytes()),
        (84, &u32::MAX.to_le_bytes()),
        (84, &136_u32.to_le_bytes()),
        // Where the table is, where the header is, how long it is.
        (72, &u64::MAX.to_le_bytes()),
        (24, &7_u64.to_le_bytes()),
        (12, &4096_u32.to_le_bytes()),
    ];
    for (at, bytes) in cases {
        fs::remove_file(&path).ok();
        File::create(&path).unwrap().set_len(64 * MIB).unwrap();
        partition_table(&path, "label: gpt\\nsize=8M\\nsize=8M\\n");
        let mut disk = fs::read(&path).unwrap();
        let header = &mut disk[512..1024];
        header[at..at + bytes.len()].copy_from_slice(bytes);
        header[16..20].fill(0);
        let sum = !crc32(u32::MAX, &header[..92]);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        let layout = read(disk);
        let PartitionTable::Gpt {
            primary, backup, ..
        } = layout.table
        else {
            panic!("{:?}", layout.table);
        };
        assert_eq!(primary, HeaderState::Implausible, "{at}");
        assert_eq!(backup, HeaderState::Valid, "{at}");
        assert_eq!(layout.partitions.len(), 2, "{at}");
    }
}

#[test]
fn a_disk_that_was_enlarged_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let file = File::create(&path).unwrap();
    file.set_len(64 * MIB).unwrap();
    partition_table(
        &path,
        "label: gpt\\nsize=8M,type=uefi\\nsize=1M,type=21686148-6449-6E6F-744E-656564454649\\n",
    );
    file.set_len(80 * MIB).unwrap();
    let layout = read_file(&path);
    assert!(
        matches!(
            layout.table,
            PartitionTable::Gpt {
                primary: HeaderState::Valid,
                backup: HeaderState::Displaced,
                ..
            }
        ),
        "{:?}",
        layout.table
    );
    assert!(rules(&layout).contains(&("disk/gpt", Severity::Blocker)));
    let roles: Vec<_> = layout.partitions.iter().map(Partition::role).collect();
    assert_eq!(roles, [Some("EFI system"), Some("BIOS boot")]);
}

/// A disk with one partition, a physical volume with this text.
fn disk_with_group(text: &str) -> Vec<u8> {
    let mut bytes = disk(2048, &[(0, &[(0x80, 0x8e, 2048, 6144)])]);
    bytes.extend(testing::volume('a', 3 * 1024 * 1024, text, 512));
    bytes
}

#[test]
fn volume_groups_are_part_of_the_layout() {
    let root = testing::logical("ro-ot", &[(4, &testing::linear("pv0", 2))]);
    let hidden =
        testing::logical("hidden", &[(1, &testing::linear("pv0", 9))]).replace(", \"VISIBLE\"", "");
    let partial = testing::logical("usr", &[(1, &testing::linear("pv1", 0))]);
    let text = testing::text(7, "ab", &(root + &hidden + &partial));
    let mut bytes = disk_with_group(&text);
    let start = 2 * 1024 * 1024 + 2 * 64 * 1024;
    bytes[start + 4086..][..10].copy_from_slice(b"SWAPSPACE2");
    let layout = read(bytes);
    let json = serde_json::to_value(&layout.volume_groups).unwrap();
    let uuid = testing::uuid;
    let missing = format!("the physical volume {} is not on this disk", uuid('b'));
    let expected = serde_json::json!([{
        "name": "vg",
        "uuid": uuid('g'),
        "seqno": 7,
        "extent_size": 65536,
        "physical_volumes": [
            {"uuid": uuid('a'), "partition": 1, "size": 1_048_576},
            {"uuid": uuid('b'), "partition": null, "size": 1_048_576},
        ],
        "logical_volumes": [
            {
                "name": "ro-ot", "uuid": "ro-ot", "kind": "linear", "visible": true,
                "size": 262_144, "partition": 1, "range": {"start": start, "len": 262_144},
                "content": {"kind": "swap"},
            },
            {
                "name": "hidden", "uuid": "hidden", "kind": "linear", "visible": false,
                "size": 65536, "partition": 1,
                "range": {"start": start + 7 * 65536, "len": 65536},
                "content": {"kind": "unknown"},
            },
            {
                "name": "usr", "uuid": "usr", "kind": "linear", "visible": true,
                "size": 65536, "partition": null, "content": {"kind": "unknown"},
                "obstacle": missing,
            },
        ],
    }]);
    assert_eq!(json, expected);
    let found = rules(&layout);
    assert!(
        found.contains(&("disk/missing-volume", Severity::Warning)),
        "{found:?}"
    );
    let partial = super::findings::partial_volumes(&layout);
    assert_eq!(partial.len(), 1);
    assert_eq!(partial[0].subject, "logical volume vg/usr");
    assert!(partial[0].blocks());
    let shown = layout.to_string();
    for line in [
        "volume      vg/ro-ot 262144 bytes, linear, swap\n",
        "(not on this disk)",
        "(cannot be had: the physical volume",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(!shown.contains("hidden"), "{shown}");
}

#[test]
fn metadata_that_cannot_be_are_a_finding() {
    let text = testing::text(1, "a", "root {\n");
    let layout = read(disk_with_group(&text));
    assert_eq!(layout.volume_groups, []);
    assert!(rules(&layout).contains(&("disk/lvm-metadata", Severity::Warning)));
}

#[test]
fn extents_that_another_partition_covers_are_not_free() {
    let text = testing::text(1, "a", "");
    let free = |bytes| read(bytes).volume_groups[0].free.len();
    let mut bytes = disk_with_group(&text);
    assert_eq!(free(bytes.clone()), 1);
    let other = disk(1, &[(0, &[(0x80, 0x8e, 2048, 6144), (0, 0x83, 5000, 10)])]);
    bytes[..512].copy_from_slice(&other);
    assert_eq!(free(bytes), 0);
}

/// What blkid says about a whole file.
fn blkid(path: &Path) -> BTreeMap<String, String> {
    let output = Cmd::new("blkid")
        .args(["-p", "-o", "export"])
        .arg(path)
        .run()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.replace("\\ ", " ")))
        .collect()
}

fn content(path: &Path) -> Content {
    let mut file = File::open(path).unwrap();
    let len = file.metadata().unwrap().len();
    let whole = ByteRange::new(0, len).unwrap();
    Content::probe(&mut Window::new(&mut file, whole)).unwrap()
}

#[test]
fn superblocks_are_read_as_blkid_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("part");
    let luks =
        "echo secret | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    for (kind, size, make) in [
        (ContentKind::Ext2, 16, "mkfs.ext2 -q -L old"),
        (ContentKind::Ext3, 16, "mkfs.ext3 -q"),
        (ContentKind::Ext4, 16, "mkfs.ext4 -q -L 'a root fs'"),
        (
            ContentKind::Ext4,
            16,
            "mkfs.ext4 -q -b 4096 -O ^has_journal",
        ),
        (ContentKind::Xfs, 320, "mkfs.xfs -q -L data"),
        (ContentKind::Btrfs, 128, "mkfs.btrfs -q -L sub"),
        (ContentKind::Vfat, 16, "mkfs.vfat -F 12 -n BOOT"),
        (ContentKind::Vfat, 16, "mkfs.vfat -F 16"),
        (ContentKind::Vfat, 64, "mkfs.vfat -F 32 -n EFI"),
        (ContentKind::Vfat, 64, "mkfs.vfat -F 32"),
        (ContentKind::Ntfs, 16, "mkfs.ntfs -q -F"),
        (
            ContentKind::Ntfs,
            16,
            "mkfs.ntfs -q -F -c 65536 -L 'Daten und mehr'",
        ),
        (ContentKind::ExFat, 16, "mkfs.exfat"),
        (ContentKind::ExFat, 16, "mkfs.exfat -L stick"),
        (ContentKind::Swap, 16, "mkswap -q -L sw"),
        (ContentKind::Luks1, 32, &format!("{luks} --type luks1")),
        (
            ContentKind::Luks2,
            32,
            &format!("{luks} --type luks2 --label l2"),
        ),
        (
            ContentKind::Hibernated,
            16,
            "sh -c 'mkswap -q \"$1\"; printf \"S1SUSPEND\\0\" | \
             dd of=\"$1\" bs=1 seek=4086 conv=notrunc status=none' sh",
        ),
    ] {
        fs::remove_file(&path).ok();
        File::create(&path).unwrap().set_len(size * MIB).unwrap();
        Cmd::new("sh")
            .args(["-c", &format!("{make} \"$0\"")])
            .arg(&path)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .run()
            .unwrap();
        let content = content(&path);
        let blkid = blkid(&path);
        assert_eq!(content.kind, kind, "{make}: {blkid:?}");
        assert_eq!(
            blkid.get("TYPE").map(String::as_str),
            Some(kind.name()),
            "{make}"
        );
        assert_eq!(content.uuid.as_ref(), blkid.get("UUID"), "{make}");
        assert_eq!(content.label.as_ref(), blkid.get("LABEL"), "{make}");
        if kind.linux_fs().is_some_and(|fs| fs != LinuxFs::Xfs) {
            let size = content.block_size.map(|size| size.to_string());
            assert_eq!(size.as_ref(), blkid.get("BLOCK_SIZE"), "{make}");
        }
    }
}

#[test]
fn raid_members_are_read_as_blkid_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("part");
    let uuid: Vec<u8> = (1..=16).collect();
    let at_end = (8 * MIB / 512 - 16) * 512;
    for offset in [0, 4096, at_end] {
        let mut block = vec![0; 512];
        block[..4].copy_from_slice(&0xa92b_4efc_u32.to_le_bytes());
        block[4..8].copy_from_slice(&1_u32.to_le_bytes());
        block[16..32].copy_from_slice(&uuid);
        block[32..41].copy_from_slice(b"host:root");
        block[144..152].copy_from_slice(&(offset / 512).to_le_bytes());
        compare_raid(&path, &block, offset);
    }
    let mut block = vec![0; 4096];
    block[..4].copy_from_slice(&0xa92b_4efc_u32.to_le_bytes());
    block[8..12].copy_from_slice(&90_u32.to_le_bytes());
    block[20..24].copy_from_slice(&uuid[..4]);
    block[52..64].copy_from_slice(&uuid[4..]);
    // Size and disks, which blkid wants to make sense.
    block[4..8].copy_from_slice(&0_u32.to_le_bytes());
    compare_raid(&path, &block, 8 * MIB - 64 * 1024);
}

/// A pair of a list in XDR: a name, a type, one value.
fn xdr_pair(name: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    let word = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    let mut pair = Vec::new();
    pair.extend(word(name.len()));
    pair.extend(name.as_bytes());
    pair.resize(pair.len().next_multiple_of(4), 0);
    pair.extend(kind.to_be_bytes());
    pair.extend(word(1));
    pair.extend(value);
    pair.resize(pair.len().next_multiple_of(4), 0);
    [word(pair.len() + 8).to_vec(), word(64).to_vec(), pair].concat()
}

#[test]
fn zfs_and_bcache_are_read_as_blkid_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("part");
    let mut zfs = vec![0; 256 * 1024];
    let name = [&4_u32.to_be_bytes()[..], b"tank"].concat();
    let pairs = [
        vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        xdr_pair("version", 8, &5000_u64.to_be_bytes()),
        xdr_pair("name", 9, &name),
        xdr_pair("pool_guid", 8, &1_234_567_890_123_456_789_u64.to_be_bytes()),
        xdr_pair("guid", 8, &42_u64.to_be_bytes()),
        vec![0; 8],
    ]
    .concat();
    zfs[16 * 1024..][..pairs.len()].copy_from_slice(&pairs);
    for block in zfs[128 * 1024..].chunks_exact_mut(1024).take(8) {
        block[..8].copy_from_slice(&0x00ba_b10c_u64.to_le_bytes());
        block[8..16].copy_from_slice(&5000_u64.to_le_bytes());
    }
    let mut bcache = vec![0; 8192];
    bcache[4096 + 8..][..8].copy_from_slice(&8_u64.to_le_bytes());
    bcache[4096 + 24..][..16].copy_from_slice(&[
        0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d,
        0x81,
    ]);
    bcache[4096 + 40..][..16].fill(0x5a);
    bcache[4096 + 72..][..5].copy_from_slice(b"cache");
    for (bytes, kind, uuid, label) in [
        (zfs, ContentKind::Zfs, "1234567890123456789", "tank"),
        (
            bcache,
            ContentKind::Bcache,
            "5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a",
            "cache",
        ),
    ] {
        fs::remove_file(&path).ok();
        let file = File::create(&path).unwrap();
        file.set_len(64 * MIB).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        let content = content(&path);
        assert_eq!(content.kind, kind);
        assert_eq!(content.uuid.as_deref(), Some(uuid));
        assert_eq!(content.label.as_deref(), Some(label));
        // Newer versions of blkid also want a checksum, and then say nothing.
        let blkid = blkid(&path);
        if !blkid.is_empty() {
            assert_eq!(blkid.get("TYPE").map(String::as_str), Some(kind.name()));
            assert_eq!(blkid.get("UUID").map(String::as_str), Some(uuid));
        }
    }
}

fn compare_raid(path: &Path, block: &[u8], offset: u64) {
    fs::remove_file(path).ok();
    let file = File::create(path).unwrap();
    file.set_len(8 * MIB).unwrap();
    file.write_all_at(block, offset).unwrap();
    let content = content(path);
    assert_eq!(content.kind, ContentKind::MdRaid, "{offset}");
    let blkid = blkid(path);
    // Newer versions of blkid also want a checksum, and then say nothing.
    if !blkid.is_empty() {
        assert_eq!(
            content.uuid.as_ref(),
            blkid.get("UUID"),
            "{offset} {blkid:?}"
        );
        assert_eq!(
            content.label.as_ref(),
            blkid.get("LABEL"),
            "{offset} {blkid:?}"
        );
    }
}

#[test]
fn bare_file_systems_are_no_partition_tables() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    for (make, kind) in [
        ("mkfs.ext4 -q", ContentKind::Ext4),
        ("mkfs.vfat -F 16", ContentKind::Vfat),
        ("mkfs.ntfs -q -F", ContentKind::Ntfs),
        ("mkfs.exfat", ContentKind::ExFat),
    ] {
        fs::remove_file(&path).ok();
        File::create(&path).unwrap().set_len(16 * MIB).unwrap();
        Cmd::new("sh")
            .args(["-c", &format!("{make} \"$0\"")])
            .arg(&path)
            .run()
            .unwrap();
        let layout = read_file(&path);
        assert!(
            matches!(&layout.table, PartitionTable::None { content } if content.kind == kind),
            "{make}: {:?}",
            layout.table
        );
        assert_eq!(rules(&layout), [("disk/mbr-signature", Severity::Blocker)]);
    }
}

#[test]
fn encryption_is_found_wherever_it_is() {
    let mut bytes = disk(100, &[(0, &[(0x80, 0x83, 10, 10)])]);
    bytes[10 * 512..][..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
    let layout = read(bytes);
    assert!(rules(&layout).contains(&("disk/encrypted", Severity::Blocker)));
    let mut bytes = vec![0; 4096];
    bytes[3..11].copy_from_slice(b"-FVE-FS-");
    assert!(rules(&read(bytes)).contains(&("disk/encrypted", Severity::Blocker)));
}

#[test]
fn the_report_shows_it_compactly() {
    let mut bytes = disk(100, &[(0, &[(0x80, 0x83, 10, 10)])]);
    bytes[440..444].copy_from_slice(&0x0bad_cafe_u32.to_le_bytes());
    let json = serde_json::to_value(read(bytes)).unwrap();
    let expected = serde_json::json!({
        "disk_size": 51_200,
        "sector_size": 512,
        "mbr_signature": true,
        "table": {
            "kind": "dos",
            "disk_signature": "0badcafe",
            "boot_code": {"kind": "none"},
            "chain_faults": [],
            "stale_gpt": false,
        },
        "partitions": [{
            "number": 1,
            "slot": "primary",
            "type": 0x83,
            "active": true,
            "range": {"start": 5120, "len": 5120},
            "part_uuid": "0badcafe-01",
            "part_label": null,
            "content": {"kind": "empty"},
        }],
    });
    assert_eq!(json, expected);
}

proptest! {
    /// Whatever the bytes are: an answer, soon.
    #[test]
    fn no_bytes_do_harm(
        mut bytes in proptest::collection::vec(any::<u8>(), 512..8192),
        extended in any::<bool>(),
        gpt in any::<bool>(),
    ) {
        // A signature in every sector keeps the readers going.
        for record in bytes.chunks_exact_mut(512) {
            record[510..].copy_from_slice(&[0x55, 0xaa]);
            if extended {
                record[450] = 0x05;
                record[466] = 0x05;
            }
        }
        if gpt {
            bytes[450] = 0xee;
            if bytes.len() >= 1024 {
                bytes[512..520].copy_from_slice(b"EFI PART");
            }
        }
        let layout = read(bytes);
        findings(&layout, false);
        prop_assert!(layout.partitions.len() <= 256);
    }

    #[test]
    fn no_superblock_does_harm(mut head in proptest::collection::vec(any::<u8>(), 0..2048)) {
        for (offset, magic) in [(512, &b"LABELONE"[..]), (536, b"LVM2 001"), (1080, b"\x53\xef")] {
            if let Some(field) = head.get_mut(offset..offset + magic.len()) {
                field.copy_from_slice(magic);
            }
        }
        let len = u64::try_from(head.len()).unwrap();
        let whole = ByteRange::new(0, len).unwrap();
        let mut disk = Cursor::new(head);
        Content::probe(&mut Window::new(&mut disk, whole)).unwrap();
    }

    /// The file systems whose label is somewhere else on the volume, and what is looked for beyond.
    #[test]
    fn no_volume_does_harm(
        sector in proptest::collection::vec(any::<u8>(), 512),
        rest in proptest::collection::vec(any::<u8>(), 2048),
        kind in 0..4_usize,
    ) {
        let mut bytes = sector;
        bytes[510..].copy_from_slice(&[0x55, 0xaa]);
        match kind {
            0 => bytes[3..11].copy_from_slice(b"NTFS    "),
            1 => {
                bytes[3..11].copy_from_slice(b"EXFAT   ");
                bytes[108..110].copy_from_slice(&[9, 3]);
            }
            2 => {
                bytes[..3].copy_from_slice(&[0xeb, 0, 0x90]);
                bytes[11..14].copy_from_slice(&[0, 2, 8]);
                bytes[16] = 2;
                bytes[21] = 0xf8;
                bytes[82..87].copy_from_slice(b"FAT32");
            }
            _ => {}
        }
        bytes.extend(rest.iter().cycle().take(256 * 1024));
        if kind == 3 {
            for block in bytes[128 * 1024..].chunks_exact_mut(1024).take(4) {
                block[..8].copy_from_slice(&0x00ba_b10c_u64.to_le_bytes());
            }
        }
        let len = u64::try_from(bytes.len()).unwrap();
        let whole = ByteRange::new(0, len).unwrap();
        Content::probe(&mut Window::new(&mut Cursor::new(bytes), whole)).unwrap();
    }
}
