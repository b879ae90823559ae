//! `/proc/PID/mountinfo` (proc(5)): what is mounted where, as one mount namespace sees it.

use super::fstab::decode;

/// The options of an overlay that name directories (the kernel's `overlayfs.rst`).
const LAYERS: [&str; 5] = [
    "lowerdir=",
    "lowerdir+=",
    "datadir+=",
    "upperdir=",
    "workdir=",
];

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its number, unique in the running kernel.
    pub id: u64,
    /// The number of the mount that it is on.
    pub parent: u64,
    /// `MAJOR:MINOR` of the file system; `0:N` where it has no device of its own, as with btrfs.
    pub device: String,
    /// Which directory of the file system is mounted: `/`, unless it is a bind mount.
    pub root: String,
    /// Where, below the root of the process.
    pub target: String,
    /// The options of this mount.
    pub options: String,
    /// The group of mounts that it shares events with.
    pub shared: Option<u64>,
    /// The group of mounts that it receives events from.
    pub master: Option<u64>,
    /// The type of the file system.
    pub fs_type: String,
    /// What is mounted, as it was named.
    pub source: String,
    /// The options of the file system.
    pub super_options: String,
}

/// The mounts of a text, in their order: what is mounted later comes later.
pub fn mounts(text: &str) -> Vec<Mount> {
    text.lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<Mount> {
    // A single hyphen ends the optional fields.
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ');
    let mut right = right.split(' ');
    let mut mount = Mount {
        id: left.next()?.parse().ok()?,
        parent: left.next()?.parse().ok()?,
        device: left.next()?.to_owned(),
        root: decode(left.next()?),
        target: decode(left.next()?),
        options: left.next()?.to_owned(),
        shared: None,
        master: None,
        fs_type: right.next()?.to_owned(),
        source: decode(right.next()?),
        super_options: right.next().unwrap_or_default().to_owned(),
    };
    for field in left {
        match field.split_once(':') {
            Some(("shared", group)) => mount.shared = group.parse().ok(),
            Some(("master", group)) => mount.master = group.parse().ok(),
            _ => {}
        }
    }
    Some(mount)
}

impl Mount {
    /// Whether what is unmounted on the other one is unmounted here too.
    pub fn follows(&self, other: &Self) -> bool {
        other.shared.is_some() && [self.shared, self.master].contains(&other.shared)
    }

    /// The directories that an overlay is made of, as whoever mounted it named them.
    pub fn layers(&self) -> impl Iterator<Item = &str> {
        let options = self.super_options.split(',');
        options
            .filter(|_| self.fs_type == "overlay")
            .filter_map(|option| LAYERS.iter().find_map(|name| option.strip_prefix(name)))
            .flat_map(|dirs| dirs.split(':'))
            .filter(|dir| !dir.is_empty())
    }

    /// The options to mount it with again: those of the file system too, unless this mount has
    /// changed them, and none that only the running kernel can set.
    pub fn all_options(&self) -> String {
        let own = self.options.split(',');
        let shared = self
            .super_options
            .split(',')
            .filter(|option| !matches!(*option, "rw" | "ro" | "seclabel" | ""));
        own.chain(shared).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_has_layers() {
        let text = "9 1 0:50 / /merged rw - overlay overlay rw,lowerdir=/a:/b::/c,upperdir=/u,workdir=/w\n";
        let found = mounts(text);
        let layers: Vec<&str> = found[0].layers().collect();
        assert_eq!(layers, ["/a", "/b", "/c", "/u", "/w"]);
    }

    #[test]
    fn mounts_are_read() {
        let text = "\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
88 21 8:16 / /srv/a\\040b ro,nosuid shared:42 master:3 - xfs /dev/sdb rw,seclabel,noquota
90 21 8:16 /sub /srv/bind rw - xfs /dev/sdb rw
broken
";
        let found = mounts(text);
        let shown: Vec<_> = found
            .iter()
            .map(|mount| (mount.id, mount.device.as_str(), mount.target.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                (21, "8:1", "/"),
                (88, "8:16", "/srv/a b"),
                (90, "8:16", "/srv/bind")
            ]
        );
        assert_eq!(found[1].all_options(), "ro,nosuid,noquota");
        assert_eq!((found[1].shared, found[1].master), (Some(42), Some(3)));
        assert!(found[1].follows(&found[1]) && !found[1].follows(&found[0]));
        assert_eq!((&*found[2].root, &*found[2].fs_type), ("/sub", "xfs"));
    }
}
