use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use byoi_agent::cmd::Cmd;
use tempfile::TempDir;

use super::*;
use crate::layout::{BootCode, Layout, PartitionTable};
use crate::loader::core_image::tests::mkimage;
use crate::loader::{Loader, Next};
use crate::units::{ByteRange, Lba};

const MIB: u64 = 1 << 20;

/// A disk that sfdisk divides.
struct Disk {
    _dir: TempDir,
    path: PathBuf,
}

impl Disk {
    fn new(size: u64, script: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("disk");
        File::create(&path).unwrap().set_len(size).unwrap();
        let table = dir.path().join("table");
        fs::write(&table, script).unwrap();
        sh(
            "sfdisk -q --no-reread --no-tell-kernel \"$1\" <\"$2\"",
            &[&path, &table],
        );
        Self { _dir: dir, path }
    }

    fn file(&self) -> File {
        let mut options = File::options();
        options.read(true).write(true).open(&self.path).unwrap()
    }

    fn layout(&self) -> Layout {
        Layout::read(&mut self.file()).unwrap()
    }

    /// Makes a file system in the partition that begins at this MiB.
    fn file_system(&self, at: u64) {
        let script = format!("mke2fs -q -t ext4 -E offset={} \"$1\" 2048k", at * MIB);
        sh(&script, &[&self.path]);
    }

    /// What sfdisk says of it: number, start, size, type, and a `*` where it is active.
    fn table(&self) -> Vec<String> {
        let dump = sh("sfdisk --dump \"$1\"", &[&self.path]);
        assert!(dump.contains("label: dos"), "{dump}");
        dump.lines()
            .filter_map(|line| line.split_once(" : "))
            .map(|(node, entry)| {
                let number = node.rsplit('k').next().unwrap().to_owned();
                let words: Vec<&str> = entry.split([',', '=']).map(str::trim).collect();
                let active = if words.contains(&"bootable") {
                    " *"
                } else {
                    ""
                };
                format!("{number} {} {} {}{active}", words[1], words[3], words[5])
            })
            .collect()
    }
}

fn sh(script: &str, args: &[&Path]) -> String {
    let output = Cmd::new("sh")
        .args(["-euc", script, "sh"])
        .args(args)
        .run()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

const BIOS_BOOT: &str = "21686148-6449-6E6F-744E-656564454649";

#[test]
fn a_gpt_becomes_a_dos_table_of_the_same_partitions() {
    let disk = Disk::new(
        64 * MIB,
        &format!(
            "label: gpt\nlabel-id: 5f3c9a1e-0000-4000-8000-000000000001\n\
             start=2048,size=2048,type={BIOS_BOOT}\n\
             start=4096,size=4096,type=L,name=root,uuid=11111111-2222-4333-8444-555555555555\n\
             start=8192,size=2048,type=U\n\
             start=10240,size=2048,type=S\n\
             start=12288,size=2048,type=V\n"
        ),
    );
    disk.file_system(2);
    let layout = disk.layout();
    let converted = table::convert(&disk.file(), &layout).unwrap().unwrap();
    assert_eq!(
        disk.table(),
        [
            "1 12288 2048 83",
            "2 4096 4096 83 *",
            "3 8192 2048 ef",
            "4 10240 2048 83"
        ]
    );
    let text = converted.change.diff.unwrap();
    assert_eq!(
        text,
        "GPT to MBR; partition 5 is now 1; partition 1 is gone"
    );

    let mut now = disk.layout();
    assert!(matches!(
        now.table,
        PartitionTable::Dos {
            disk_signature: 0x5f3c_9a1e,
            stale_gpt: false,
            ..
        }
    ));
    let before = &layout.partitions[1];
    let same = now.partition(2).unwrap();
    assert_eq!((same.range, &same.content), (before.range, &before.content));
    now.remember(converted.former);
    let former = now.partition(2).unwrap().former.as_ref().unwrap();
    assert_eq!(former.part_uuid, "11111111-2222-4333-8444-555555555555");
    assert_eq!(former.part_label.as_deref(), Some("root"));
    assert!(
        !fs::read(&disk.path)
            .unwrap()
            .windows(8)
            .any(|bytes| bytes == b"EFI PART")
    );
    assert!(table::convert(&disk.file(), &now).unwrap().is_none());
}

#[test]
fn what_does_not_fit_into_a_dos_table_is_refused() {
    let five = "size=1M,type=L\n".repeat(5);
    let beyond = "start=2048,size=2M,type=L\nstart=4294965248,size=4M,type=L\n".to_owned();
    for (size, script, expected) in [
        (64 * MIB, five, "5 partitions are in use"),
        (3 << 40, beyond, "partition 2 lies beyond the 2 TiB"),
    ] {
        let disk = Disk::new(size, &format!("label: gpt\n{script}"));
        let before = disk.layout();
        let error = table::convert(&disk.file(), &before)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(disk.layout(), before);
    }
}

#[test]
fn a_partition_over_the_table_itself_is_refused() {
    let disk = Disk::new(64 * MIB, "label: gpt\nsize=1M,type=L\n");
    let mut layout = disk.layout();
    layout.partitions[0].range = ByteRange::new(0, MIB).unwrap();
    let before = fs::read(&disk.path).unwrap();
    let error = table::convert(&disk.file(), &layout)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("partition 1 is not where a partition can be"),
        "{error}"
    );
    assert!(fs::read(&disk.path).unwrap() == before);
}

#[test]
fn an_efi_system_partition_goes_where_it_is_one_too_many() {
    let script = format!(
        "label: gpt\nsize=1M,type=U\n{}",
        "size=1M,type=L\n".repeat(4)
    );
    let disk = Disk::new(64 * MIB, &script);
    let converted = table::convert(&disk.file(), &disk.layout())
        .unwrap()
        .unwrap();
    assert_eq!(disk.table().len(), 4);
    let text = converted.change.diff.unwrap();
    assert_eq!(
        text,
        "GPT to MBR; partition 5 is now 1; partition 1 is gone"
    );
}

#[test]
fn one_partition_becomes_active_where_it_can_be_told_which() {
    let none = "size=1M,type=82\nstart=4M,size=4M,type=83\nsize=8M,type=5\nsize=2M,type=83\n";
    let several = "size=1M,type=82,bootable\nstart=4M,size=4M,type=83,bootable\n";
    for (script, expected) in [
        (none, Some(2)),
        (several, Some(1)),
        ("size=1M,type=82,bootable\nstart=4M,size=4M,type=83\n", None),
        ("size=8M,type=5\nsize=2M,type=83\n", Some(2)),
    ] {
        let disk = Disk::new(64 * MIB, &format!("label: dos\nunit: sectors\n{script}"));
        disk.file_system(4);
        let change = table::activate(&disk.file(), &disk.layout()).unwrap();
        assert_eq!(change.is_some(), expected.is_some(), "{script}");
        let active: Vec<u32> = (disk.layout().partitions.iter())
            .filter(|partition| partition.active)
            .map(|partition| partition.number)
            .collect();
        if let Some(expected) = expected {
            assert_eq!(active, [expected], "{script}");
        }
    }
}

#[test]
fn boot_code_that_starts_the_active_partition_gets_one_that_can_be_started() {
    const SYSLINUX: [u8; 10] = [0x33, 0xc0, 0xfa, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0, 0x7c];
    let disk = Disk::new(
        64 * MIB,
        "label: dos\nsize=1M,type=83\nstart=8192,size=4M,type=83\n",
    );
    disk.file().write_all_at(&SYSLINUX, 0).unwrap();
    assert!(
        table::activate(&disk.file(), &disk.layout())
            .unwrap()
            .is_none()
    );
    disk.file()
        .write_all_at(b"\xeb\x58\x90EXTLINUX", 4 * MIB)
        .unwrap();
    assert!(
        table::activate(&disk.file(), &disk.layout())
            .unwrap()
            .is_some()
    );
    assert!(disk.layout().partition(2).unwrap().active);
}

#[test]
fn what_is_embedded_is_found_again() {
    let modules = ["biosdisk", "part_msdos", "ext2"];
    let Some(core) = mkimage("(,msdos1)/boot/grub", None, &modules) else {
        return;
    };
    let boot = fs::read("/usr/lib/grub/i386-pc/boot.img").unwrap();
    for (script, at) in [
        ("label: dos\nstart=2048,size=2M,type=83\n".to_owned(), 1),
        (
            format!("label: gpt\nstart=4096,size=1M,type={BIOS_BOOT}\n"),
            4096,
        ),
    ] {
        let disk = Disk::new(64 * MIB, &script);
        let layout = disk.layout();
        let area = embed::area(&layout);
        let found = embed::write(&disk.file(), area, &boot, &core).unwrap();
        assert_eq!(found, Ok(Lba::new(at)));
        let now = disk.layout();
        assert_eq!(now.partitions.len(), 1);
        assert_eq!(now.partitions[0].range, layout.partitions[0].range);
        assert_eq!(
            now.boot_code(),
            Some(&BootCode::Grub2 {
                core_image: Lba::new(at)
            })
        );
        let loader = Loader::read(&mut disk.file(), &now).unwrap();
        let Some(Next::Core(Ok(image))) = loader.bios.map(|bios| bios.next) else {
            panic!("no core image");
        };
        assert_eq!(image.area.prefix, "(,msdos1)/boot/grub");
    }
}

#[test]
fn what_is_not_grub_is_not_embedded() {
    let disk = Disk::new(64 * MIB, "label: dos\nstart=2048,size=2M,type=83\n");
    let before = fs::read(&disk.path).unwrap();
    let Ok(boot) = fs::read("/usr/lib/grub/i386-pc/boot.img") else {
        return;
    };
    let room = ByteRange::new(512, 4096).unwrap();
    for (area, boot, core, expected) in [
        (room, &boot[..], vec![1; 8192], "no room"),
        (ByteRange::EMPTY, &boot[..], vec![1; 8192], "no room"),
        (room, &boot[..], vec![1; 512], "core.img is not"),
        (room, &[0; 512][..], vec![1; 2048], "boot.img is not"),
        (room, &boot[..511], vec![1; 2048], "boot.img is not"),
    ] {
        let unfit = embed::write(&disk.file(), area, boot, &core)
            .unwrap()
            .unwrap_err();
        assert!(unfit.to_string().contains(expected), "{unfit}");
    }
    assert_eq!(fs::read(&disk.path).unwrap(), before);
}
