//! Services that attach volumes again while they are detached.

use super::kernel::Kernel;
use crate::parse::mountinfo::Mount;
use crate::root::GuestPath;

/// Oracle's own: the daemon of oci-utils, and the agent whose Block Volume Management plugin asks
/// every minute, as a package and as a snap.
const ATTACHING: [&str; 3] = [
    "ocid.service",
    "oracle-cloud-agent.service",
    "snap.oracle-cloud-agent.oracle-cloud-agent.service",
];
/// Where systemd keeps the control groups of services that run.
const GROUPS: [&str; 2] = [
    "/sys/fs/cgroup/system.slice",
    "/sys/fs/cgroup/systemd/system.slice",
];
/// What systemd gives as the source of what it mounts on access; autofs(8) gives its map.
const AUTOMOUNT: &str = "systemd-1";
/// Where systemd keeps the units of the running system.
const SYSTEMD: &str = "/run/systemd/system";

/// Whether systemd runs the machine (`sd_booted(3)`).
pub fn has_systemd(kernel: Kernel<'_>) -> bool {
    kernel.has(&SYSTEMD.into())
}

/// Those that run.
pub fn attaching(kernel: Kernel<'_>) -> Vec<String> {
    ATTACHING
        .into_iter()
        .filter(|unit| {
            GROUPS
                .iter()
                .any(|group| kernel.has(&GuestPath::from(*group).join(unit)))
        })
        .map(str::to_owned)
        .collect()
}

/// The unit that mounts it on access: systemd's `autofs` at the same place is below it.
pub fn automount(mount: &Mount, mounts: &[Mount]) -> Option<String> {
    let below = mounts.iter().find(|other| other.id == mount.parent)?;
    let is_unit =
        below.fs_type == "autofs" && below.source == AUTOMOUNT && below.target == mount.target;
    is_unit.then(|| format!("{}.automount", unit_name(&mount.target)))
}

/// The name that systemd gives to the unit of a path (systemd.unit(5)).
fn unit_name(path: &str) -> String {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return "-".to_owned();
    }
    let mut name = String::new();
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if at == 0 => name.push_str("\\x2e"),
            b'.' | b':' | b'_' => name.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => name.push(char::from(byte)),
            byte => name.extend(['\\', 'x', hex_digit(byte >> 4), hex_digit(byte & 15)]),
        }
    }
    name
}

fn hex_digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_named_as_systemd_names_them() {
        for (path, unit) in [
            ("/", "-"),
            ("/srv/data", "srv-data"),
            ("/srv/my-data/.a b", "srv-my\\x2ddata-.a\\x20b"),
            ("/.snap", "\\x2esnap"),
        ] {
            assert_eq!(unit_name(path), unit);
        }
    }
}
