use std::io::Cursor;

use super::core_image::tests::{installed, mkimage};
use super::*;

/// Sector 0 with a partition from sector 2048 on that is active.
fn with_table(mut disk: Vec<u8>, boot_img: &[u8]) -> Vec<u8> {
    disk[..440].copy_from_slice(&boot_img[..440]);
    disk[446..462].copy_from_slice(&[0x80, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0]);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk.resize(4 << 20, 0);
    disk
}

fn loader(disk: &[u8]) -> Loader {
    let mut disk = Cursor::new(disk);
    let layout = Layout::read(&mut disk).unwrap();
    Loader::read(&mut disk, &layout).unwrap()
}

#[test]
fn grub_is_followed_from_sector_0_and_from_a_partition() {
    let modules = ["biosdisk", "part_msdos", "ext2"];
    let (Some(core), Ok(boot_img), Ok(mbr)) = (
        mkimage("(,msdos1)/boot/grub", None, &modules),
        std::fs::read("/usr/lib/grub/i386-pc/boot.img"),
        std::fs::read("/usr/lib/syslinux/mbr/mbr.bin"),
    ) else {
        eprintln!("skipped: grub-pc-bin and syslinux-common are needed");
        return;
    };
    let mbr = [mbr, vec![0; 440]].concat();
    let direct = with_table(installed(&core, 1), &boot_img);
    let prefix = |loader: &Loader| match loader.core() {
        Some(Ok(core)) => core.area.prefix.clone(),
        other => format!("{other:?}"),
    };
    assert_eq!(prefix(&loader(&direct)), "(,msdos1)/boot/grub");
    // The boot sector of the partition names the core image by its place on the disk.
    let mut chained = with_table(installed(&core, 1), &mbr);
    chained[1 << 20..(1 << 20) + 512].copy_from_slice(&boot_img);
    chained[(1 << 20) + 510..(1 << 20) + 512].copy_from_slice(&[0x55, 0xaa]);
    let seen = loader(&chained);
    assert_eq!(prefix(&seen), "(,msdos1)/boot/grub");
    assert_eq!(seen.bios.as_ref().unwrap().code, BootCode::Syslinux);
    assert!(matches!(seen.last_code(), Some(BootCode::Grub2 { .. })));
    // Without it nothing starts.
    let nothing = loader(&with_table(installed(&core, 1), &mbr));
    assert!(matches!(
        nothing.bios.unwrap().next,
        Next::Active(Active::One { code: BootCode::None, partition: 1, ref next }) if **next == Next::Nothing
    ));
    // Nor from a second disk, of which an instance has none.
    let mut second = direct.clone();
    second[0x64] = 0x81;
    assert_eq!(
        loader(&second).core(),
        Some(&Err(CoreFault::OtherDrive { drive: 0x81 }))
    );
    // Nor where the core image was overwritten.
    let mut overwritten = direct;
    overwritten[512..1 << 20].fill(0);
    assert_eq!(
        loader(&overwritten).core(),
        Some(&Err(CoreFault::Empty { at: Lba::new(1) }))
    );
}

#[test]
fn a_disk_without_a_table_has_no_loader() {
    assert_eq!(loader(&[0; 4096]), Loader::default());
}
