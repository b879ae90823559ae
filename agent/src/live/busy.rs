//! Which processes use what shall be detached.
//!
//! Asked of `/proc`: the working directory, the root, the program, every open file and every mapped
//! one. A file is known by the mount that it was opened through and by its file system; asking
//! contacts no server, so that a network file system which hangs does not hang us.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, StatxFlags, major, minor, stat, statx};
use rustix::io::Errno;

use super::kernel::Kernel;
use super::namespace::{directory, name, processes};

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// Mounts by number, and where they are.
    pub mounts: BTreeMap<u64, String>,
    /// File systems by `MAJOR:MINOR`, and where they are mounted.
    pub file_systems: BTreeMap<String, String>,
    /// Block devices by `MAJOR:MINOR`, and their names.
    pub devices: BTreeMap<String, String>,
}

/// How many uses are named.
const SHOWN: usize = 8;
/// Programs that open a disk for as long as it is there, and are in nobody's way.
const WATCHERS: [&str; 6] = [
    "multipathd",
    "udevd",
    "systemd-udevd",
    "(udev-worker)",
    "dmeventd",
    "iscsid",
];
/// What a process has without opening it.
const PLACES: [(&str, &str); 3] = [
    ("cwd", "its working directory"),
    ("root", "its root directory"),
    ("exe", "its program"),
];

/// The uses of what is watched, each a sentence with the next step, one a process and place.
pub fn users(kernel: Kernel<'_>, watched: &Watched) -> Vec<String> {
    let mut users = Vec::new();
    if watched.mounts.is_empty() && watched.devices.is_empty() {
        return users;
    }
    for process in processes(kernel) {
        let name = name(kernel, process);
        let mut seen: Vec<String> = Vec::new();
        for (what, how) in uses(kernel, process, watched) {
            let is_device = watched
                .devices
                .values()
                .any(|d| what == format!("/dev/{d}"));
            if seen.contains(&what) || (is_device && WATCHERS.contains(&name.as_str())) {
                continue;
            }
            users.push(format!(
                "{what} is in use by {name} (process {process}, {how}): end it"
            ));
            seen.push(what);
        }
    }
    if users.len() > SHOWN {
        let more = users.len() - SHOWN;
        users.truncate(SHOWN);
        users.push(format!("and {more} more uses"));
    }
    users
}

/// What a process uses and how.
fn uses(kernel: Kernel<'_>, process: u32, watched: &Watched) -> Vec<(String, String)> {
    let dir = directory(process);
    let host = kernel
        .0
        .host_path()
        .join(dir.as_path().strip_prefix("/").unwrap_or(Path::new("")));
    let mut uses = Vec::new();
    for (link, how) in PLACES {
        if let Some(what) = watched.by_path(&host.join(link)) {
            uses.push((what, how.to_owned()));
        }
    }
    for descriptor in kernel.names(&dir.join("fd")) {
        if let Some(what) = watched.by_path(&host.join("fd").join(&descriptor)) {
            let file = kernel.link(&dir.join("fd").join(&descriptor));
            uses.push((what, file.unwrap_or_else(|| "an open file".to_owned())));
        }
    }
    let maps = kernel.fleeting(&dir.join("maps")).unwrap_or_default();
    for line in maps.lines() {
        // ADDRESS PERMISSIONS OFFSET MAJOR:MINOR INODE FILE, the device in hexadecimal.
        let mut columns = line.split_whitespace().skip(3);
        let Some(device) = columns.next().and_then(from_hexadecimal) else {
            continue;
        };
        if let Some(target) = watched.file_systems.get(&device) {
            let file = columns.nth(1).unwrap_or("a mapped file");
            uses.push((target.clone(), file.to_owned()));
        }
    }
    uses
}

/// What tells a file from others.
struct Identity {
    mount: Option<u64>,
    file_system: String,
    block_device: Option<String>,
}

impl Identity {
    /// Of what a link of `/proc` leads to; a process that has ended has none.
    fn of(link: &Path) -> Option<Self> {
        let flags = AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
        match statx(
            CWD,
            link,
            flags,
            StatxFlags::BASIC_STATS | StatxFlags::MNT_ID,
        ) {
            Ok(found) => {
                let told = StatxFlags::from_bits_retain(found.stx_mask);
                Some(Self {
                    mount: told
                        .contains(StatxFlags::MNT_ID)
                        .then_some(found.stx_mnt_id),
                    file_system: number(found.stx_dev_major, found.stx_dev_minor),
                    block_device: is_block(found.stx_mode.into())
                        .then(|| number(found.stx_rdev_major, found.stx_rdev_minor)),
                })
            }
            // Kernels before 4.11.
            Err(Errno::NOSYS) => {
                let found = stat(link).ok()?;
                let of = |device| number(major(device), minor(device));
                Some(Self {
                    mount: None,
                    file_system: of(found.st_dev),
                    block_device: is_block(found.st_mode).then(|| of(found.st_rdev)),
                })
            }
            Err(_) => None,
        }
    }
}

fn is_block(mode: u32) -> bool {
    FileType::from_raw_mode(mode) == FileType::BlockDevice
}

impl Watched {
    /// What is watched and lies behind a link of `/proc`.
    fn by_path(&self, link: &Path) -> Option<String> {
        let found = Identity::of(link)?;
        let mounted = found
            .mount
            .and_then(|mount| self.mounts.get(&mount))
            .or_else(|| self.file_systems.get(&found.file_system));
        let device = || self.devices.get(found.block_device.as_ref()?);
        mounted
            .cloned()
            .or_else(|| Some(format!("/dev/{}", device()?)))
    }
}

fn number(major: u32, minor: u32) -> String {
    format!("{major}:{minor}")
}

fn from_hexadecimal(device: &str) -> Option<String> {
    let (major, minor) = device.split_once(':')?;
    let part = |text| u32::from_str_radix(text, 16).ok();
    Some(number(part(major)?, part(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::GuestRoot;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn an_open_file_is_found() {
        let root = GuestRoot::open(Path::new("/")).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let device = file.as_file().metadata().unwrap().dev();
        let watched = Watched {
            file_systems: [(number(major(device), minor(device)), "/srv/data".into())].into(),
            ..Watched::default()
        };
        let found = uses(Kernel(&root), std::process::id(), &watched);
        let path = file.path().display().to_string();
        assert!(found.contains(&("/srv/data".into(), path)), "{found:?}");
        assert!(uses(Kernel(&root), std::process::id(), &Watched::default()).is_empty());
    }

    #[test]
    fn numbers_of_devices_are_read() {
        assert_eq!(from_hexadecimal("fe:0a").as_deref(), Some("254:10"));
        assert_eq!(from_hexadecimal("x"), None);
    }
}
