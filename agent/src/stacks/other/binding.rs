//! Settings that name a NIC and do no harm when there is none of that name.

use super::super::device::Topology;
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::root::GuestPath;

/// Where module aliases are.
const MODPROBE: (&str, &str) = ("/etc/modprobe.conf", "/etc/modprobe.d");
/// Where kernel parameters are set.
const SYSCTL: (&str, &str) = ("/etc/sysctl.conf", "/etc/sysctl.d");

/// The notes.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let mut defects = Vec::new();
    for (place, named, message) in [
        (
            MODPROBE,
            aliased as fn(&str) -> Option<&str>,
            "a module is bound to the name of a NIC",
        ),
        (SYSCTL, tuned, "a kernel parameter is set for one NIC"),
    ] {
        for path in files(guest, place)? {
            let Some(text) = guest.text(&path)? else {
                continue;
            };
            for (number, line) in text.as_str().lines().enumerate() {
                let devices = Topology::default().devices();
                if named(line.trim()).is_some_and(|name| devices.device(name).is_replaced()) {
                    defects.push(
                        Defect::in_file(&path, message)
                            .at_line(number + 1)
                            .evidence(line.trim())
                            .hint("nothing has to be done; it may be removed")
                            .severity(Severity::Note),
                    );
                }
            }
        }
    }
    Ok(defects)
}

fn files(guest: &Guest<'_>, (file, dir): (&str, &str)) -> Result<Vec<GuestPath>, Error> {
    let mut files = vec![GuestPath::from(file)];
    let entries = guest.list(&dir.into())?;
    files.extend(entries.into_iter().filter(|path| path.has_suffix(".conf")));
    Ok(files)
}

/// The interface in `alias eth0 e1000`.
fn aliased(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let (Some("alias"), Some(name)) = (words.next(), words.next()) else {
        return None;
    };
    let number = name.strip_prefix("eth")?;
    number
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(name)
}

/// The interface in `net.ipv4.conf.eth0.rp_filter = 2`.
fn tuned(line: &str) -> Option<&str> {
    let key = line.trim_start_matches('-').split('=').next()?.trim();
    let separator = if key.contains('/') { '/' } else { '.' };
    let mut parts = key.split(separator);
    let (Some("net"), Some("ipv4" | "ipv6"), Some("conf" | "neigh"), Some(name)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    (!matches!(name, "all" | "default") && !name.contains('*')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;
    use crate::rules::net_name_pinned::NetNamePinned;

    #[test]
    fn settings_that_name_a_nic_are_noted() {
        let fixture = Fixture::new(&[
            (
                "/etc/modprobe.d/net.conf",
                "# alias eth1 x\nalias eth0 e1000\nalias ethernet x\noptions bonding mode=1\n",
            ),
            (
                "/etc/sysctl.d/90.conf",
                "net.ipv4.ip_forward=1\nnet.ipv4.conf.all.rp_filter=1\n-net.ipv4.conf.ens3.rp_filter = 2\n\
                 net/ipv6/conf/eth0.5/accept_ra=0\nnet.ipv4.conf.docker0.rp_filter=0\nnet.ipv4.conf.*.x=0\n",
            ),
        ]);
        let found = fixture.check(&NetNamePinned);
        let lines: Vec<Option<usize>> = found.iter().map(|defect| defect.line).collect();
        assert_eq!(lines, [Some(2), Some(3), Some(4)]);
        assert!(found.iter().all(|d| d.severity == Some(Severity::Note)));
    }
}
