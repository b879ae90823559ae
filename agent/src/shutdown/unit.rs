//! The unit, and when it stops.
//!
//! systemd stops units in the reverse order of their start. What the unit names in `Before=` is
//! stopped first: the network, everything that keeps leases or sessions, and whatever writes an
//! identity as it stops. What it names in `After=` is stopped later: the mounts of this disk, by
//! order alone, so that unmounting one by hand does not stop the unit. It survives `isolate`.

use crate::root::GuestPath;

/// What has stopped when the unit stops. None of these comes before the local file systems.
const STOPPED_BEFORE: [&str; 22] = [
    "shutdown.target",
    "sysinit.target",
    "basic.target",
    "network-pre.target",
    "network.target",
    "remote-fs-pre.target",
    "remote-fs.target",
    "NetworkManager.service",
    "networking.service",
    "network.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "wicked.service",
    "wickedd.service",
    "iscsid.socket",
    "iscsid.service",
    "iscsi.service",
    "iscsi-shutdown.service",
    "open-iscsi.service",
    "cloud-init.service",
    "systemd-random-seed.service",
    "systemd-update-utmp.service",
];

/// What is unmounted after it.
const STOPPED_AFTER: [&str; 7] = [
    "local-fs.target",
    "-.mount",
    "boot.mount",
    "boot-efi.mount",
    "etc.mount",
    "usr.mount",
    "var.mount",
];

/// The text of the unit that runs a copy of this program. The timeout is below that after which
/// systemd cuts the power.
pub(super) fn text(program: &GuestPath) -> String {
    format!(
        "[Unit]\n\
         Description=Makes this machine ready for capture as it stops\n\
         DefaultDependencies=no\n\
         IgnoreOnIsolate=yes\n\
         Conflicts=shutdown.target\n\
         Before={}\n\
         After={}\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         RemainAfterExit=yes\n\
         ExecStart=/bin/true\n\
         ExecStop={program} at-shutdown\n\
         TimeoutStopSec=25min\n\
         StandardInput=null\n\
         StandardOutput=tty\n\
         StandardError=tty\n",
        STOPPED_BEFORE.join(" "),
        STOPPED_AFTER.join(" "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_runs_the_program_when_it_stops_only() {
        let text = text(&"/run/byoi/byoi-agent".into());
        assert!(text.contains("\nExecStart=/bin/true\n"), "{text}");
        assert!(text.contains("\nExecStop=/run/byoi/byoi-agent at-shutdown\n"));
        assert!(text.contains("\nConflicts=shutdown.target\n"));
        // Whoever unmounts a file system by hand does not stop the unit with it.
        assert!(!text.contains("Requires"));
        let both = |name: &&str| STOPPED_AFTER.contains(name);
        assert_eq!(STOPPED_BEFORE.iter().find(|name| both(name)), None);
    }
}
