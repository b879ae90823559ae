//! Volumes that the device mapper puts together from pieces of the working disk.
//!
//! The tables come from the disk's own metadata, read natively: the host's LVM is not asked, sees no
//! label (the loop device below begins behind it), and a group of the same name on the host does no
//! harm. Each device has a private name. One that a killed run has left is removed by the next run:
//! the name tells which process made it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::Duration;

use byoi_agent::cmd::{Cmd, CmdError};
use byoi_agent::narration::tell;

use super::loop_device::{Access, LoopDevice};
use crate::lvm::{Table, Target};
use crate::units::{ByteRange, SECTOR_SIZE};

const CONTROL: &str = "/dev/mapper/control";
const PREFIX: &str = "byoi";
/// How long a device may stay in use, by a udev that looks at it for example.
const REMOVE_TRIES: u32 = 20;
const REMOVE_PAUSE: Duration = Duration::from_millis(100);
/// How many free units a pool keeps before the kernel warns: none.
const LOW_WATER: u32 = 0;

/// Why there is no such device.
#[derive(Debug, thiserror::Error)]
pub enum MapperError {
    /// The kernel has no device mapper, or this process may not use it.
    #[error(
        "the volume is in several pieces, which needs the device mapper: load it (modprobe dm-mod \
         dm-thin-pool) and run byoi as root on the host itself, or make the volume linear and in \
         one piece (pvmove, lvconvert)"
    )]
    NoMapper {
        /// What the system said.
        source: io::Error,
    },
    /// A table could not be written for `dmsetup` to read.
    #[error("writing a table for the device mapper")]
    Table {
        /// What the system said.
        source: io::Error,
    },
    /// `dmsetup` failed or is missing.
    #[error("asking the device mapper (the package dmsetup is needed)")]
    Tool {
        /// What it said.
        source: CmdError,
    },
}

/// Whether the host has a device mapper.
///
/// # Errors
///
/// [`MapperError::NoMapper`].
pub(super) fn require() -> Result<(), MapperError> {
    File::options()
        .read(true)
        .write(true)
        .open(CONTROL)
        .map(drop)
        .map_err(|source| MapperError::NoMapper { source })
}

/// One device; dropping it removes it.
#[derive(Debug)]
struct Mapped {
    name: Option<String>,
}

impl Mapped {
    fn create(name: String, table: &str, access: Access) -> Result<Self, MapperError> {
        let mut file =
            tempfile::NamedTempFile::new().map_err(|source| MapperError::Table { source })?;
        file.write_all(table.as_bytes())
            .map_err(|source| MapperError::Table { source })?;
        let mut command = dmsetup().args(["create", "--noudevrules", "--noudevsync"]);
        if access == Access::ReadOnly {
            command = command.arg("--readonly");
        }
        command
            .arg(&name)
            .arg(file.path())
            .run()
            .map_err(|source| MapperError::Tool { source })?;
        Ok(Self { name: Some(name) })
    }

    fn path(&self) -> PathBuf {
        Path::new("/dev/mapper").join(self.name.as_deref().unwrap_or_default())
    }

    fn remove(&mut self) -> Result<(), MapperError> {
        let Some(name) = self.name.take() else {
            return Ok(());
        };
        let mut tries = 0;
        loop {
            match remove(&name) {
                Ok(()) => return Ok(()),
                Err(_) if tries < REMOVE_TRIES => {
                    tries += 1;
                    thread::sleep(REMOVE_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tell(error);
        }
    }
}

/// Devices, each of which may lie on earlier ones; dropping it removes them from the top.
#[derive(Debug, Default)]
struct Stack(Vec<Mapped>);

impl Drop for Stack {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

/// A volume, the devices that it lies on, and the loop device below all; dropping it removes them.
#[derive(Debug)]
#[must_use = "the devices go when this is dropped"]
pub struct MappedDevice {
    /// The volume last. Dropped before the loop device.
    stack: Stack,
    path: PathBuf,
    below: LoopDevice,
}

impl MappedDevice {
    /// The piece of the disk that the loop device below `tables` has to cover.
    pub(super) fn hull(tables: &[Table]) -> Option<ByteRange> {
        let ranges = tables
            .iter()
            .flat_map(|table| &table.targets)
            .flat_map(|(_, target)| match target {
                Target::Linear(range) => std::slice::from_ref(range),
                Target::Striped { stripes, .. } => stripes.as_slice(),
                Target::ThinPool { .. } | Target::Thin { .. } => &[],
            });
        let start = ranges.clone().map(|range| range.start()).min()?;
        let end = ranges.map(|range| range.end()).max()?;
        ByteRange::new(start, end - start)
    }

    /// Puts a volume together on `below`, which covers the disk from byte `start` on.
    pub(super) fn create(
        tables: &[Table],
        below: LoopDevice,
        start: u64,
        access: Access,
    ) -> Result<Self, MapperError> {
        sweep();
        let mut device = Self {
            stack: Stack::default(),
            path: PathBuf::new(),
            below,
        };
        for table in tables {
            let lower: Vec<PathBuf> = device.stack.0.iter().map(Mapped::path).collect();
            let text = write_table(table, &lower, device.below.path(), start, access);
            let name = name().map_err(|source| MapperError::Table { source })?;
            device.stack.0.push(Mapped::create(name, &text, access)?);
        }
        device.path = device.stack.0.last().map(Mapped::path).unwrap_or_default();
        Ok(device)
    }

    /// The block device's node.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes back what was written, removes the devices from the top and gives the loop device.
    pub(super) fn remove(self) -> Result<LoopDevice, MapperError> {
        let Self {
            mut stack,
            path,
            below,
        } = self;
        let written = File::open(path).and_then(|node| node.sync_all());
        while let Some(mut top) = stack.0.pop() {
            top.remove()?;
        }
        written.map_err(|source| MapperError::Table { source })?;
        Ok(below)
    }

    /// The smallest extent that a discard really frees; `None` where it frees none.
    pub(super) fn discard_granularity(&self) -> Option<u64> {
        // A discard goes through to the loop device, but may be passed on in larger units only.
        let node = fs::canonicalize(&self.path).ok()?;
        let sysfs = Path::new("/sys/block").join(node.file_name()?);
        let text = fs::read_to_string(sysfs.join("queue/discard_granularity")).ok()?;
        text.trim().parse().ok().filter(|&bytes| bytes > 0)
    }
}

/// A table as `dmsetup` reads it, everything in sectors. `lower` are the devices of earlier tables.
fn write_table(
    table: &Table,
    lower: &[PathBuf],
    below: &Path,
    start: u64,
    access: Access,
) -> String {
    let sectors = |bytes: u64| bytes / SECTOR_SIZE;
    let place =
        |range: &ByteRange| format!("{} {}", below.display(), sectors(range.start() - start));
    let device = |index: usize| {
        lower
            .get(index)
            .map_or_else(String::new, |path| path.display().to_string())
    };
    let mut text = String::new();
    let mut at = 0;
    for (len, target) in &table.targets {
        let rest = match target {
            Target::Linear(range) => format!("linear {}", place(range)),
            Target::Striped { chunk, stripes } => {
                let places: Vec<String> = stripes.iter().map(place).collect();
                format!(
                    "striped {} {} {}",
                    stripes.len(),
                    sectors(*chunk),
                    places.join(" ")
                )
            }
            Target::ThinPool {
                metadata,
                data,
                chunk,
                zero,
            } => {
                let mut features = Vec::new();
                if !zero {
                    features.push("skip_block_zeroing");
                }
                if access == Access::ReadOnly {
                    features.push("read_only");
                }
                format!(
                    "thin-pool {} {} {} {LOW_WATER} {}{}{}",
                    device(*metadata),
                    device(*data),
                    sectors(*chunk),
                    features.len(),
                    if features.is_empty() { "" } else { " " },
                    features.join(" ")
                )
            }
            Target::Thin { pool, device: id } => format!("thin {} {id}", device(*pool)),
        };
        // Writing to a string cannot fail.
        writeln!(text, "{} {} {rest}", sectors(at), sectors(*len)).ok();
        at += len;
    }
    text
}

fn dmsetup() -> Cmd {
    // Nodes are made by dmsetup itself: a udev of the host need not know of them.
    Cmd::new("dmsetup").env("DM_DISABLE_UDEV", "1")
}

fn remove(name: &str) -> Result<(), MapperError> {
    dmsetup()
        .args(["remove", "--noudevrules", "--noudevsync", name])
        .run()
        .map(drop)
        .map_err(|source| MapperError::Tool { source })
}

/// A private name: whose process namespace, process and start time it is, and a random number.
fn name() -> io::Result<String> {
    let mut random = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let owner = Owner::of(process::id()).ok_or(io::ErrorKind::NotFound)?;
    Ok(format!("{owner}-{:016x}", u64::from_ne_bytes(random)))
}

/// A process, also after its number was given to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    /// The inode of the namespace that its number is from.
    namespace: u64,
    process: u32,
    /// When it was started, in the kernel's ticks since boot.
    started: u64,
}

impl Owner {
    fn of(process: u32) -> Option<Self> {
        let namespace = fs::metadata("/proc/self/ns/pid").ok()?.ino();
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name of the program, in parentheses, may have anything in it (proc(5)).
        let (_, fields) = stat.rsplit_once(')')?;
        let started = fields.split_whitespace().nth(19)?.parse().ok()?;
        Some(Self {
            namespace,
            process,
            started,
        })
    }

    /// Reads the name of a device.
    fn parse(name: &str) -> Option<Self> {
        let mut fields = name.strip_prefix(PREFIX)?.strip_prefix('-')?.split('-');
        let owner = Self {
            namespace: fields.next()?.parse().ok()?,
            process: fields.next()?.parse().ok()?,
            started: fields.next()?.parse().ok()?,
        };
        (fields.next()?.len() == 16 && fields.next().is_none()).then_some(owner)
    }

    /// Whether it is certain that the process is gone. Of another namespace nothing is.
    fn is_dead(self) -> bool {
        Self::of(process::id()).is_some_and(|own| own.namespace == self.namespace)
            && Self::of(self.process) != Some(self)
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{PREFIX}-{}-{}-{}",
            self.namespace, self.process, self.started
        )
    }
}

/// Removes the devices of killed runs, the upper ones first: as long as one goes, the next may.
fn sweep() {
    let mut left = orphans();
    while !left.is_empty() {
        let before = left.len();
        left.retain(|name| remove(name).is_err());
        if left.len() == before {
            tell(format_args!(
                "removing {}: they are still in use",
                left.join(", ")
            ));
            break;
        }
    }
}

fn orphans() -> Vec<String> {
    let Ok(devices) = fs::read_dir("/sys/block") else {
        return Vec::new();
    };
    devices
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("dm/name")).ok())
        .map(|name| name.trim_end().to_owned())
        .filter(|name| Owner::parse(name).is_some_and(Owner::is_dead))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, len: u64) -> ByteRange {
        ByteRange::new(start, len).unwrap()
    }

    #[test]
    fn tables_are_those_of_dmsetup() {
        const MIB: u64 = 1024 * 1024;
        let lower = ["meta", "data"].map(|name| Path::new("/dev/mapper").join(name));
        let cases: [(Vec<(u64, Target)>, Access, &str); 4] = [
            (
                vec![
                    (MIB, Target::Linear(range(3 * MIB, MIB))),
                    (2 * MIB, Target::Linear(range(9 * MIB, 2 * MIB))),
                ],
                Access::ReadWrite,
                "0 2048 linear /dev/loop7 4096\n2048 4096 linear /dev/loop7 16384\n",
            ),
            (
                vec![(
                    4 * MIB,
                    Target::Striped {
                        chunk: 65_536,
                        stripes: vec![range(MIB, 2 * MIB), range(5 * MIB, 2 * MIB)],
                    },
                )],
                Access::ReadOnly,
                "0 8192 striped 2 128 /dev/loop7 0 /dev/loop7 8192\n",
            ),
            (
                vec![(
                    MIB,
                    Target::ThinPool {
                        metadata: 0,
                        data: 1,
                        chunk: 65_536,
                        zero: false,
                    },
                )],
                Access::ReadOnly,
                "0 2048 thin-pool /dev/mapper/meta /dev/mapper/data 128 0 2 skip_block_zeroing \
                 read_only\n",
            ),
            (
                vec![(MIB, Target::Thin { pool: 1, device: 5 })],
                Access::ReadWrite,
                "0 2048 thin /dev/mapper/data 5\n",
            ),
        ];
        for (targets, access, expected) in cases {
            let table = Table { targets };
            let text = write_table(&table, &lower, Path::new("/dev/loop7"), MIB, access);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn the_loop_device_covers_every_piece() {
        let tables = [
            Table {
                targets: vec![(10, Target::Linear(range(50, 10)))],
            },
            Table {
                targets: vec![
                    (
                        40,
                        Target::Striped {
                            chunk: 10,
                            stripes: vec![range(90, 20), range(20, 20)],
                        },
                    ),
                    (7, Target::Thin { pool: 0, device: 1 }),
                ],
            },
        ];
        assert_eq!(MappedDevice::hull(&tables), Some(range(20, 90)));
        assert_eq!(MappedDevice::hull(&[]), None);
    }

    #[test]
    fn names_tell_their_owner() {
        let name = name().unwrap();
        let owner = Owner::parse(&name).unwrap();
        assert_eq!(Some(owner), Owner::of(process::id()));
        assert!(!owner.is_dead());
        assert!(name.len() < 127, "{name}");
        // Its number was given to another process since.
        let before = Owner {
            started: owner.started.wrapping_sub(1),
            ..owner
        };
        assert!(before.is_dead());
        let elsewhere = Owner {
            namespace: owner.namespace + 1,
            ..before
        };
        assert!(!elsewhere.is_dead());
        for other in [
            "vg-root",
            "byoi",
            "byoi-1-2-3",
            "byoi-1-2-3-x",
            "byoi-home-1-2-3",
        ] {
            assert_eq!(Owner::parse(other), None, "{other}");
        }
    }
}
