//! Small disks, made in a second: one partition with just enough of a Debian, and what may be wrong
//! with them.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{run, text};

/// Where the partition begins, in bytes.
pub const START: u64 = 1 << 20;
/// The size of a disk in bytes.
pub const SIZE: u64 = 48 << 20;
/// The UUID of the root file system.
pub const ROOT_UUID: &str = "5b2c1f0e-7a34-4d8e-9c61-2f0e8a7b6c5d";

/// The files of the guest.
const FILES: [(&str, &str); 5] = [
    ("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
    ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
    (
        "etc/network/interfaces",
        "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet static\n    \
         address 192.0.2.7/24\n    hwaddress ether 00:50:56:8a:01:02\n",
    ),
    ("usr/share/doc/README", "a guest\n"),
    ("sbin/init", "#!/bin/sh\n"),
];

/// A directory with a disk in it.
#[derive(Debug)]
pub struct Bench {
    dir: TempDir,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench {
    /// A directory without a disk.
    pub fn new() -> Self {
        Self {
            dir: TempDir::with_prefix("byoi-bench-").expect("a temporary directory"),
        }
    }

    /// A directory with a disk that can be made ready.
    pub fn with_disk() -> Self {
        let bench = Self::new();
        bench.table("label: dos\nstart=2048,type=83,bootable\n");
        bench.boot_code();
        bench.guest(START, SIZE - START, &[]);
        bench
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The disk.
    pub fn disk(&self) -> PathBuf {
        self.dir().join("disk.raw")
    }

    /// Where the image goes.
    pub fn output(&self) -> PathBuf {
        self.dir().join("out").join("disk.qcow2")
    }

    /// Where temporary files go.
    pub fn workdir(&self) -> PathBuf {
        let dir = self.dir().join("work");
        fs::create_dir_all(&dir).expect("a workdir");
        fs::create_dir_all(self.dir().join("out")).expect("a directory for the output");
        dir
    }

    /// What is in the workdir and beside the output.
    pub fn left(&self) -> Vec<PathBuf> {
        ["work", "out"]
            .iter()
            .flat_map(|name| fs::read_dir(self.dir().join(name)).into_iter().flatten())
            .flatten()
            .map(|entry| entry.path())
            .collect()
    }

    /// A new disk with a partition table, written as `sfdisk` takes it.
    pub fn table(&self, script: &str) {
        let disk = File::create(self.disk()).expect("a disk");
        disk.set_len(SIZE).expect("a size");
        let script_path = self.dir().join("table");
        fs::write(&script_path, script).expect("a script");
        let _ = run(
            "sh",
            &[
                "-c",
                "sfdisk --quiet --force --no-tell-kernel \"$1\" < \"$2\"",
                "sh",
                text(&self.disk()),
                text(&script_path),
            ],
        )
        .expect(0);
    }

    /// Puts GRUB's code into sector 0 and its core image, which needs no further files, behind it.
    pub fn boot_code(&self) {
        let code = fs::read("/usr/lib/grub/i386-pc/boot.img").expect("GRUB's boot.img");
        self.write(0, &code[..440]);
        let image = self.dir().join("core.img");
        let _ = run(
            "grub-mkimage",
            &[
                "-O",
                "i386-pc",
                "-p",
                "(,msdos1)/boot/grub",
                "-o",
                text(&image),
                "biosdisk",
                "part_msdos",
                "ext2",
                "normal",
            ],
        )
        .expect(0);
        self.write(512, &fs::read(&image).expect("a core image"));
        fs::remove_file(image).expect("removing the core image");
    }

    /// Makes an ext4 with the guest at an offset; `further` are files of its own.
    pub fn guest(&self, start: u64, size: u64, further: &[(&str, &str)]) {
        let fstab = format!("UUID={ROOT_UUID} / ext4 defaults 0 1\n");
        let fstab = ("etc/fstab", fstab.as_str());
        let files: Vec<(&str, &str)> = FILES
            .into_iter()
            .chain([fstab])
            .chain(further.iter().copied())
            .collect();
        self.file_system(start, size, &files);
    }

    /// Makes an ext4 with these files at an offset.
    pub fn file_system(&self, start: u64, size: u64, files: &[(&str, &str)]) {
        let tree = TempDir::new_in(self.dir()).expect("a tree");
        for (path, content) in files {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap_or(tree.path())).expect("a directory");
            fs::write(path, content).expect("a file");
        }
        let _ = run(
            "mkfs.ext4",
            &[
                "-q",
                "-F",
                "-b",
                "4096",
                "-U",
                ROOT_UUID,
                "-d",
                text(tree.path()),
                "-E",
                &format!("offset={start},root_owner=0:0"),
                text(&self.disk()),
                &format!("{}k", size >> 10),
            ],
        )
        .expect(0);
    }

    /// Writes bytes to the disk.
    pub fn write(&self, offset: u64, bytes: &[u8]) {
        OpenOptions::new()
            .write(true)
            .open(self.disk())
            .and_then(|disk| disk.write_all_at(bytes, offset))
            .expect("writing to the disk");
    }

    /// Cuts the disk off.
    pub fn cut(&self, size: u64) {
        OpenOptions::new()
            .write(true)
            .open(self.disk())
            .and_then(|disk| disk.set_len(size))
            .expect("cutting the disk off");
    }
}
