//! `iscsi/mount`: whatever waits at boot for a volume that was attached over iSCSI.
//!
//! Looked at: `fstab`, `crypttab`, systemd's mount, automount and swap units below
//! `/etc/systemd/system`, and the names that multipath remembers. A volume is known by its path
//! (`/dev/disk/by-path/ip-…-iscsi-…`), by a unit of the initiator that its entry requires, or by
//! `_netdev` on a block device. The last says nothing where `/` has it as well: Oracle's own
//! images set it on every local file system. On the running system the kernel knows as well which
//! devices and mounts are on such volumes, whatever an entry calls them. What the system itself
//! needs is the subject of `iscsi/root`.

mod multipath;
mod tables;
mod units;

use std::rc::Rc;

use super::{DOC_CUSTOM_IMAGES, KnownDisk, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::live::volumes::Volumes;
use crate::parse::fstab;

/// The rule.
#[derive(Debug, Default)]
pub struct IscsiMount {
    disk: Rc<KnownDisk>,
}

/// File systems that have no block device, so that `_netdev` on them is right.
const NETWORK_FILE_SYSTEMS: [&str; 14] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "davfs",
    "fuse.sshfs",
    "gfs2",
    "glusterfs",
    "lustre",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb3",
];

impl IscsiMount {
    /// The rule, with what is known of the guest's disk: `_netdev` on a file system on it means no
    /// iSCSI.
    pub fn new(disk: Rc<KnownDisk>) -> Self {
        Self { disk }
    }
}

impl Rule for IscsiMount {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "iscsi/mount",
            severity: Severity::Blocker,
            title: "Mounts, swap and mappings of volumes attached over iSCSI",
            why: "The volumes are not there on OCI, so the boot waits for them and then stops in \
                  emergency mode.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let volumes = self.disk.volumes(guest)?;
        let mut defects = tables::check(guest, &self.disk, &volumes)?;
        defects.extend(units::check(guest, &volumes)?);
        defects.extend(multipath::check(guest)?);
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        let volumes = self.disk.volumes(guest)?;
        tables::fix(guest, &self.disk, &volumes)?;
        units::fix(guest, &volumes)?;
        multipath::fix(guest)
    }
}

/// The entries of `fstab` that need iSCSI and without which the system does not run.
///
/// # Errors
///
/// The guest could not be read.
pub fn essential(
    guest: &Guest<'_>,
    disk: &KnownDisk,
    volumes: &Volumes<'_>,
) -> Result<Vec<fstab::Entry>, Error> {
    tables::essential(guest, disk, volumes)
}

/// Whether an entry of `table` mounts a volume that was attached over iSCSI.
pub fn needs_iscsi(entry: &fstab::Entry, table: &[fstab::Entry]) -> bool {
    if is_iscsi_path(&entry.source) {
        return true;
    }
    if entry.is_essential() {
        return false;
    }
    let root_is_netdev = table
        .iter()
        .any(|entry| entry.target == "/" && entry.has_option("_netdev"));
    let is_network_file_system = NETWORK_FILE_SYSTEMS.contains(&entry.fs_type.as_str());
    (requires_initiator(&entry.options) && !is_network_file_system)
        || (entry.has_option("_netdev")
            && !root_is_netdev
            && is_block_device(&entry.source, &entry.fs_type))
}

/// udev's name for a disk behind a portal: `ip-ADDRESS:PORT-iscsi-TARGET-lun-N`.
pub fn is_iscsi_path(source: &str) -> bool {
    source
        .strip_prefix("/dev/disk/by-path/")
        .is_some_and(|name| name.starts_with("ip-") && name.contains("-iscsi-"))
}

fn requires_initiator(options: &[String]) -> bool {
    options.iter().any(|option| {
        option
            .strip_prefix("x-systemd.requires=")
            .is_some_and(|unit| unit.contains("iscsi"))
    })
}

/// Whether a source is a block device that a network may lie behind: not one of another kind of
/// network storage.
fn is_block_device(source: &str, fs_type: &str) -> bool {
    let tagged = ["UUID=", "LABEL=", "PARTUUID=", "PARTLABEL="]
        .iter()
        .any(|tag| source.starts_with(tag));
    let other = ["/dev/rbd", "/dev/nbd", "/dev/drbd"]
        .iter()
        .any(|prefix| source.starts_with(prefix));
    let device = source.starts_with("/dev/") && !other;
    (tagged || device) && !NETWORK_FILE_SYSTEMS.contains(&fs_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_need_iscsi_are_known() {
        let by_path = "/dev/disk/by-path/ip-192.0.2.5:3260-iscsi-iqn.x:y-lun-1";
        for (line, expected) in [
            (format!("{by_path} /srv/data ext4 defaults"), true),
            (format!("{by_path} / ext4 defaults"), true),
            ("UUID=x /srv ext4 _netdev,nofail".into(), true),
            ("/dev/sdb1 none swap sw,_netdev".into(), true),
            (
                "LABEL=x /srv xfs x-systemd.requires=iscsi.service".into(),
                true,
            ),
            ("/dev/mapper/vg-data /srv xfs _netdev".into(), true),
            ("UUID=x / ext4 _netdev".into(), false),
            ("UUID=x /srv ext4 defaults".into(), false),
            ("nas:/x /srv nfs _netdev".into(), false),
            ("//nas/x /srv cifs _netdev".into(), false),
            (
                "//nas/x /srv cifs password=x,x-systemd.requires=iscsi.service".into(),
                false,
            ),
            ("/dev/rbd0 /srv ext4 _netdev".into(), false),
            (
                "/dev/disk/by-path/pci-0000:00:10.0-scsi-0:0:1:0-part1 /srv ext4 defaults".into(),
                false,
            ),
            (
                "LABEL=x /srv xfs x-systemd.requires=multipathd.service".into(),
                false,
            ),
        ] {
            let table = fstab::entries(&line);
            assert_eq!(needs_iscsi(&table[0], &table), expected, "{line}");
        }
        let oracle = "UUID=a / xfs defaults,_netdev 0 0\nUUID=b swap swap _netdev 0 0\n";
        let table = fstab::entries(oracle);
        assert!(!needs_iscsi(&table[1], &table));
    }
}
