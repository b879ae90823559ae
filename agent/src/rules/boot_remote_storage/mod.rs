//! `boot/remote-storage`: storage of the old network that is attached at boot.
//!
//! OCI's page on importing Linux images asks that services which need remote storage are set to
//! manual start, since it is not there when the imported image boots first. So entries of `fstab`
//! get `noauto`, and autofs, mount units and `rbdmap` are disabled; the options and maps
//! themselves stay, for whoever attaches the storage again. iSCSI is the subject of
//! `iscsi/mount`. What the hypervisor shares, such as VMware's folders, is never there on OCI.

mod autofs;
mod root;
mod table;
mod units;

use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct BootRemoteStorage;

/// What to do.
const HINT: &str = "set it to manual start, and back once the storage is attached on OCI";
/// What to do where it cannot be done here.
const MOVE: &str = "move the file system to the boot disk: the guest does not run without it";

/// File systems on storage elsewhere that systemd knows for such: it mounts them after the network,
/// and goes on without them.
const NETWORK: [&str; 17] = [
    "afs",
    "ceph",
    "cifs",
    "davfs",
    "gfs",
    "gfs2",
    "glusterfs",
    "lustre",
    "ncp",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "pvfs2",
    "smb3",
    "smbfs",
    "sshfs",
];
/// File systems on storage elsewhere, or shared by a hypervisor, that systemd takes for local ones.
const UNKNOWN: [&str; 23] = [
    "9p",
    "beegfs",
    "blobfuse",
    "blobfuse2",
    "cephfs",
    "curlftpfs",
    "davfs2",
    "efs",
    "gcsfuse",
    "goofys",
    "gpfs",
    "juicefs",
    "mfs",
    "moosefs",
    "orangefs",
    "prl_fs",
    "rclone",
    "s3fs",
    "vboxsf",
    "virtiofs",
    "vmhgfs",
    "vmhgfs-fuse",
    "weed",
];
/// Block devices that a network lies behind.
const DEVICES: [&str; 3] = ["/dev/rbd", "/dev/nbd", "/dev/drbd"];

impl Rule for BootRemoteStorage {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "boot/remote-storage",
            severity: Severity::Blocker,
            title: "Remote storage that is attached at boot: NFS, CIFS, shared folders",
            why: "The storage of the old network is not there when the image boots first, so the \
                  boot waits for it or stops in emergency mode.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut defects = root::check(guest)?;
        defects.extend(table::check(guest)?);
        defects.extend(units::check(guest)?);
        defects.extend(autofs::check(guest)?);
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        table::fix(guest)?;
        units::fix(guest)?;
        autofs::fix(guest)
    }
}

/// How a mount reaches its storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Over the network, as systemd sees it too.
    Network,
    /// Not locally, but systemd does not know.
    Unknown,
}

/// How the storage of a mount is reached; `None` where it is local.
fn reach(source: &str, fs_type: &str) -> Option<Reach> {
    // `fuse.sshfs`, and of old `fuse` with the source `sshfs#host:`.
    let fs_type = match fs_type.strip_prefix("fuse.") {
        Some(name) => name,
        None if matches!(fs_type, "fuse" | "") => {
            source.split_once('#').map_or(fs_type, |(name, _)| name)
        }
        None => fs_type,
    };
    if NETWORK.contains(&fs_type) {
        return Some(Reach::Network);
    }
    if UNKNOWN.contains(&fs_type) || DEVICES.iter().any(|device| source.starts_with(device)) {
        return Some(Reach::Unknown);
    }
    // mount(8) tells NFS and CIFS by the source.
    (matches!(fs_type, "" | "auto") && (source.starts_with("//") || is_export(source)))
        .then_some(Reach::Unknown)
}

/// `HOST:/PATH`.
fn is_export(source: &str) -> bool {
    source
        .split_once(":/")
        .is_some_and(|(host, _)| !host.is_empty() && !host.contains(['/', '=']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_storage_is_known() {
        for (source, fs_type, expected) in [
            ("nas:/export", "nfs", Some(Reach::Network)),
            ("//nas/share", "cifs", Some(Reach::Network)),
            ("ann@host:/srv", "fuse.sshfs", Some(Reach::Network)),
            ("sshfs#ann@host:/srv", "fuse", Some(Reach::Network)),
            (".host:/", "fuse.vmhgfs-fuse", Some(Reach::Unknown)),
            ("share", "vboxsf", Some(Reach::Unknown)),
            ("/dev/rbd0", "xfs", Some(Reach::Unknown)),
            ("nas:/export", "auto", Some(Reach::Unknown)),
            ("UUID=x", "ext4", None),
            ("/dev/sda1", "", None),
            ("tmpfs", "tmpfs", None),
            ("/srv/a:/srv/b", "fuse.mergerfs", None),
            ("lxcfs", "fuse.lxcfs", None),
            ("LABEL=a:/b", "auto", None),
            ("nfsd", "nfsd", None),
        ] {
            assert_eq!(reach(source, fs_type), expected, "{source} {fs_type}");
        }
    }
}
