//! Whether an SSH server is there, and something starts it at boot.

use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::root::GuestPath;
use crate::units;

/// Where an SSH server may be: OpenSSH's, or Dropbear.
const SERVERS: [&str; 6] = [
    "/usr/sbin/sshd",
    "/usr/bin/sshd",
    "/usr/local/sbin/sshd",
    "/sbin/sshd",
    "/usr/sbin/dropbear",
    "/usr/bin/dropbear",
];
/// What starts one, by the names of Debian, of everybody else, and of Dropbear: the unit and the
/// script.
const SERVICES: [(&str, &str); 6] = [
    ("ssh.service", "ssh"),
    ("sshd.service", "sshd"),
    ("ssh.socket", ""),
    ("sshd.socket", ""),
    ("dropbear.service", "dropbear"),
    ("dropbear.socket", ""),
];
/// Units that a distribution enables by itself.
const VENDOR_UNITS: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];
/// Debian's way to keep the server from being started.
const NOT_TO_BE_RUN: &str = "/etc/ssh/sshd_not_to_be_run";

pub(super) fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    if !units::has_init(guest)? {
        return Ok(Vec::new());
    }
    if !is_installed(guest)? {
        return Ok(vec![Defect::of("sshd", "no SSH server is installed").hint(
            "install one (openssh-server) before the import, or use a serial console",
        )]);
    }
    let mut defects = Vec::new();
    if guest.exists(&NOT_TO_BE_RUN.into())? {
        defects.push(
            Defect::in_file(
                &NOT_TO_BE_RUN.into(),
                "this file keeps the SSH server from being started",
            )
            .hint("remove the file"),
        );
    }
    if units::readable(guest)? && !is_started(guest)? {
        let defect = match masked(guest)? {
            Some(unit) => Defect::of(unit, "the SSH server is masked, so that nothing starts it")
                .hint(format!(
                    "systemctl unmask {unit}, then systemctl enable {unit}"
                )),
            None => Defect::of("sshd", "the SSH server is not started at boot")
                .hint("systemctl enable sshd (ssh on Debian)"),
        };
        defects.push(defect);
    }
    Ok(defects)
}

pub(super) fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    if !units::has_init(guest)? || !is_installed(guest)? {
        return Ok(());
    }
    guest.remove(&NOT_TO_BE_RUN.into())?;
    if !units::readable(guest)? || is_started(guest)? || masked(guest)?.is_some() {
        return Ok(());
    }
    for (unit, script) in SERVICES {
        if guest.facts().systemd && units::file(guest, unit)?.is_some() {
            let target = if unit.ends_with(".socket") {
                "sockets.target"
            } else {
                "multi-user.target"
            };
            return units::enable(guest, unit, target);
        }
        if !script.is_empty() && units::script(guest, script)?.is_some() {
            return units::enable_script(guest, script);
        }
    }
    Ok(())
}

fn is_installed(guest: &Guest<'_>) -> Result<bool, Error> {
    for server in SERVERS {
        if guest.exists(&server.into())? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_started(guest: &Guest<'_>) -> Result<bool, Error> {
    for (unit, script) in SERVICES {
        if units::is_enabled(guest, unit, script)?
            || (!units::is_masked(guest, unit)? && is_wanted_by_vendor(guest, unit)?)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_wanted_by_vendor(guest: &Guest<'_>, unit: &str) -> Result<bool, Error> {
    for dir in VENDOR_UNITS {
        for target in ["multi-user.target.wants", "sockets.target.wants"] {
            let link = GuestPath::from(dir).join(target).join(unit);
            if guest.kind(&link)?.is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The unit of a server that is masked.
fn masked(guest: &Guest<'_>) -> Result<Option<&'static str>, Error> {
    for (unit, _) in SERVICES {
        if unit.ends_with(".service") && units::is_masked(guest, unit)? {
            return Ok(Some(unit));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::AccessSshd;
    use crate::rules::fixture::Fixture;

    const SSHD: (&str, &str) = ("/usr/sbin/sshd", "");
    const INIT: (&str, &str) = ("/sbin/init", "");
    const SYSTEMD: (&str, &str) = ("/usr/lib/systemd/systemd", "");
    const OTHER: (&str, &str) = (
        "/etc/systemd/system/multi-user.target.wants/cron.service",
        "-> /usr/lib/systemd/system/cron.service",
    );
    const WANTS: &str = "/etc/systemd/system/multi-user.target.wants";

    #[test]
    fn a_server_is_there_and_started() {
        let unit = |name: &'static str| (name, "[Unit]\n");
        for (files, expected) in [
            // A bare configuration tree.
            (vec![SSHD], None),
            (vec![INIT], Some("no SSH server is installed")),
            // No unit state to read.
            (vec![INIT, SSHD], None),
            (
                vec![SYSTEMD, SSHD, OTHER],
                Some("the SSH server is not started at boot"),
            ),
            (
                vec![
                    SYSTEMD,
                    SSHD,
                    (
                        "/etc/systemd/system/sockets.target.wants/ssh.socket",
                        "-> /lib/systemd/system/ssh.socket",
                    ),
                ],
                None,
            ),
            (
                vec![
                    SYSTEMD,
                    SSHD,
                    OTHER,
                    unit("/usr/lib/systemd/system/sockets.target.wants/sshd.socket"),
                ],
                None,
            ),
            (vec![INIT, SSHD, ("/etc/rc2.d/S02ssh", "")], None),
            (
                vec![INIT, SSHD, ("/etc/rc2.d/K02ssh", "")],
                Some("the SSH server is not started at boot"),
            ),
            (
                vec![
                    SYSTEMD,
                    SSHD,
                    OTHER,
                    ("/etc/systemd/system/sshd.service", "-> /dev/null"),
                ],
                Some("the SSH server is masked, so that nothing starts it"),
            ),
            (
                vec![INIT, SSHD, ("/etc/ssh/sshd_not_to_be_run", "")],
                Some("this file keeps the SSH server from being started"),
            ),
        ] {
            let found: Vec<String> = Fixture::packaged(&files)
                .check(&AccessSshd)
                .into_iter()
                .map(|defect| defect.message)
                .collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{files:?}");
        }
    }

    #[test]
    fn it_is_enabled_by_the_name_of_the_family() {
        for unit in ["ssh.service", "sshd.service"] {
            let file = format!("/usr/lib/systemd/system/{unit}");
            let fixture = Fixture::packaged(&[
                SYSTEMD,
                SSHD,
                OTHER,
                (&file, "[Unit]\n"),
                ("/etc/ssh/sshd_not_to_be_run", ""),
            ]);
            fixture.fix(&[&AccessSshd]);
            assert!(fixture.has(&format!("{WANTS}/{unit}")), "{unit}");
            assert!(!fixture.has("/etc/ssh/sshd_not_to_be_run"));
        }
    }

    #[test]
    fn a_script_is_enabled_where_there_is_no_systemd() {
        let fixture = Fixture::packaged(&[
            INIT,
            SSHD,
            ("/etc/init.d/sshd", "# chkconfig: 2345 55 25\n"),
            ("/etc/init.d/rc3.d/S01network", "-> ../network"),
        ]);
        fixture.fix(&[&AccessSshd]);
        assert!(fixture.has("/etc/init.d/rc3.d/S55sshd"));
    }

    #[test]
    fn what_is_masked_stays_so() {
        let mask = ("/etc/systemd/system/ssh.service", "-> /dev/null");
        let fixture = Fixture::packaged(&[SYSTEMD, SSHD, OTHER, mask]);
        fixture.fix_once(&[&AccessSshd]);
        assert!(!fixture.has(&format!("{WANTS}/ssh.service")));
        assert_eq!(fixture.check(&AccessSshd).len(), 1);
    }
}
