use std::fs;
use std::io::Cursor;

use byoi_agent::cmd::Cmd;
use proptest::prelude::*;

use super::*;

/// What `grub-mkimage` makes; `None` where it is not installed.
pub(crate) fn mkimage(prefix: &str, config: Option<&str>, modules: &[&str]) -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("core.img");
    let mut cmd = Cmd::new("grub-mkimage")
        .args(["-O", "i386-pc", "-p", prefix, "-o"])
        .arg(&out);
    if let Some(config) = config {
        let path = dir.path().join("load.cfg");
        fs::write(&path, config).unwrap();
        cmd = cmd.arg("-c").arg(path);
    }
    if cmd.args(modules).run().is_err() {
        eprintln!("skipped: grub-mkimage with its i386-pc modules is needed");
        return None;
    }
    Some(fs::read(out).unwrap())
}

/// A disk of a MiB with an image in the sectors from `at` on, the block list set as
/// `grub-bios-setup` does.
pub(crate) fn installed(image: &[u8], at: usize) -> Vec<u8> {
    let mut disk = vec![0; 1 << 20];
    disk[at * 512..at * 512 + image.len()].copy_from_slice(image);
    let list = at * 512 + FIRST_LIST;
    disk[list..list + 8].copy_from_slice(&(at as u64 + 1).to_le_bytes());
    disk
}

fn read_at(disk: &[u8], at: u64) -> Result<CoreImage, CoreFault> {
    read(&mut Cursor::new(disk), byte_len(disk.len()), Lba::new(at)).unwrap()
}

#[test]
fn what_grub_mkimage_makes_is_read() {
    for (prefix, config, modules) in [
        (
            "(,msdos1)/boot/grub",
            None,
            vec!["biosdisk", "part_msdos", "ext2"],
        ),
        (
            "/boot/grub2",
            Some("search.fs_uuid c1a7 root hd0,gpt2\nset prefix=($root)/boot/grub2\n"),
            vec!["biosdisk", "part_gpt", "xfs", "search_fs_uuid"],
        ),
        (
            "(lvmid/a/b)/grub",
            None,
            vec![
                "biosdisk",
                "part_msdos",
                "lvm",
                "btrfs",
                "normal",
                "all_video",
            ],
        ),
    ] {
        let Some(image) = mkimage(prefix, config, &modules) else {
            return;
        };
        let core = read_at(&installed(&image, 34), 34).unwrap();
        assert_eq!(core.area.prefix, prefix);
        assert_eq!(core.area.config.as_deref(), config);
        for module in modules {
            assert!(core.area.has(module), "{module} {:?}", core.area.modules);
        }
        assert!(!core.area.has("zfs"));
        assert_eq!(core.boot_partition, None);
        assert_eq!(core.blocks.len(), 2);
    }
}

#[test]
fn what_is_wrong_is_told() {
    let Some(image) = mkimage("(,msdos1)/boot/grub", None, &["biosdisk", "ext2"]) else {
        return;
    };
    let whole = installed(&image, 1);
    let list = 512 + FIRST_LIST;
    let with = |at: usize, bytes: &[u8]| {
        let mut disk = whole.clone();
        disk[at..at + bytes.len()].copy_from_slice(bytes);
        disk
    };
    let payload = 1024 + payloads(&whole[1024..]).next().unwrap();
    for (disk, at, expected) in [
        (
            whole.clone(),
            5000,
            "sector 5000 is behind the end of the disk",
        ),
        (whole.clone(), u64::MAX, "is behind the end of the disk"),
        (
            whole.clone(),
            1000,
            "sector 1000 and what follows are zeros",
        ),
        (
            whole.clone(),
            2,
            "does not hold the first sector of a core image",
        ),
        (
            with(list, &u64::MAX.to_le_bytes()),
            1,
            "is behind the end of the disk",
        ),
        (
            with(list, &3000_u64.to_le_bytes()),
            1,
            "sector 3000 is behind the end",
        ),
        (
            with(list, &0_u64.to_le_bytes()),
            1,
            "a block begins with sector 0",
        ),
        (
            with(list + 8, &0_u16.to_le_bytes()),
            1,
            "makes no sense: it is empty",
        ),
        (
            with(list + 8, &u16::MAX.to_le_bytes()),
            1,
            "do not fit into a BIOS's memory",
        ),
        (
            with(list + 10, &[0, 0]),
            1,
            "is not loaded behind the one before",
        ),
        (with(list + 8, &20_u16.to_le_bytes()), 1, "it is cut off"),
        (with(1024, &[0; 100_000]), 1, "and what follows are zeros"),
        (
            with(1024, &[0x90]),
            1,
            "it does not begin with a decompressor",
        ),
        (with(1024, &[0xea, 0x4c, 0x82, 0, 0]), 1, "GRUB before 2.00"),
        (
            with(1024 + 12, &u32::MAX.to_le_bytes()),
            1,
            "the sizes in its header are impossible",
        ),
        // An LZMA bomb: more than the data has.
        (
            with(1024 + 12, &0x00ff_ffff_u32.to_le_bytes()),
            1,
            "does not decompress",
        ),
        (
            with(1024 + 12, &100_u32.to_le_bytes()),
            1,
            "there are no modules in it",
        ),
        (with(payload + 9000, &[0xa5; 512]), 1, "it is damaged"),
        (with(payload, &[0; 4096]), 1, "it is damaged"),
        (whole[..20_000].to_vec(), 1, "is behind the end of the disk"),
    ] {
        let said = read_at(&disk, at).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}, not {expected}");
    }
}

#[test]
fn what_grub_bios_setup_lays_out_is_one_stretch_or_several() {
    let Some(image) = mkimage("(,msdos1)/boot/grub", None, &["biosdisk", "ext2"]) else {
        return;
    };
    // Two blocks, as in a file system.
    let mut disk = installed(&image, 1);
    let sectors = (image.len() - 512).div_ceil(512);
    let list = 512 + FIRST_LIST;
    let entry = |start: usize, count: usize, segment: usize| {
        [
            (start as u64).to_le_bytes().as_slice(),
            &u16::try_from(count).unwrap().to_le_bytes(),
            &u16::try_from(segment).unwrap().to_le_bytes(),
        ]
        .concat()
    };
    disk.copy_within(512 * 12..512 * (2 + sectors), 512 * 500);
    disk[512 * 12..512 * (2 + sectors)].fill(0);
    disk[list..list + 12].copy_from_slice(&entry(2, 10, 0x820));
    disk[list - 12..list].copy_from_slice(&entry(500, sectors - 10, 0x820 + 10 * 32));
    let core = read_at(&disk, 1).unwrap();
    assert_eq!(core.blocks.len(), 3);
    assert_eq!(core.area.prefix, "(,msdos1)/boot/grub");
}

/// What `grub-bios-setup` puts between the partition table and the first partition, with parity
/// behind it; `None` where there is no such program, or no loop device.
fn bios_setup(image: &[u8]) -> Option<Vec<u8>> {
    const PROGRAM: &str = "/usr/lib/grub/i386-pc/grub-bios-setup";
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::File::create(at("disk"))
        .unwrap()
        .set_len(32 << 20)
        .unwrap();
    fs::write(at("table"), "label: dos\nstart=2048, type=83, bootable\n").unwrap();
    fs::create_dir(at("root")).unwrap();
    let shell = format!(
        "set -e; cd {dir}; sfdisk -q disk <table; a=$(losetup -f --show disk); \
         b=$(losetup -f --show -o 1048576 disk); \
         trap 'umount root || true; losetup -d $b; losetup -d $a' EXIT; \
         mkfs.ext4 -q $b; mount $b root; cp core.img boot.img root; \
         printf '(hd0) %s\\n(hd1) %s\\n' $a $b >map; \
         {PROGRAM} --skip-fs-probe -d root -m map $a",
        dir = dir.path().display()
    );
    fs::write(at("core.img"), image).unwrap();
    let boot_img = fs::read("/usr/lib/grub/i386-pc/boot.img").ok()?;
    fs::write(at("boot.img"), boot_img).unwrap();
    if Cmd::new("sh").args(["-c", &shell]).run().is_err() {
        eprintln!("skipped: grub-bios-setup and loop devices are needed");
        return None;
    }
    Some(fs::read(at("disk")).unwrap())
}

#[test]
fn what_grub_bios_setup_installs_is_read() {
    let Some(image) = mkimage("(,msdos1)/boot/grub", None, &["biosdisk", "ext2"]) else {
        return;
    };
    let Some(disk) = bios_setup(&image) else {
        return;
    };
    assert_ne!(le32(&disk, 1024 + 0x10), 0, "there is no parity");
    let core = read_at(&disk, 1).unwrap();
    assert_eq!(core.area.prefix, "(,msdos1)/boot/grub");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_read_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        start in 1_u64..8,
        count in 0_u16..8,
    ) {
        let mut disk = vec![0; 4096];
        disk[600..607].copy_from_slice(DISKBOOT);
        let list = 512 + FIRST_LIST;
        disk[list..list + 8].copy_from_slice(&start.to_le_bytes());
        disk[list + 8..list + 10].copy_from_slice(&count.to_le_bytes());
        disk[list + 10..list + 12].copy_from_slice(&0x820_u16.to_le_bytes());
        disk[1024..1024 + bytes.len()].copy_from_slice(&bytes);
        disk[1024..1029].copy_from_slice(JUMP);
        let _ = read_at(&disk, 1);
    }
}
