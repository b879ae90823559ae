//! What a running guest makes anew by itself.
//!
//! A source that was started again after the capture has a new machine id, new host keys, new
//! leases. Nobody changed them, and restoring takes no notice.

use crate::root::GuestPath;

/// State of programs, not configuration.
const DIRECTORIES: [&str; 4] = ["/var", "/run", "/tmp", "/etc/lvm/devices"];
/// What is made at boot where it is not there.
const FILES: [&str; 6] = [
    "/etc/machine-id",
    "/etc/hostid",
    "/etc/iscsi/initiatorname.iscsi",
    "/etc/nvme/hostid",
    "/etc/nvme/hostnqn",
    "/etc/resolv.conf",
];

/// Whether a running guest makes a path anew by itself.
pub(super) fn is_remade(path: &GuestPath) -> bool {
    let is = |known: &&str| *path == GuestPath::from(*known);
    let is_in = |dir: &&str| path.is_below(&GuestPath::from(*dir));
    FILES.iter().any(is) || DIRECTORIES.iter().any(is_in)
}
