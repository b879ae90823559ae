//! Whether ifupdown brings up whichever NIC appears by DHCP, and the profile that does.
//!
//! The profile that is written uses a pattern, `auto /e*=any`. No `allow-hotplug` goes with it: on
//! a hotplug event ifupdown 0.8 looks for a definition of the NIC's very name, fails, and leaves
//! a failed unit behind. A pattern has another snag: ifupdown waits for udev only when
//! `ifquery --list` names an interface, and a pattern names none while the NIC is not there yet.
//! So under systemd `networking.service` is told to wait for udev itself.
//!
//! ifupdown before 0.8.21 knows no patterns. There the profile is for `eth0`, and `net.ifnames=0`
//! is put on every copy of the kernel command line.

use super::super::{in_charge, naming};
use super::version::knows_patterns;
use super::{Config, INTERFACES};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::kernel_cmdline;
use crate::parse::interfaces::{Kind, Line};
use crate::parse::lines::LineEdits;
use crate::root::GuestPath;

/// What a new `/etc/network/interfaces` begins with.
const LOOPBACK: &str = "auto lo\niface lo inet loopback\n";
/// DHCP for whichever NIC appears.
const ANY_NIC: &str = "\
# DHCP on whichever Ethernet interface appears: its name is not known before the import.
auto /e*=any
iface any inet dhcp
";
/// DHCP for the one NIC under its kernel name.
const ETH0: &str = "\
# DHCP on the only Ethernet interface; this ifupdown knows no patterns, so it needs net.ifnames=0.
auto eth0
allow-hotplug eth0
iface eth0 inet dhcp
";
/// Where `networking.service` is told to wait.
const WAIT: &str = "/etc/systemd/system/networking.service.d/wait-for-udev.conf";
/// What it is told.
const WAIT_FOR_UDEV: &str = "\
# ifupdown itself waits for udev only when an interface is named, and a pattern names none.
[Unit]
Wants=systemd-udev-settle.service
After=systemd-udev-settle.service
";

/// What makes udev leave the NIC the name `eth0`.
const KERNEL_NAMES: [&str; 1] = ["net.ifnames=0"];

/// Whether the one NIC is `eth0`. An ifupdown that can name it in no other way takes that for
/// granted where there is no kernel command line to tell.
///
/// # Errors
///
/// The guest could not be read.
pub fn has_kernel_names(guest: &Guest<'_>) -> Result<bool, Error> {
    Ok(naming::kernel_names(guest)?
        || (!knows_patterns(guest)? && kernel_cmdline::missing(guest, &KERNEL_NAMES)?.is_empty()))
}

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    if in_charge(guest)? != Some(NetworkStack::Ifupdown) {
        return Ok(Vec::new());
    }
    let config = Config::read(guest)?;
    let mut defects = Vec::new();
    for file in config.files() {
        defects.extend(
            file.parsed
                .lines
                .iter()
                .filter(|line| is_refused(line))
                .map(|line| {
                    Defect::in_file(&file.path, "ifupdown refuses the whole file for this line")
                        .at_line(line.span.start + 1)
                        .evidence(line.text.chars().take(200).collect::<String>())
                        .hint("remove the line")
                }),
        );
    }
    if !knows_patterns(guest)? && !config.kernel_names() {
        defects.push(
            Defect::of(
                "kernel command line",
                "the NIC need not be called eth0, and this ifupdown knows no patterns",
            )
            .evidence("no net.ifnames=0")
            .hint("add the argument to every copy of the kernel command line"),
        );
    }
    if !config.has_dhcp_for_any() {
        defects.push(
            Defect::in_file(
                &INTERFACES.into(),
                "no profile gives DHCP at boot to whichever NIC appears",
            )
            .hint("add `auto /e*=any` and `iface any inet dhcp`"),
        );
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    if in_charge(guest)? != Some(NetworkStack::Ifupdown) {
        return Ok(());
    }
    let config = Config::read(guest)?;
    for file in config.files() {
        let mut edits = LineEdits::default();
        for line in file.parsed.lines.iter().filter(|line| is_refused(line)) {
            edits.remove(line.span.clone());
        }
        if !edits.is_empty() {
            guest.write_text(&file.path, &edits.apply(&file.text))?;
        }
    }
    if !knows_patterns(guest)? && !config.kernel_names() {
        kernel_cmdline::add(guest, &KERNEL_NAMES)?;
    }
    if !Config::read(guest)?.has_dhcp_for_any() {
        add_profile(guest)?;
    }
    Ok(())
}

fn add_profile(guest: &mut Guest<'_>) -> Result<(), Error> {
    let path = GuestPath::from(INTERFACES);
    let patterns = knows_patterns(guest)?;
    let profile = if patterns { ANY_NIC } else { ETH0 };
    let text = match guest.text(&path)? {
        Some(text) => text.as_str().to_owned(),
        None => LOOPBACK.to_owned(),
    };
    // Already there, and only a copy of the kernel command line could not be changed.
    if !text.ends_with(profile) {
        guest.write_text(&path, &(separated(text) + profile))?;
    }
    if patterns && guest.facts().systemd {
        guest.write_text(&WAIT.into(), WAIT_FOR_UDEV)?;
    }
    Ok(())
}

/// The text with a blank line at its end, which also ends a line that is continued.
fn separated(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let blank = text.is_empty() || (text.ends_with("\n\n") && !text.ends_with("\\\n\n"));
    if !blank {
        text.push('\n');
    }
    text
}

/// Whether ifupdown refuses the file for a line.
fn is_refused(line: &Line) -> bool {
    match &line.kind {
        Kind::Stray => true,
        Kind::Option { value, .. } => value.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;
    use crate::rules::net_name_pinned::NetNamePinned;
    use crate::rules::net_no_dhcp::NetNoDhcp;

    const UNIT: (&str, &str) = (
        "/etc/systemd/system/multi-user.target.wants/networking.service",
        "-> /lib/systemd/system/networking.service",
    );
    const NETWORK_MANAGER: (&str, &str) = (
        "/etc/systemd/system/multi-user.target.wants/NetworkManager.service",
        "-> /lib/systemd/system/NetworkManager.service",
    );
    const SYSTEMD: (&str, &str) = ("/lib/systemd/systemd", "");
    const IFUP: (&str, &str) = ("/sbin/ifup", "");

    #[test]
    fn a_profile_for_any_nic_is_appended() {
        for (before, after) in [
            (
                "auto lo\niface lo inet loopback\n",
                "auto lo\niface lo inet loopback\n\n",
            ),
            ("auto lo\n\n", "auto lo\n\n"),
            ("", ""),
            ("auto lo", "auto lo\n\n"),
            (
                "iface lo inet loopback\n up x \\",
                "iface lo inet loopback\n up x \\\n\n",
            ),
            (
                "iface lo inet loopback\n up x \\\n\n",
                "iface lo inet loopback\n up x \\\n\n\n",
            ),
            (
                "auto wlan0\niface wlan0 inet dhcp\n",
                "auto wlan0\niface wlan0 inet dhcp\n\n",
            ),
            // ifupdown refuses a file with such lines.
            (
                "address 1\nauto lo\niface lo inet loopback\n mtu\n",
                "auto lo\niface lo inet loopback\n\n",
            ),
        ] {
            let fixture = Fixture::debian(&[(INTERFACES, before)]);
            fixture.fix(&[&NetNoDhcp]);
            assert_eq!(
                fixture.text(INTERFACES).unwrap(),
                format!("{after}{ANY_NIC}")
            );
        }
    }

    #[test]
    fn profiles_that_do_and_that_do_not() {
        for (text, enough) in [
            (ANY_NIC, true),
            ("allow-auto /e*=x\niface x inet dhcp\n", true),
            (
                "auto /en*=x /eth*=y\niface x inet dhcp\niface y inet dhcp\n",
                true,
            ),
            ("auto type/1/1=x\niface x inet dhcp\n", true),
            ("auto /e*=x\nallow-hotplug /e*=x\niface x inet dhcp\n", true),
            // ifup --allow=hotplug does not take the logical name.
            ("allow-hotplug /e*=x\niface x inet dhcp\n", false),
            ("auto /en*=x\niface x inet dhcp\n", false),
            ("auto /e*/2=x\niface x inet dhcp\n", false),
            ("auto /e*=x\niface x inet6 dhcp\n", false),
            ("auto /e*=x\n", false),
            ("iface x inet dhcp\n", false),
            ("auto eth0\niface eth0 inet dhcp\n", false),
        ] {
            let fixture = Fixture::debian(&[(INTERFACES, text)]);
            assert_eq!(fixture.open(&NetNoDhcp).is_empty(), enough, "{text}");
        }
    }

    #[test]
    fn the_stack_that_starts_counts() {
        let lo = (INTERFACES, "auto lo\niface lo inet loopback\n");
        let eth0 = (
            INTERFACES,
            "auto eth0\niface eth0 inet static\n address 10.0.0.5\n",
        );
        let masked = ("/etc/systemd/system/networking.service", "-> /dev/null");
        let sysv = ("/etc/rcS.d/S12networking", "-> ../init.d/networking");
        let nm = ("/usr/sbin/NetworkManager", "");
        for (files, in_charge) in [
            (vec![], false),
            (vec![lo], true),
            (vec![IFUP], true),
            (vec![lo, SYSTEMD, UNIT], true),
            (vec![lo, SYSTEMD, UNIT, masked], false),
            (vec![lo, SYSTEMD, sysv], true),
            (vec![lo, SYSTEMD, NETWORK_MANAGER], false),
            (vec![lo, SYSTEMD, UNIT, nm, NETWORK_MANAGER], false),
            (vec![eth0, SYSTEMD, UNIT, nm, NETWORK_MANAGER], true),
            (vec![lo, nm], false),
            (vec![eth0, nm], true),
        ] {
            let fixture = Fixture::debian(&files);
            // Where another stack is in charge, that one answers.
            let open = fixture.open(&NetNoDhcp);
            let ours = open.iter().any(|found| found.starts_with(INTERFACES));
            assert_eq!(ours, in_charge, "{files:?}");
            fixture.fix(&[&NetNamePinned, &NetNoDhcp]);
        }
    }

    #[test]
    fn under_systemd_networking_waits_for_udev() {
        let fixture = Fixture::debian(&[IFUP, SYSTEMD, UNIT]);
        fixture.fix(&[&NetNoDhcp]);
        assert_eq!(
            fixture.text(INTERFACES).unwrap(),
            format!("{LOOPBACK}\n{ANY_NIC}")
        );
        assert_eq!(fixture.text(WAIT).unwrap(), WAIT_FOR_UDEV);
    }

    #[test]
    fn an_ifupdown_without_patterns_gets_eth0() {
        let status = |version: &str| {
            format!(
                "Package: dpkg\nVersion: 1\n\nPackage: ifupdown\nStatus: x\nVersion: {version}\n"
            )
        };
        for (version, patterns) in [
            ("0.8.19", false),
            ("0.8.10ubuntu1.4", false),
            ("0.7.53.1", false),
            ("0.8.21", true),
            ("0.8.35ubuntu1", true),
            ("0.8.41", true),
        ] {
            let fixture = Fixture::debian(&[
                (INTERFACES, "auto ens3\niface ens3 inet dhcp\n"),
                ("/var/lib/dpkg/status", &status(version)),
                ("/etc/default/grub", "GRUB_CMDLINE_LINUX='net.ifnames=0'\n"),
            ]);
            fixture.fix(&[&NetNamePinned, &NetNoDhcp]);
            let profile = if patterns { ANY_NIC } else { ETH0 };
            assert_eq!(fixture.text(INTERFACES).unwrap(), profile, "{version}");
        }
        // The kernel is told to keep its names; with no command line there is nothing to tell.
        for (grub, told) in [
            (None, None),
            (
                Some("GRUB_CMDLINE_LINUX=\"quiet\"\n"),
                Some("GRUB_CMDLINE_LINUX=\"quiet net.ifnames=0\"\n"),
            ),
        ] {
            let status = status("0.8.19");
            let mut files = vec![
                (INTERFACES, "auto lo\n\nauto eth0\niface eth0 inet dhcp\n"),
                ("/var/lib/dpkg/status", &status),
            ];
            files.extend(grub.map(|grub| ("/etc/default/grub", grub)));
            let fixture = Fixture::debian(&files);
            assert_eq!(fixture.open(&NetNoDhcp).is_empty(), grub.is_none());
            fixture.fix(&[&NetNamePinned, &NetNoDhcp]);
            assert_eq!(fixture.text("/etc/default/grub").as_deref(), told);
            assert_eq!(fixture.open(&NetNamePinned), Vec::<String>::new());
        }
    }
}
