//! Where what a boot loader names lies in the mounted guest.
//!
//! A boot loader sees partitions, each with paths of its own; the guest has them mounted. A device
//! inside another one (a logical volume, an array) is any that is mounted and has the file.

use byoi_agent::error::Error;
use byoi_agent::guest::Guest;
use byoi_agent::root::GuestPath;

use crate::guest::GuestMount;
use crate::layout::{ContentKind, Layout, PartitionTable};
use crate::loader::script::{By, FileName, World};

/// What a device inside others begins with, as GRUB writes it.
const STACKED: [&str; 5] = ["lvm/", "lvmid/", "md/", "mduuid/", "cryptouuid/"];
/// A device of which only that it is mounted is known.
pub(super) const SOMEWHERE: &str = "lvm/";
/// How many directories a Btrfs path may begin with that the guest does not see: subvolumes.
const MAX_SUBVOLUMES: usize = 5;

/// What a device name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Device {
    /// A partition of this disk, by its number.
    Partition(u32),
    /// Something inside partitions.
    Stacked,
    /// Another disk, or the whole of this one.
    Elsewhere,
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Located {
    /// In the guest, at this path.
    Here(GuestPath),
    /// Nowhere.
    Missing,
    /// On what is not mounted, so that it cannot be told.
    Unseen,
}

/// The partitions of the disk and where they are mounted.
#[derive(Debug, Clone)]
pub(super) struct Places {
    layout: Layout,
    mounts: Vec<GuestMount>,
}

impl Places {
    /// The places of a disk of which these are mounted.
    pub fn new(layout: &Layout, mounts: &[GuestMount]) -> Self {
        let mounted = mounts.iter().filter(|mount| mount.skipped.is_none());
        Self {
            layout: layout.clone(),
            mounts: mounted.cloned().collect(),
        }
    }

    /// The disk.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where a file is that a boot loader names.
    pub fn locate(&self, guest: &Guest<'_>, file: &FileName) -> Result<Located, Error> {
        let number = match device(&file.device) {
            Device::Elsewhere => return Ok(Located::Missing),
            Device::Stacked => None,
            Device::Partition(number) => Some(number),
        };
        let mut seen = false;
        let mut certain = true;
        for mount in &self.mounts {
            let own = mount.logical_volume.is_none().then_some(mount.partition);
            if number.is_some() && number != own {
                continue;
            }
            seen = true;
            let point = GuestPath::from(mount.point.as_str());
            let btrfs = mount.file_system == ContentKind::Btrfs.name();
            for path in candidates(&file.path, btrfs || number.is_none()) {
                let path = point.join(path);
                if self.is_covered(&path, mount) {
                    certain = false;
                } else if guest.exists(&path)? {
                    return Ok(Located::Here(path));
                }
            }
            certain &= !btrfs;
        }
        Ok(match number {
            Some(number) if !seen && self.layout.partition(number).is_some() => Located::Unseen,
            Some(_) if certain => Located::Missing,
            _ => Located::Unseen,
        })
    }

    /// Whether another file system is mounted over a path of this one.
    fn is_covered(&self, path: &GuestPath, mount: &GuestMount) -> bool {
        let own = GuestPath::from(mount.point.as_str());
        self.mounts.iter().any(|other| {
            let point = GuestPath::from(other.point.as_str());
            point.is_below(&own)
                && (other.partition, &other.logical_volume)
                    != (mount.partition, &mount.logical_volume)
                && (path == &point || path.is_below(&point))
        })
    }

    /// The name that GRUB gives to a partition.
    pub fn name(&self, partition: u32) -> String {
        let scheme = match self.layout.table {
            PartitionTable::Gpt { .. } => "gpt",
            PartitionTable::Dos { .. } | PartitionTable::None { .. } => "msdos",
        };
        format!("hd0,{scheme}{partition}")
    }

    /// Whether file systems may be inside partitions that are not looked into.
    fn has_containers(&self) -> bool {
        self.layout.partitions.iter().any(|partition| {
            matches!(
                partition.content.kind,
                ContentKind::Lvm2 | ContentKind::MdRaid | ContentKind::Luks1 | ContentKind::Luks2
            )
        })
    }
}

/// Reads `hd0,msdos1`, `,gpt2`, `hd0,1`, `lvmid/…`.
pub(super) fn device(name: &str) -> Device {
    if STACKED.iter().any(|prefix| name.starts_with(prefix)) {
        return Device::Stacked;
    }
    let Some((disk, part)) = name.split_once(',') else {
        return Device::Elsewhere;
    };
    let number = part
        .strip_prefix("msdos")
        .or_else(|| part.strip_prefix("gpt"))
        .unwrap_or(part);
    match number.parse() {
        // A BIOS counts the disk that it boots from as the first one.
        Ok(number) if matches!(disk, "" | "hd0") => Device::Partition(number),
        _ => Device::Elsewhere,
    }
}

/// A path, and where subvolumes may come first, the rests of it.
fn candidates(path: &str, subvolumes: bool) -> impl Iterator<Item = &str> {
    let path = path.trim_start_matches('/');
    let rests = std::iter::successors(Some(path), |path| {
        path.split_once('/')
            .map(|(_, rest)| rest.trim_start_matches('/'))
            .filter(|rest| !rest.is_empty())
    });
    rests.take(if subvolumes { 1 + MAX_SUBVOLUMES } else { 1 })
}

/// The guest as a boot loader sees it.
#[derive(Debug)]
pub(super) struct Mounted<'a, 'g> {
    pub places: &'a Places,
    pub guest: &'a Guest<'g>,
}

impl World for Mounted<'_, '_> {
    fn read(&self, file: &FileName) -> Result<Option<Vec<u8>>, Error> {
        match self.places.locate(self.guest, file)? {
            Located::Here(path) => self.guest.read(&path),
            Located::Missing | Located::Unseen => Ok(None),
        }
    }

    fn is_there(&self, file: &FileName) -> Result<bool, Error> {
        let located = self.places.locate(self.guest, file)?;
        Ok(matches!(located, Located::Here(_)))
    }

    fn list(&self, dir: &FileName) -> Result<Vec<String>, Error> {
        let Located::Here(path) = self.places.locate(self.guest, dir)? else {
            return Ok(Vec::new());
        };
        let paths = self.guest.list(&path)?;
        Ok(paths
            .iter()
            .map(|path| path.name().to_string_lossy().into_owned())
            .collect())
    }

    fn search(&self, by: By, what: &str) -> Result<Option<String>, Error> {
        let places = self.places;
        if by == By::File {
            for mount in &places.mounts {
                let path = GuestPath::from(mount.point.as_str()).join(what.trim_start_matches('/'));
                if !places.is_covered(&path, mount) && self.guest.exists(&path)? {
                    return Ok(Some(places.name(mount.partition)));
                }
            }
            return Ok(None);
        }
        let found = places.layout.partitions.iter().find(|partition| {
            let content = &partition.content;
            match by {
                By::Uuid => content
                    .uuid
                    .as_deref()
                    .is_some_and(|uuid| uuid.eq_ignore_ascii_case(what)),
                _ => content.label.as_deref() == Some(what),
            }
        });
        Ok(match found {
            Some(partition) => Some(places.name(partition.number)),
            None if places.has_containers() => Some(SOMEWHERE.to_owned()),
            None => None,
        })
    }
}
