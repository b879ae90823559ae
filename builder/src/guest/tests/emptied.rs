//! What was deleted does not stay in the image, and nothing else is lost.

use std::os::unix::fs::MetadataExt;

use super::*;
use crate::image::Extents;
use crate::lvm::Backing;
use crate::units::ByteRange;

/// A block of what must not be found again.
const MARKER: &[u8] = b"0050568a1b2c-was-my-mac";

fn block() -> Vec<u8> {
    MARKER.repeat(4096 / MARKER.len())
}

/// Whether the marker is in this part of a file.
fn holds(file: &File, range: ByteRange) -> bool {
    Extents::between(file, range.start(), range.end()).any(|extent| {
        let (start, end) = extent.unwrap();
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        file.read_exact_at(&mut bytes, start).unwrap();
        bytes.windows(MARKER.len()).any(|window| window == MARKER)
    })
}

fn range(start: u64, end: u64) -> ByteRange {
    ByteRange::new(start, end - start).unwrap()
}

/// Fills a directory and deletes every second file: what is free then are single blocks.
fn fill_and_delete(dir: &Path) {
    let files = |kept: bool| (0..200).filter(move |index| (index % 2 == 1) == kept);
    for index in 0..200 {
        let bytes = if index % 2 == 0 {
            block()
        } else {
            vec![b'k'; 4096]
        };
        fs::write(dir.join(index.to_string()), bytes).unwrap();
    }
    nix::unistd::syncfs(File::open(dir).unwrap()).unwrap();
    for index in files(false) {
        fs::remove_file(dir.join(index.to_string())).unwrap();
    }
}

#[test]
fn privileged_nothing_deleted_stays_in_the_free_space() {
    for (mkfs, kind, filled, size) in [
        ("mkfs.ext2 -q -b 4096", "ext4", false, 48 * MIB),
        ("mkfs.ext3 -q -b 4096", "ext4", false, 48 * MIB),
        ("mkfs.ext4 -q -b 4096", "ext4", false, 48 * MIB),
        ("mkfs.ext4 -q -b 1024", "ext4", true, 48 * MIB),
        ("mkfs.xfs -q -f", "xfs", false, 310 * MIB),
        ("mkfs.btrfs -q", "btrfs", false, 128 * MIB),
    ] {
        let script = format!("label: dos\\nsize={}M\\n", size / MIB - 8);
        let fixture = Fixture::new(size, &script);
        fixture.make(1, mkfs, |root| {
            linux(root, &format!("/dev/sda1 / {kind} defaults 0 1\n"));
            fill_and_delete(&root.join("tmp"));
        });
        let layout = fixture.disk.layout().unwrap();
        let holds = |file: &File| holds(file, range(0, size));
        assert!(
            holds(fixture.disk.file()),
            "{mkfs}: the test proves nothing"
        );
        let (guest, dir, _private) = fixture.mount();
        let guest = guest.unwrap();
        assert_eq!(fs::read(guest.root().join("tmp/1")).unwrap()[..2], *b"kk");
        // Ext4 reserves free extents for the small files to come.
        for index in 0..8 {
            fs::write(guest.root().join(format!("tmp/new{index}")), "new").unwrap();
        }
        let (disk, emptied) = guest.close_emptied(&layout, dir.path()).unwrap();
        assert_eq!(emptied.free_space[0].filled, filled, "{mkfs}");
        let sealed = disk.seal(&layout).unwrap();
        assert!(!holds(sealed.file()), "{mkfs}");
        // The zeros were given back.
        let blocks = sealed.file().metadata().unwrap().blocks();
        assert!(blocks * 512 < size / 4, "{mkfs}: {blocks}");
    }
}

#[test]
fn privileged_nothing_deleted_stays_in_any_subvolume() {
    let fixture = Fixture::new(160 * MIB, "label: gpt\\nsize=150M,name=system\\n");
    let fstab = "PARTLABEL=system / btrfs subvol=@ 0 0\n";
    fixture.make(1, "mkfs.btrfs -q", |top| {
        let btrfs = |args: &[&str], name: &str| {
            let name = top.join(name);
            Cmd::new("btrfs")
                .args(args.iter().copied())
                .arg(name)
                .run()
                .unwrap();
        };
        for name in ["@", "@data", "@old"] {
            btrfs(&["-q", "subvolume", "create"], name);
        }
        linux(&top.join("@"), fstab);
        // One that the guest does not mount, and one that goes as a whole.
        fill_and_delete(&top.join("@data"));
        fs::write(top.join("@old/file"), block()).unwrap();
        nix::unistd::syncfs(File::open(top).unwrap()).unwrap();
        btrfs(&["-q", "subvolume", "delete", "--commit-after"], "@old");
        btrfs(&["subvolume", "sync"], "");
    });
    let layout = fixture.disk.layout().unwrap();
    let whole = range(0, 160 * MIB);
    assert!(holds(fixture.disk.file(), whole));
    let (guest, dir, _private) = fixture.mount();
    let (disk, _) = guest.unwrap().close_emptied(&layout, dir.path()).unwrap();
    assert!(!holds(disk.file(), whole));
    disk.seal(&layout).unwrap();
}

#[test]
fn privileged_what_the_guest_does_not_mount_stays_to_the_bit() {
    let table = "label: dos\nsize=32M\nsize=32M\nsize=8M\n";
    let fixture = Fixture::new(96 * MIB, table);
    fixture.make(1, "mkfs.ext4 -q", |root| linux(root, ""));
    fixture.make(2, "mkfs.ext4 -q -b 4096", fill_and_delete);
    let layout = fixture.disk.layout().unwrap();
    let place = |number| layout.partition(number).unwrap().range;
    // What is in the third is not known.
    fixture
        .disk
        .file()
        .write_all_at(&block(), place(3).start())
        .unwrap();
    let layout = fixture.disk.layout().unwrap();
    let read = |file: &File, number| {
        let mut bytes = vec![0; usize::try_from(place(number).len()).unwrap()];
        file.read_exact_at(&mut bytes, place(number).start())
            .unwrap();
        bytes
    };
    let untouched = [2, 3].map(|number| read(fixture.disk.file(), number));

    let (guest, dir, _private) = fixture.mount();
    let (disk, emptied) = guest.unwrap().close_emptied(&layout, dir.path()).unwrap();
    let partitions = emptied.free_space.iter().map(|trimmed| trimmed.partition);
    assert_eq!(partitions.collect::<Vec<_>>(), [1]);
    assert!([2, 3].map(|number| read(disk.file(), number)) == untouched);
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
}

/// What blkid tells of a part, by its superblock alone.
fn told(disk: &AttachedDisk, id: &PartId) -> String {
    let layout = disk.layout().unwrap();
    let backing = layout.part(id).unwrap().backing().unwrap();
    let device = disk.attach_backing(&backing, Access::ReadOnly).unwrap();
    let output = Cmd::new("blkid")
        .args(["--probe", "--output", "export"])
        .arg(device.path())
        .run()
        .unwrap();
    device.detach().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.starts_with("DEVNAME"))
        .fold(String::new(), |all, line| all + line + "\n")
}

#[test]
fn privileged_swap_areas_are_emptied_and_keep_their_names() {
    let table = "label: dos\\nsize=32M\\nsize=16M,type=82\\nsize=16M,type=82\\n\
                 size=48M,type=8e\\n";
    let fixture = Fixture::new(128 * MIB, table);
    fixture.make(1, "mkfs.ext4 -q", |root| linux(root, ""));
    fixture.make(2, "mkswap -q -L paging", |_| {});
    // One that was made a FAT, by an mkfs that left the header.
    fixture.make(3, "mkswap -q", |_| {});
    let other = PartId::Partition(3);
    let start = fixture
        .disk
        .layout()
        .unwrap()
        .partition(3)
        .unwrap()
        .range
        .start();
    let mut header = vec![0; 4096];
    fixture
        .disk
        .file()
        .read_exact_at(&mut header, start)
        .unwrap();
    fixture.make(3, "mkfs.vfat -F 32 -s 1", |_| {});
    for part in [1024..1032, 4086..4096] {
        let at = start + u64::try_from(part.start).unwrap();
        fixture.disk.file().write_all_at(&header[part], at).unwrap();
    }
    let mut swaps = vec![PartId::Partition(2)];
    if has_lvm() {
        fixture.lvm(
            &[4],
            "run pvcreate -q -y $1 >&2; run vgcreate -q vg $1 >&2; \
             run lvcreate -q -an -Zn -Wn -y vg -L 16M -n swap >&2",
        );
        fixture.make_part(&logical("vg", "swap"), "mkswap -q -L volume", |_| {});
        swaps.push(logical("vg", "swap"));
    }
    let layout = fixture.disk.layout().unwrap();
    let place = |id: &PartId| match layout.part(id).unwrap().backing() {
        Some(Backing::Range(range)) => range,
        other => panic!("{other:?}"),
    };
    let file = fixture.disk.file();
    for id in &swaps {
        for at in [4096, 8 * MIB, 16 * MIB - 4096] {
            file.write_all_at(&block(), place(id).start() + at).unwrap();
        }
    }
    assert_eq!(layout.partition(3).unwrap().content.kind, ContentKind::Swap);
    file.write_all_at(&block(), place(&other).start() + 8 * MIB)
        .unwrap();
    let names: Vec<_> = swaps.iter().map(|id| told(&fixture.disk, id)).collect();
    assert!(names[0].contains("LABEL=paging\n"), "{names:?}");

    let (guest, dir, _private) = fixture.mount();
    let (disk, emptied) = guest.unwrap().close_emptied(&layout, dir.path()).unwrap();
    let sizes: Vec<_> = emptied.emptied_swap.iter().map(|swap| swap.size).collect();
    assert_eq!(sizes, vec![16 * MIB - 4096; swaps.len()]);
    for id in &swaps {
        assert!(!holds(disk.file(), place(id)), "{id}");
    }
    assert!(holds(disk.file(), place(&other)));
    let kept: Vec<_> = swaps.iter().map(|id| told(&disk, id)).collect();
    assert_eq!(kept, names);
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
}

/// What `filefrag` tells of the extents of a file, but for its path.
fn extents(path: &Path) -> Vec<String> {
    let output = Cmd::new("filefrag").arg("-v").arg(path).run().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let is_extent = |line: &&str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
    text.lines().filter(is_extent).map(str::to_owned).collect()
}

#[test]
fn privileged_swap_files_are_emptied_and_stay_in_one_piece() {
    for (mkfs, kind, size) in [
        ("mkfs.ext4 -q -b 4096", "ext4", 64 * MIB),
        ("mkfs.xfs -q -f", "xfs", 310 * MIB),
        ("mkfs.btrfs -q", "btrfs", 128 * MIB),
    ] {
        let script = format!("label: dos\\nsize={}M\\n", size / MIB - 8);
        let fixture = Fixture::new(size, &script);
        fixture.make(1, mkfs, |root| {
            linux(
                root,
                &format!(
                    "/dev/sda1 / {kind} defaults 0 1\n/home/link none swap sw 0 0\n\
                     /usr/notes none swap sw 0 0\n/missing none swap sw 0 0\n"
                ),
            );
            // Half of it is preallocated and was never used.
            let script = "touch \"$1\"; chattr -f +C \"$1\"; \
                          fallocate -l 16M \"$1\" && mkswap -q -L file \"$1\"";
            Cmd::new("sh")
                .args(["-c", script, "sh"])
                .arg(root.join("home/swap"))
                .run()
                .unwrap();
            let swap = File::options()
                .write(true)
                .open(root.join("home/swap"))
                .unwrap();
            for at in 1..4096 / 2 {
                swap.write_all_at(&block(), at * 4096).unwrap();
            }
            symlink("/home/swap", root.join("home/link")).unwrap();
            fs::write(root.join("usr/notes"), b"no swap space".repeat(1000)).unwrap();
        });
        let layout = fixture.disk.layout().unwrap();
        let whole = range(0, size);
        assert!(holds(fixture.disk.file(), whole));
        let (guest, dir, private) = fixture.mount();
        let guest = guest.unwrap();
        let before = extents(&guest.root().join("home/swap"));
        assert!(
            before.iter().any(|line| line.contains("unwritten")),
            "{before:?}"
        );
        let (disk, emptied) = guest.close_emptied(&layout, dir.path()).unwrap();
        assert_eq!(
            emptied.emptied_swap,
            [EmptiedSwap {
                partition: None,
                logical_volume: None,
                file: Some("/home/link".to_owned()),
                size: 16 * MIB - 4096,
            }]
        );
        assert!(!holds(disk.file(), whole), "{kind}");
        let guest =
            MountedGuest::mount(disk, &layout, dir.path(), &private, Access::ReadWrite).unwrap();
        let swap = guest.root().join("home/swap");
        assert_eq!(extents(&swap), before, "{kind}");
        let label = Cmd::new("swaplabel").arg(&swap).run().unwrap();
        let label = String::from_utf8(label.stdout).unwrap();
        assert!(label.contains("LABEL: file\n"), "{label}");
        let notes = fs::read(guest.root().join("usr/notes")).unwrap();
        assert_eq!(notes, b"no swap space".repeat(1000));
        guest.close().unwrap().seal(&layout).unwrap();
    }
}

#[test]
fn privileged_gaps_are_emptied_and_their_surroundings_stay() {
    let table = "label: gpt\\nstart=1M,size=24M\\nstart=40M,size=8M\\n";
    let fixture = Fixture::new(64 * MIB, table);
    fixture.make(1, "mkfs.ext4 -q", |root| linux(root, ""));
    let file = fixture.disk.file();
    for at in [
        64 * 1024,
        25 * MIB,
        40 * MIB - 4096,
        40 * MIB,
        48 * MIB,
        63 * MIB,
    ] {
        file.write_all_at(&block(), at).unwrap();
    }
    let layout = fixture.disk.layout().unwrap();
    let (guest, dir, _private) = fixture.mount();
    let (disk, emptied) = guest.unwrap().close_emptied(&layout, dir.path()).unwrap();
    let gaps = [range(25 * MIB, 40 * MIB), range(48 * MIB, 63 * MIB)];
    assert_eq!(emptied.emptied_gaps, gaps);
    for gap in gaps {
        assert!(!holds(disk.file(), gap), "{gap}");
    }
    for at in [64 * 1024, 40 * MIB, 63 * MIB] {
        assert!(holds(disk.file(), range(at, at + 4096)), "{at}");
    }
    assert_eq!(disk.layout().unwrap(), layout);
}
