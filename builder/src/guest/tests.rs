use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use byoi_agent::cmd::Cmd;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, raise};
use tempfile::TempDir;

mod emptied;

use super::*;
use crate::image::{Input, SourceImage, WorkDisk};
use crate::layout::LogicalName;
use crate::progress::Narrator;
use crate::seal::SealError;

const MIB: u64 = 1024 * 1024;
const ROOT_UUID: &str = "11111111-1111-4111-8111-111111111111";
const BOOT_UUID: &str = "22222222-2222-4222-8222-222222222222";

/// A disk under construction, and the directory that stands for the host's workdir.
struct Fixture {
    // Unmounted before the directory goes.
    disk: AttachedDisk,
    private: PrivateMounts,
    dir: TempDir,
}

impl Fixture {
    /// A sparse disk partitioned by an sfdisk script.
    fn new(size: u64, script: &str) -> Self {
        let private = PrivateMounts::enter().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        File::create(&path).unwrap().set_len(size).unwrap();
        Cmd::new("sh")
            .args([
                "-c",
                "printf '%b' \"$1\" | sfdisk -q --no-tell-kernel \"$2\"",
            ])
            .args(["sh", script])
            .arg(&path)
            .run()
            .unwrap();
        let source = SourceImage::open(&Input::of(&path), dir.path(), Narrator::Silent).unwrap();
        let work = WorkDisk::copy_of(&source, dir.path(), Narrator::Silent).unwrap();
        fs::remove_file(path).unwrap();
        Self {
            disk: AttachedDisk::new(work).unwrap(),
            private,
            dir,
        }
    }

    /// Makes a file system in a partition and lets `fill` put files into it.
    fn make(&self, number: u32, mkfs: &str, fill: impl FnOnce(&Path)) {
        self.make_part(&PartId::Partition(number), mkfs, fill);
    }

    /// The same in any part of the disk.
    fn make_part(&self, id: &PartId, mkfs: &str, fill: impl FnOnce(&Path)) {
        let layout = self.disk.layout().unwrap();
        let backing = layout.part(id).unwrap().backing().unwrap();
        let device = self
            .disk
            .attach_backing(&backing, Access::ReadWrite)
            .unwrap();
        Cmd::new("sh")
            .args(["-c", &format!("{mkfs} \"$0\"")])
            .arg(device.path())
            .run()
            .unwrap();
        let layout = self.disk.layout().unwrap();
        let part = layout.part(id).unwrap();
        if let Some(fs) = part.content().kind.linux_fs() {
            let point = self.dir.path().join("fill");
            fs::create_dir(&point).unwrap();
            let kind = Some(fs.driver());
            mount(
                Some(device.path()),
                &point,
                kind,
                MsFlags::empty(),
                None::<&str>,
            )
            .unwrap();
            fill(&point);
            unmount(&point);
            fs::remove_dir(&point).unwrap();
        }
        device.detach().unwrap();
    }

    /// Runs programs of LVM, each given as its arguments, on partitions, which are `$1` and so on.
    /// The kernel is left out of it, so no volume ever becomes active. Gives what they print.
    fn lvm(&self, partitions: &[u32], script: &str) -> String {
        let layout = self.disk.layout().unwrap();
        let devices: Vec<_> = partitions
            .iter()
            .map(|number| {
                let range = layout.partition(*number).unwrap().range;
                self.disk.attach(range, Access::ReadWrite).unwrap()
            })
            .collect();
        let paths: Vec<&str> = devices
            .iter()
            .map(|device| device.path().to_str().unwrap())
            .collect();
        // Neither the other devices of the host nor its configuration are looked at.
        let settings = "global { activation = 0 locking_type = 1 } \
                        backup { backup = 0 archive = 0 }";
        let functions = format!(
            "set -e; export LVM_SUPPRESS_FD_WARNINGS=1; \
             run() {{ tool=$1; shift; \
             \"$tool\" --devices '{}' --driverloaded n --config '{settings}' \"$@\"; }}; ",
            paths.join(",")
        );
        let output = Cmd::new("sh")
            .args(["-c", &format!("{functions}{script}"), "sh"])
            .args(&paths)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .run()
            .unwrap();
        for device in devices {
            device.detach().unwrap();
        }
        String::from_utf8(output.stdout).unwrap()
    }

    /// Mounts the guest. The rest is to be dropped last.
    fn mount(self) -> (Result<MountedGuest, GuestError>, TempDir, PrivateMounts) {
        let layout = self.disk.layout().unwrap();
        let result = MountedGuest::mount(
            self.disk,
            &layout,
            self.dir.path(),
            &self.private,
            Access::ReadWrite,
        );
        (result, self.dir, self.private)
    }
}

/// Whether LVM's programs are there, without which these tests have no volumes.
fn has_lvm() -> bool {
    let there = Cmd::new("lvm").arg("version").run();
    if let Err(error) = &there {
        println!("skipped: {error}");
    }
    there.is_ok()
}

fn logical(group: &str, volume: &str) -> PartId {
    PartId::Logical(LogicalName {
        group: group.into(),
        volume: volume.into(),
    })
}

/// Unmounts as soon as nobody uses it: a process that another test is about to start has for a
/// moment every file of this one.
fn unmount(point: &Path) {
    umount2(point, MntFlags::MNT_DETACH).unwrap();
}

/// Just enough of a Linux system.
fn linux(root: &Path, fstab: &str) {
    for dir in ["etc", "usr", "boot", "home", "tmp"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    fs::write(root.join("etc/fstab"), fstab).unwrap();
}

/// Mounts and loop devices whose name has `dir` in it, and what lies in it.
fn leftovers(dir: &Path) -> Vec<String> {
    let name = dir.to_str().unwrap();
    let mut left: Vec<String> = fs::read_to_string("/proc/thread-self/mounts")
        .unwrap()
        .lines()
        .filter(|line| line.contains(name))
        .map(str::to_owned)
        .collect();
    left.extend(loops(name));
    for entry in fs::read_dir(dir).unwrap() {
        left.push(entry.unwrap().path().display().to_string());
    }
    left
}

/// The loop devices that do not go by themselves, as they do with the last user of their mount.
fn loops(name: &str) -> Vec<String> {
    for _ in 0..100 {
        if attached(name).is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    attached(name)
}

fn attached(name: &str) -> Vec<String> {
    fs::read_dir("/sys/block")
        .unwrap()
        .filter_map(|entry| {
            fs::read_to_string(entry.unwrap().path().join("loop/backing_file")).ok()
        })
        .filter(|backing| backing.contains(name))
        .collect()
}

fn mounted(guest: &MountedGuest) -> Vec<(&str, u32, bool)> {
    guest
        .mounts()
        .iter()
        .map(|mount| {
            (
                mount.point.as_str(),
                mount.partition,
                mount.skipped.is_none(),
            )
        })
        .collect()
}

fn two_partitions() -> Fixture {
    let fixture = Fixture::new(96 * MIB, "label: dos\\nsize=16M,bootable\\nsize=64M\\n");
    let mkfs = |uuid| format!("mkfs.ext4 -q -U {uuid}");
    fixture.make(1, &mkfs(BOOT_UUID), |boot| {
        fs::write(boot.join("kernel"), "kernel").unwrap();
    });
    let fstab = format!(
        "UUID={ROOT_UUID} / ext4 defaults 0 1\nUUID={BOOT_UUID} /boot ext4 defaults 0 2\n\
         server:/export /srv nfs defaults 0 0\n/dev/sdb1 /data ext4 defaults 0 0\n\
         UUID=33333333-3333-4333-8333-333333333333 none swap sw 0 0\n"
    );
    fixture.make(2, &mkfs(ROOT_UUID), |root| linux(root, &fstab));
    fixture
}

#[test]
fn privileged_a_guest_is_mounted_as_its_fstab_says_and_leaves_nothing() {
    let fixture = two_partitions();
    let layout = fixture.disk.layout().unwrap();
    let (guest, dir, private) = fixture.mount();
    let guest = guest.unwrap();
    assert_eq!(mounted(&guest), [("/", 2, true), ("/boot", 1, true)]);
    let kernel = guest.root().join("boot/kernel");
    assert_eq!(fs::read_to_string(&kernel).unwrap(), "kernel");
    fs::write(&kernel, "new kernel").unwrap();
    let table = fs::read_to_string("/proc/thread-self/mounts").unwrap();
    let root = guest.root().to_str().unwrap();
    for line in table.lines().filter(|line| line.contains(root)) {
        for option in ["rw", "nosuid", "nodev", "noexec"] {
            assert!(line.contains(option), "{line}");
        }
    }
    // A device that is mounted is no source: the copy would be torn.
    let device = table
        .lines()
        .find(|line| line.contains(root))
        .and_then(|line| line.split(' ').next())
        .unwrap();
    let error = SourceImage::open(&Input::of(device), dir.path(), Narrator::Silent).unwrap_err();
    assert!(
        error.to_string().starts_with("opening for exclusive use"),
        "{error}"
    );
    // The rest of the host sees none of it.
    let host = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!host.contains(root), "{host}");

    let disk = guest.close().unwrap();
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
    let guest =
        MountedGuest::mount(disk, &layout, dir.path(), &private, Access::ReadWrite).unwrap();
    let kernel = guest.root().join("boot/kernel");
    assert_eq!(fs::read_to_string(kernel).unwrap(), "new kernel");
    let sealed = guest.close().unwrap().seal(&layout).unwrap();
    assert_eq!(sealed.size(), 96 * MIB);
    drop(sealed);
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
}

#[test]
fn privileged_xfs_and_btrfs_guests_are_mounted_and_sealed() {
    let fixture = Fixture::new(320 * MIB, "label: dos\\nsize=310M\\n");
    fixture.make(1, "mkfs.xfs -q -f", |root| {
        linux(root, "/dev/vda1 / xfs defaults 0 0\n");
    });
    let layout = fixture.disk.layout().unwrap();
    let (guest, dir, _private) = fixture.mount();
    let guest = guest.unwrap();
    assert_eq!(mounted(&guest), [("/", 1, true)]);
    let (disk, emptied) = guest.close_emptied(&layout, dir.path()).unwrap();
    assert!(
        emptied.free_space[0].discarded.unwrap() > 200 * MIB,
        "{emptied:?}"
    );
    assert!(!emptied.free_space[0].filled);
    disk.seal(&layout).unwrap();
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());

    let fixture = Fixture::new(160 * MIB, "label: gpt\\nsize=150M,name=system\\n");
    let fstab = "PARTLABEL=system / btrfs subvol=@,ro 0 0\n\
                 PARTLABEL=system /home btrfs subvol=/@home 0 0\n";
    fixture.make(1, "mkfs.btrfs -q", |top| {
        for name in ["@", "@home", "@old"] {
            Cmd::new("btrfs")
                .args(["-q", "subvolume", "create"])
                .arg(top.join(name))
                .run()
                .unwrap();
        }
        linux(&top.join("@"), fstab);
        // A copy of an earlier state claims to be `@`, which it is not.
        linux(&top.join("@old"), fstab);
        fs::write(top.join("@home/letter"), "dear").unwrap();
    });
    let layout = fixture.disk.layout().unwrap();
    let (guest, dir, _private) = fixture.mount();
    let guest = guest.unwrap();
    assert_eq!(mounted(&guest), [("/", 1, true), ("/home", 1, true)]);
    let letter = guest.root().join("home/letter");
    assert_eq!(fs::read_to_string(letter).unwrap(), "dear");
    let (disk, emptied) = guest.close_emptied(&layout, dir.path()).unwrap();
    assert_eq!(emptied.free_space.len(), 1, "{emptied:?}");
    assert!(emptied.free_space[0].discarded.is_some());
    disk.seal(&layout).unwrap();
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
}

/// The table of a disk with `/boot` on a partition and a physical volume behind it.
const BOOT_AND_LVM: &str = "label: dos\\nsize=32M,type=83,bootable\\nsize=440M,type=8e\\n";

#[test]
fn privileged_a_root_on_a_logical_volume_is_mounted_trimmed_and_sealed() {
    const MARKER: &[u8] = b"00:50:56:8a:1b:2c was deleted with its volume";
    if !has_lvm() {
        return;
    }
    let fixture = Fixture::new(480 * MIB, BOOT_AND_LVM);
    fixture.make(1, &format!("mkfs.ext4 -q -U {BOOT_UUID}"), |boot| {
        fs::write(boot.join("kernel"), "kernel").unwrap();
    });
    let told = fixture.lvm(
        &[2],
        "run pvcreate -q -y $1 >&2; run vgcreate -q my-vg $1 >&2; \
         make='run lvcreate -q -an -Zn -Wn -y my-vg'; \
         $make -L 320M -n root >&2; $make -L 16M -n swap >&2; $make -L 16M -n old >&2; \
         $make -L 16M -n va-r >&2; \
         run lvs --noheadings --nosuffix --units b --separator ' ' \
         -o lv_name,lv_size,lv_uuid,vg_uuid,vg_seqno,vg_extent_size -O lv_name",
    );
    let layout = fixture.disk.layout().unwrap();
    let group = &layout.volume_groups[0];
    let mut read: Vec<String> = group
        .logical_volumes
        .iter()
        .map(|volume| {
            let (name, size, uuid) = (&volume.name, volume.size, &volume.uuid);
            format!(
                "{name} {size} {uuid} {} {} {}",
                group.uuid, group.seqno, group.extent_size
            )
        })
        .collect();
    read.sort();
    let told: Vec<_> = told.lines().map(str::trim).collect();
    assert_eq!(read, told);
    assert_eq!(
        layout.partition(2).unwrap().content.uuid.as_ref(),
        Some(&group.physical_volumes[0].uuid)
    );

    fixture.make_part(&logical("my-vg", "swap"), "mkswap -q", |_| {});
    fixture.make_part(&logical("my-vg", "va-r"), "mkfs.ext4 -q -L var", |var| {
        fs::write(var.join("log"), "kept").unwrap();
    });
    let fstab = format!(
        "/dev/mapper/my--vg-root / xfs defaults 0 1\nUUID={BOOT_UUID} /boot ext4 defaults 0 2\n\
         /dev/my-vg/swap none swap sw 0 0\n/dev/mapper/my--vg-va--r /home ext4 defaults 0 2\n"
    );
    fixture.make_part(&logical("my-vg", "root"), "mkfs.xfs -q -f", |root| {
        linux(root, &fstab);
    });
    let layout = fixture.disk.layout().unwrap();
    let old = layout.part(&logical("my-vg", "old")).unwrap().backing();
    let Some(crate::lvm::Backing::Range(old)) = old else {
        panic!("{old:?}");
    };
    fixture
        .disk
        .file()
        .write_all_at(MARKER, old.start())
        .unwrap();
    fixture.lvm(&[2], "run lvremove -q -y my-vg/old >&2");
    let layout = fixture.disk.layout().unwrap();
    let kinds: Vec<_> = layout
        .parts()
        .map(|part| (part.id().to_string(), part.content().kind.name()))
        .collect();
    let logical = |name: &str| format!("logical volume my-vg/{name}");
    assert_eq!(
        kinds,
        [
            ("partition 1".into(), "ext4"),
            ("partition 2".into(), "LVM2_member"),
            (logical("root"), "xfs"),
            (logical("swap"), "swap"),
            (logical("va-r"), "ext4"),
        ]
    );

    let (guest, dir, _private) = fixture.mount();
    let guest = guest.unwrap();
    assert_eq!(
        mounted(&guest),
        [("/", 2, true), ("/boot", 1, true), ("/home", 2, true)]
    );
    assert_eq!(
        guest.mounts()[0].logical_volume.as_deref(),
        Some("my-vg/root")
    );
    let log = guest.root().join("home/log");
    assert_eq!(fs::read_to_string(log).unwrap(), "kept");
    fs::write(guest.root().join("etc/new"), "new").unwrap();
    let (disk, emptied) = guest.close_emptied(&layout, dir.path()).unwrap();
    let volumes = emptied
        .free_space
        .iter()
        .map(|one| one.logical_volume.as_deref());
    let volumes: Vec<_> = volumes.collect();
    assert_eq!(volumes, [None, Some("my-vg/root"), Some("my-vg/va-r")]);
    let mut bytes = vec![0; MARKER.len()];
    disk.file().read_exact_at(&mut bytes, old.start()).unwrap();
    assert!(bytes.iter().all(|&byte| byte == 0));
    drop(disk.seal(&layout).unwrap());
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
}

#[test]
fn privileged_a_root_in_two_pieces_needs_the_device_mapper() {
    if !has_lvm() {
        return;
    }
    let fixture = Fixture::new(96 * MIB, "label: dos\\nsize=80M,type=8e\\n");
    fixture.lvm(
        &[1],
        "run pvcreate -q -y $1 >&2; run vgcreate -q vg $1 >&2; \
         make='run lvcreate -q -an -Zn -Wn -y vg'; \
         $make -L 16M -n root >&2; $make -L 8M -n home >&2; \
         run lvextend -q -L 40M vg/root >&2",
    );
    // What it is can be seen all the same: its beginning is in the first piece.
    let layout = fixture.disk.layout().unwrap();
    let Some(crate::lvm::Backing::Tables(tables)) =
        layout.part(&logical("vg", "root")).unwrap().backing()
    else {
        panic!("{layout:?}");
    };
    assert_eq!(tables[0].targets.len(), 2);
    let image = fixture.dir.path().join("fs");
    File::create(&image).unwrap().set_len(40 * MIB).unwrap();
    Cmd::new("mkfs.ext4").arg("-q").arg(&image).run().unwrap();
    let made = fs::read(&image).unwrap();
    fs::remove_file(image).unwrap();
    let mut at = 0;
    for (len, target) in &tables[0].targets {
        let crate::lvm::Target::Linear(range) = target else {
            panic!("{target:?}");
        };
        let len = usize::try_from(*len).unwrap();
        let piece = &made[at..at + len];
        fixture
            .disk
            .file()
            .write_all_at(piece, range.start())
            .unwrap();
        at += len;
    }
    let layout = fixture.disk.layout().unwrap();
    let part = layout.part(&logical("vg", "root")).unwrap();
    assert_eq!(part.content().kind, ContentKind::Ext4);
    let mapper = File::options()
        .read(true)
        .write(true)
        .open("/dev/mapper/control");
    if mapper.is_ok() {
        fixture.make_part(&logical("vg", "root"), "mkfs.ext4 -q -F", |root| {
            linux(root, "");
        });
    }
    let (guest, dir, _private) = fixture.mount();
    match guest {
        Ok(guest) => {
            assert!(mapper.is_ok());
            let (disk, _) = guest.close_emptied(&layout, dir.path()).unwrap();
            disk.seal(&layout).unwrap();
        }
        Err(error) => {
            let text = error.reason();
            assert!(mapper.is_err(), "{text}");
            for part in ["logical volume vg/root", "device mapper", "pvmove"] {
                assert!(text.contains(part), "{text}");
            }
        }
    }
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
}

#[test]
fn privileged_a_root_on_another_disk_is_named() {
    if !has_lvm() {
        return;
    }
    let table = "label: dos\\nsize=40M,type=8e\\nsize=40M,type=8e\\n";
    let fixture = Fixture::new(96 * MIB, table);
    fixture.lvm(
        &[1, 2],
        "run pvcreate -q -y $1 $2 >&2; run vgcreate -q vg $1 $2 >&2; \
         run lvcreate -q -an -Zn -Wn -y vg -i 2 -L 48M -n root >&2",
    );
    let range = fixture.disk.layout().unwrap().partitions[1].range;
    fixture
        .disk
        .file()
        .write_all_at(&vec![0; 1 << 20], range.start())
        .unwrap();
    let layout = fixture.disk.layout().unwrap();
    let found = crate::layout::findings::partial_volumes(&layout);
    assert_eq!(found.len(), 1, "{found:?}");
    let (guest, _dir, _private) = fixture.mount();
    let text = guest.unwrap_err().reason();
    assert!(
        text.contains("logical volume vg/root cannot be had"),
        "{text}"
    );
    assert!(text.contains("is not on this disk"), "{text}");
}

#[test]
fn privileged_no_mount_point_leads_to_the_host() {
    let host = tempfile::tempdir().unwrap();
    let target = host.path().to_str().unwrap().to_owned();
    let fixture = Fixture::new(
        160 * MIB,
        "label: gpt\\nsize=16M\\nsize=16M\\nsize=16M\\nsize=16M\\nsize=64M,name=root\\n",
    );
    for number in 1..=4 {
        fixture.make(number, &format!("mkfs.ext4 -q -L fs{number}"), |top| {
            fs::write(top.join("mark"), number.to_string()).unwrap();
        });
    }
    fixture.make(5, "mkfs.ext4 -q", |root| {
        linux(
            root,
            "PARTLABEL=root / ext4 defaults 0 1\nLABEL=fs1 /up ext4\nLABEL=fs2 /absolute ext4\n\
             LABEL=fs3 /self ext4\nLABEL=fs4 /boot/../../../tmp ext4\n",
        );
        // The guest has a directory of that name too.
        fs::create_dir_all(root.join(&target[1..])).unwrap();
        fs::create_dir_all(root.join("other")).unwrap();
        symlink(format!("../../../../..{target}"), root.join("up")).unwrap();
        symlink("/other", root.join("absolute")).unwrap();
        symlink("/", root.join("self")).unwrap();
    });
    let (guest, dir, _private) = fixture.mount();
    let guest = guest.unwrap();
    assert_eq!(
        mounted(&guest),
        [
            ("/", 5, true),
            ("/up", 1, true),
            ("/absolute", 2, true),
            ("/self", 3, false),
            ("/boot/../../../tmp", 4, false),
        ]
    );
    let inside = guest.root().join(&target[1..]);
    assert_eq!(fs::read_to_string(inside.join("mark")).unwrap(), "1");
    let other = guest.root().join("other/mark");
    assert_eq!(fs::read_to_string(other).unwrap(), "2");
    assert_eq!(fs::read_dir(host.path()).unwrap().count(), 0);
    guest.close().unwrap();
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
}

#[test]
fn privileged_a_disk_without_one_root_is_refused() {
    let table = "label: dos\\nsize=16M\\nsize=16M\\n";
    let fixture = Fixture::new(48 * MIB, table);
    fixture.make(1, "mkfs.ext4 -q", |_| {});
    fixture.make(2, "mkfs.vfat -F 16", |_| {});
    let (guest, dir, _private) = fixture.mount();
    let error = guest.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no Linux root file system on the disk, partition 1 is ext4, partition 2 is vfat: \
         give the whole boot disk of the machine"
    );
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());

    let fixture = Fixture::new(48 * MIB, table);
    for number in [1, 2] {
        fixture.make(number, "mkfs.ext4 -q", |root| linux(root, "# nothing\n"));
    }
    let (guest, dir, _private) = fixture.mount();
    let error = guest.unwrap_err();
    assert!(
        matches!(&error, GuestError::ManyRoots { candidates }
        if candidates == "partition 1, partition 2"),
        "{error}"
    );
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
}

#[test]
fn privileged_of_two_roots_the_one_that_names_itself_counts() {
    let fixture = Fixture::new(48 * MIB, "label: dos\\nsize=16M\\nsize=16M\\n");
    let fstab = "/dev/disk/by-label/now / ext4 defaults 0 1\n";
    fixture.make(1, "mkfs.ext4 -q -L then", |root| linux(root, fstab));
    fixture.make(2, "mkfs.ext4 -q -L now", |root| linux(root, fstab));
    let (guest, _dir, _private) = fixture.mount();
    let guest = guest.unwrap();
    assert_eq!(mounted(&guest), [("/", 2, true)]);
    guest.close().unwrap();
}

#[test]
fn privileged_a_hibernated_guest_is_refused() {
    let hibernate = "sh -c 'mkswap -q \"$1\"; printf S1SUSPEND | \
                     dd of=\"$1\" bs=1 seek=4086 conv=notrunc status=none' sh";
    let fixture = Fixture::new(48 * MIB, "label: dos\\nsize=16M\\nsize=16M\\n");
    fixture.make(1, "mkfs.ext4 -q", |root| linux(root, ""));
    fixture.make(2, hibernate, |_| {});
    let (guest, _dir, _private) = fixture.mount();
    let error = guest.unwrap_err();
    assert!(
        matches!(&error, GuestError::Hibernated { place } if place == "partition 2"),
        "{error}"
    );

    let fixture = Fixture::new(48 * MIB, "label: dos\\nsize=32M\\n");
    fixture.make(1, "mkfs.ext4 -q", |root| {
        linux(root, "/swap none swap sw 0 0\n");
        let file = File::create(root.join("swap")).unwrap();
        file.set_len(MIB).unwrap();
        file.write_all_at(b"S1SUSPEND", 4086).unwrap();
    });
    let (guest, dir, _private) = fixture.mount();
    let error = guest.unwrap_err();
    assert!(
        matches!(&error, GuestError::Hibernated { place } if place == "swap file /swap"),
        "{error}"
    );
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
}

#[test]
fn privileged_a_panic_leaves_nothing() {
    let (guest, dir, _private) = two_partitions().mount();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let guest = guest.unwrap();
        panic!("on purpose, with {} mounted", guest.root().display());
    }));
    assert!(outcome.is_err());
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
}

#[test]
fn privileged_a_mount_point_in_use_is_named() {
    let (guest, dir, _private) = two_partitions().mount();
    let guest = guest.unwrap();
    let root = guest.root().to_owned();
    let kernel = File::open(root.join("boot/kernel")).unwrap();
    let error = guest.close().unwrap_err();
    assert_eq!(error.to_string(), "unmounting the guest's /boot");
    drop(kernel);
    // The mounts would go with the namespace; the devices go with the mounts.
    unmount(&root.join("boot"));
    unmount(&root);
    fs::remove_dir(&root).unwrap();
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
}

#[test]
fn privileged_a_damaged_file_system_is_not_sealed() {
    let fixture = Fixture::new(48 * MIB, "label: dos\\nsize=32M\\n");
    fixture.make(1, "mkfs.ext4 -q -b 1024", |root| linux(root, ""));
    let layout = fixture.disk.layout().unwrap();
    let range = layout.partitions[0].range;
    let device = fixture.disk.attach(range, Access::ReadWrite).unwrap();
    // Without a root directory: e2fsck -p leaves such damage to people.
    Cmd::new("debugfs")
        .args(["-w", "-R", "clri <2>"])
        .arg(device.path())
        .run()
        .unwrap();
    device.detach().unwrap();
    match fixture.disk.seal(&layout) {
        Err(SealError::Check { part, .. }) => assert_eq!(part.to_string(), "partition 1"),
        other => panic!("{other:?}"),
    }
    assert_eq!(leftovers(fixture.dir.path()), Vec::<String>::new());
}

/// Mounts a guest and dies; only ever run by the test below.
#[test]
fn privileged_child_that_is_killed() {
    let Some(done) = std::env::var_os("BYOI_TEST_KILLED") else {
        return;
    };
    let (guest, dir, _private) = two_partitions().mount();
    let guest = guest.unwrap();
    assert!(guest.root().join("boot/kernel").exists());
    fs::write(PathBuf::from(done), dir.path().to_str().unwrap()).unwrap();
    raise(Signal::SIGKILL).unwrap();
}

#[test]
fn privileged_sigkill_leaves_no_mount_and_no_device() {
    let note = tempfile::NamedTempFile::new().unwrap();
    let mut child = Cmd::new(std::env::current_exe().unwrap())
        .args(["--exact", "guest::tests::privileged_child_that_is_killed"])
        .env("BYOI_TEST_KILLED", note.path())
        .spawn(Stdio::null(), Stdio::null())
        .unwrap();
    assert!(!child.0.wait().unwrap().success());
    let dir = fs::read_to_string(note.path()).unwrap();
    assert!(dir.starts_with('/'), "the child did not come so far");
    // The kernel tears the namespace down in the background.
    for _ in 0..50 {
        if loops(&dir).is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(loops(&dir), Vec::<String>::new());
    let host = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!host.contains(&dir));
    fs::remove_dir_all(dir).unwrap();
}
