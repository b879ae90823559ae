//! Finding the root file system of the guest on its disk.
//!
//! Every Linux file system is mounted read-only, without replaying its journal, and looked at. It
//! is a root where there is an `/etc` with an fstab or os-release, and system directories beside
//! it. Where several are, the one counts whose own fstab mounts it at `/`.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use byoi_agent::interrupt;
use byoi_agent::parse::fstab::{self, Entry};

use super::GuestError;
use super::confined;
use super::mounts::{MountStack, Mountable};
use super::plan;
use crate::disk::{Access, AttachedDisk};
use crate::layout::{ContentKind, Layout, LinuxFs, Part, PartId, SWAP_HEAD, is_hibernated};
use crate::units::byte_len;
use crate::volumes::{OwnDisk, Volumes};

/// An fstab is read up to this length, in bytes.
const FSTAB_LIMIT: u64 = 1024 * 1024;
/// How many directories at the top of a btrfs are looked at.
const MAX_SUBVOLUMES: usize = 256;

/// A file system that holds a Linux system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root {
    /// Where it is.
    pub(super) part: PartId,
    /// The btrfs subvolume, where it is not the default one.
    subvolume: Option<String>,
    /// Its `/etc/fstab`.
    pub(super) fstab: Vec<Entry>,
    /// The swap file with a hibernated system.
    hibernated: Option<String>,
}

impl Root {
    /// A root that nobody looked for.
    #[cfg(test)]
    pub(super) fn for_tests(part: PartId, fstab: Vec<Entry>) -> Self {
        Self {
            part,
            subvolume: None,
            fstab,
            hibernated: None,
        }
    }

    /// The paths of its swap files.
    pub(super) fn swap_files(&self) -> impl Iterator<Item = &str> {
        swap_files(&self.fstab)
    }

    /// The mount option that chooses its subvolume.
    pub(super) fn mount_option(&self) -> Option<String> {
        self.subvolume.as_ref().map(|name| format!("subvol={name}"))
    }

    fn own_entry(&self) -> Option<&Entry> {
        self.fstab.iter().rev().find(|entry| entry.target == "/")
    }

    /// What the guest's kernel calls this disk, as far as its fstab tells.
    pub(super) fn own_disk(&self) -> OwnDisk {
        OwnDisk::of(self.own_entry().map(|entry| entry.source.as_str()))
    }

    /// Whether its own fstab mounts it at `/`.
    fn names_itself(&self, layout: &Layout) -> bool {
        let Some(entry) = self.own_entry() else {
            return false;
        };
        let part = plan::resolve(
            &entry.source,
            &self.own_disk(),
            &Volumes::on(layout),
            layout,
        );
        let subvolume = entry
            .option_value("subvol")
            .map(|name| name.trim_start_matches('/'));
        part.is_some_and(|part| part.id() == self.part)
            && (self.subvolume.is_none() || subvolume == self.subvolume.as_deref())
    }

    fn describe(&self) -> String {
        match &self.subvolume {
            Some(name) => format!("{} (subvolume {name})", self.part),
            None => self.part.to_string(),
        }
    }
}

/// Finds the one root file system.
pub(super) fn find(
    disk: &AttachedDisk,
    layout: &Layout,
    workdir: &Path,
) -> Result<Root, GuestError> {
    let mut roots = Vec::new();
    let mut seen = Vec::new();
    for part in layout.parts() {
        interrupt::check().map_err(|source| GuestError::Interrupted { source })?;
        if part.content().kind.linux_fs().is_none() || part.obstacle().is_some() {
            seen.push(describe(part));
            continue;
        }
        match look(disk, part, workdir) {
            Ok(found) if found.is_empty() => seen.push(describe(part)),
            Ok(found) => roots.extend(found),
            // A damaged data volume need not keep the guest from booting.
            Err(error @ (GuestError::Mount { .. } | GuestError::Attach { .. })) => {
                seen.push(format!("{} ({})", describe(part), error.reason()));
            }
            Err(error) => return Err(error),
        }
    }
    let root = choose(roots, layout, &seen)?;
    match root.hibernated {
        Some(path) => Err(GuestError::Hibernated {
            place: format!("swap file {path}"),
        }),
        None => Ok(root),
    }
}

fn choose(mut roots: Vec<Root>, layout: &Layout, seen: &[String]) -> Result<Root, GuestError> {
    if roots.len() > 1 && roots.iter().any(|root| root.names_itself(layout)) {
        roots.retain(|root| root.names_itself(layout));
    }
    match roots.len() {
        1 => Ok(roots.remove(0)),
        0 => Err(GuestError::NoRoot {
            seen: if seen.is_empty() {
                "it has no partitions and no logical volumes".to_owned()
            } else {
                seen.join(", ")
            },
        }),
        _ => Err(GuestError::ManyRoots {
            candidates: roots
                .iter()
                .map(Root::describe)
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

pub(super) fn describe(part: Part<'_>) -> String {
    if let Some(obstacle) = part.obstacle() {
        return format!("{} cannot be had ({obstacle})", part.id());
    }
    let name = match (part, part.content().kind) {
        (Part::Logical(_, volume), ContentKind::Unknown) if !volume.is_looked_into() => {
            "thin, which only the device mapper can read"
        }
        (_, ContentKind::Unknown) => "of unknown content",
        (_, kind) => kind.name(),
    };
    format!("{} is {name}", part.id())
}

/// Mounts a file system read-only and looks for roots in it.
fn look(disk: &AttachedDisk, part: Part<'_>, workdir: &Path) -> Result<Vec<Root>, GuestError> {
    let top = match part.content().kind.linux_fs() {
        // The default subvolume, then the top with all subvolumes.
        Some(LinuxFs::Btrfs) => [None, Some("subvolid=5")].as_slice(),
        _ => [None].as_slice(),
    };
    let mut roots = Vec::new();
    for subvolume in top {
        let Some(what) = Mountable::new(part, Access::ReadOnly, *subvolume) else {
            continue;
        };
        let mut stack = MountStack::new(workdir)?;
        stack.mount(disk, &what, "/")?;
        let seen = look_into(stack.dir(), &part.id(), subvolume.is_some()).map_err(|source| {
            GuestError::Workdir {
                action: "looking at the file system mounted on",
                path: stack.dir().to_owned(),
                source,
            }
        });
        stack.tear_down()?;
        roots = seen?;
        if !roots.is_empty() {
            break;
        }
    }
    Ok(roots)
}

fn look_into(dir: &Path, part: &PartId, subvolumes: bool) -> io::Result<Vec<Root>> {
    if !subvolumes {
        return Ok(examine(&File::open(dir)?, part, None).into_iter().collect());
    }
    let mut roots = Vec::new();
    for entry in fs::read_dir(dir)?.take(MAX_SUBVOLUMES) {
        let entry = entry?;
        let name = entry.file_name().into_string();
        // A comma would begin another mount option. The type comes with the entry: no link counts.
        if let Ok(name) = name
            && !name.contains(',')
            && entry.file_type()?.is_dir()
        {
            let directory = confined::open(
                &File::open(dir)?,
                &name,
                nix::fcntl::OFlag::O_DIRECTORY | nix::fcntl::OFlag::O_NOFOLLOW,
            )?;
            roots.extend(examine(&directory, part, Some(name)));
        }
    }
    Ok(roots)
}

/// Whether a directory is the root of a Linux system.
fn examine(root: &impl AsFd, part: &PartId, subvolume: Option<String>) -> Option<Root> {
    let described = ["etc/fstab", "etc/os-release", "usr/lib/os-release"]
        .iter()
        .any(|path| confined::exists(root, path));
    let systemic = ["sbin", "usr"]
        .iter()
        .any(|path| confined::exists(root, path));
    if !confined::is_dir(root, "etc") || !described || !systemic {
        return None;
    }
    let text = confined::read(root, "etc/fstab", FSTAB_LIMIT).unwrap_or_default();
    let fstab = fstab::entries(&String::from_utf8_lossy(&text));
    let hibernated = swap_files(&fstab)
        .find(|path| {
            confined::read(root, path, byte_len(SWAP_HEAD)).is_ok_and(|head| is_hibernated(&head))
        })
        .map(str::to_owned);
    Some(Root {
        part: part.clone(),
        subvolume,
        fstab,
        hibernated,
    })
}

/// The paths of the swap files that an fstab names.
fn swap_files(fstab: &[Entry]) -> impl Iterator<Item = &str> {
    fstab
        .iter()
        .filter(|entry| entry.is_swap() && entry.source.starts_with('/'))
        .filter(|entry| !entry.source.starts_with("/dev/"))
        .map(|entry| entry.source.as_str())
}
