//! `boot/serial-console`: OCI's console connection is the first serial port.

use std::rc::Rc;

use byoi_agent::error::Error;
use byoi_agent::facts::Family;
use byoi_agent::finding::{Defect, Severity};
use byoi_agent::guest::Guest;
use byoi_agent::kernel_cmdline;
use byoi_agent::root::GuestPath;
use byoi_agent::rules::{Rule, RuleMeta};
use byoi_agent::units;

use super::chain::Chain;

/// The rule. systemd starts a login on the kernel's consoles by itself; older inits have to be told.
#[derive(Debug)]
pub struct BootSerialConsole {
    chain: Rc<Chain>,
}

const DOC_SERIAL: &str =
    "https://docs.oracle.com/en-us/iaas/Content/Compute/Tasks/enablingserialconsoleaccess.htm";
/// What the kernel is told. The last one is `/dev/console`.
const ARGS: [&str; 2] = ["console=tty0", "console=ttyS0,115200"];
const PORT: &str = "ttyS0";
const GETTY: &str = "serial-getty@ttyS0.service";
const INITTAB: &str = "/etc/inittab";
const SECURETTY: &str = "/etc/securetty";
/// Where Upstart has its jobs, and the one that starts a login here.
const UPSTART: &str = "/etc/init";
const JOB: &str = "/etc/init/ttyS0.conf";
const JOB_TEXT: &str = "# Login on the serial console.\n\
                        start on stopped rc RUNLEVEL=[2345]\n\
                        stop on runlevel [!2345]\n\
                        respawn\n\
                        exec /sbin/getty -L 115200 ttyS0 vt102\n";

/// What starts a login on the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    /// Something does.
    There,
    /// Nothing does, and the administrator has forbidden it.
    Masked,
    /// Nothing does: a line in `inittab` would.
    Inittab,
    /// Nothing does: a job of Upstart would.
    Job,
    /// It cannot be told.
    Unknown,
}

impl BootSerialConsole {
    pub(super) fn new(chain: Rc<Chain>) -> Self {
        Self { chain }
    }

    /// Whether the kernel that starts by itself writes to the port; `None` where it is not known
    /// what it is told.
    fn has_console(&self, guest: &Guest<'_>) -> Result<Option<bool>, Error> {
        if let Some(entry) = self.chain.default_entry(guest)?
            && entry.kernel.is_some()
        {
            return Ok(Some(entry.args.iter().any(|arg| is_console(arg))));
        }
        let copies = kernel_cmdline::copies(guest)?;
        let mut entries = copies
            .iter()
            .filter(|copy| copy.role == kernel_cmdline::Role::Entry)
            .peekable();
        Ok(entries.peek().is_some().then(|| {
            copies
                .iter()
                .any(|copy| copy.kargs.args.iter().any(|arg| is_console(&arg.text)))
        }))
    }
}

fn is_console(arg: &str) -> bool {
    kernel_cmdline::value_of(arg, "console")
        .is_some_and(|port| port == PORT || port.starts_with("ttyS0,"))
}

fn login(guest: &Guest<'_>) -> Result<Login, Error> {
    if guest.facts().systemd {
        return Ok(if units::is_masked(guest, GETTY)? {
            Login::Masked
        } else {
            Login::There
        });
    }
    let jobs = guest.list(&UPSTART.into())?;
    for job in jobs.iter().filter(|job| job.has_suffix(".conf")) {
        let text = guest.text(job)?;
        // Red Hat's job starts a login on whatever serial console the kernel has.
        if job.name() == "serial.conf"
            || text.is_some_and(|text| text.as_str().lines().any(starts_login))
        {
            return Ok(Login::There);
        }
    }
    if let Some(text) = guest.text(&INITTAB.into())?
        && text.as_str().lines().any(starts_login)
    {
        return Ok(Login::There);
    }
    Ok(if !jobs.is_empty() {
        Login::Job
    } else if guest.exists(&INITTAB.into())? {
        Login::Inittab
    } else {
        Login::Unknown
    })
}

/// Whether a line is no comment and starts something on the port.
fn starts_login(line: &str) -> bool {
    !line.trim_start().starts_with('#') && line.contains("getty") && line.contains(PORT)
}

/// Whether root may not log in there, where the guest keeps a list.
fn is_insecure(guest: &Guest<'_>) -> Result<bool, Error> {
    Ok(guest
        .text(&SECURETTY.into())?
        .is_some_and(|text| text.as_str().lines().all(|line| line.trim() != PORT)))
}

impl Rule for BootSerialConsole {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "boot/serial-console",
            severity: Severity::Warning,
            title: "A guest that is silent on the first serial port",
            why: "OCI shows the first serial port as the console of an instance, and nothing else \
                  when the network fails.",
            doc: DOC_SERIAL,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let Some(has_console) = self.has_console(guest)? else {
            return Ok(Vec::new());
        };
        let mut defects = Vec::new();
        if !has_console {
            defects.push(
                Defect::of(
                    "kernel command line",
                    "the kernel does not use the serial console",
                )
                .evidence("no console=ttyS0 on the default entry")
                .hint(format!("add {}", ARGS.join(" "))),
            );
        }
        let no_login = |subject: &str, hint: &str| {
            Defect::of(subject, "nobody can log in on the serial console").hint(hint)
        };
        match login(guest)? {
            Login::Masked => defects.push(
                no_login(GETTY, "unmask the unit if a login is wanted there")
                    .severity(Severity::Note),
            ),
            Login::Inittab => defects.push(no_login(INITTAB, "start a getty on ttyS0")),
            Login::Job => defects.push(no_login(JOB, "start a getty on ttyS0")),
            Login::There if is_insecure(guest)? => defects.push(
                no_login(SECURETTY, "add a line ttyS0")
                    .evidence("root may not log in on ttyS0")
                    .severity(Severity::Note),
            ),
            Login::There | Login::Unknown => {}
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        let Some(has_console) = self.has_console(guest)? else {
            return Ok(());
        };
        if !has_console {
            kernel_cmdline::add(guest, &ARGS)?;
        }
        match login(guest)? {
            Login::Inittab => {
                let path = GuestPath::from(INITTAB);
                if let Some(text) = guest.text(&path)? {
                    let line = inittab_line(guest.facts().family);
                    guest.write_text(&path, &with_line(text.as_str(), line))?;
                }
            }
            Login::Job => guest.write(&JOB.into(), JOB_TEXT.into())?,
            Login::There | Login::Masked | Login::Unknown => {}
        }
        if is_insecure(guest)? {
            let path = GuestPath::from(SECURETTY);
            if let Some(text) = guest.text(&path)? {
                guest.write_text(&path, &with_line(text.as_str(), PORT))?;
            }
        }
        Ok(())
    }
}

/// Debian calls its program getty, the others agetty.
fn inittab_line(family: Family) -> &'static str {
    match family {
        Family::Debian => "S0:2345:respawn:/sbin/getty -L ttyS0 115200 vt102",
        _ => "S0:2345:respawn:/sbin/agetty -L 115200 ttyS0 vt102",
    }
}

fn with_line(text: &str, line: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{text}{end}{line}\n")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, chain, core};
    use super::*;

    const CFG: &str = "/boot/grub/grub.cfg";
    const SILENT: &str = "menuentry a {\n linux /vmlinuz root=x quiet\n}\n";
    const SERIAL: &str = "menuentry a {\n linux /vmlinuz root=x console=ttyS0,9600n8\n}\n";

    fn rule() -> BootSerialConsole {
        BootSerialConsole::new(Rc::new(chain(core("(,msdos1)/boot/grub", None, &[]))))
    }

    fn fixture(files: &[(&str, &str)], systemd: bool) -> Fixture {
        let mut fixture = Fixture::new(files);
        fixture.facts.systemd = systemd;
        fixture
    }

    #[test]
    fn the_kernel_gets_the_port() {
        let fixture = fixture(&[(CFG, SILENT)], true);
        assert_eq!(fixture.found(&rule()).len(), 1);
        let (drafts, left) = fixture.fixed(&rule());
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(
            drafts[CFG],
            "menuentry a {\n linux /vmlinuz root=x quiet console=tty0 console=ttyS0,115200\n}\n"
        );
    }

    #[test]
    fn a_guest_that_has_it_is_left_alone() {
        for (files, systemd) in [
            (vec![(CFG, SERIAL)], true),
            (vec![], true),
            (
                vec![
                    (CFG, SERIAL),
                    (INITTAB, "T0:23:respawn:/sbin/getty -L ttyS0 9600 vt100\n"),
                    (SECURETTY, "tty1\nttyS0\n"),
                ],
                false,
            ),
            (vec![(CFG, SERIAL), ("/etc/init/serial.conf", "x\n")], false),
        ] {
            let fixture = fixture(&files, systemd);
            assert_eq!(fixture.found(&rule()), Vec::<String>::new(), "{files:?}");
            assert!(fixture.fixed(&rule()).0.is_empty(), "{files:?}");
        }
    }

    #[test]
    fn older_inits_get_a_login() {
        let fixture = fixture(
            &[
                (CFG, SERIAL),
                (
                    INITTAB,
                    "id:2:initdefault:\n#T0:23:respawn:/sbin/getty -L ttyS0 9600 vt100",
                ),
                (SECURETTY, "tty1\n"),
            ],
            false,
        );
        let (drafts, left) = fixture.fixed(&rule());
        assert_eq!(left, Vec::<String>::new());
        assert!(drafts[INITTAB].ends_with("\nS0:2345:respawn:/sbin/getty -L ttyS0 115200 vt102\n"));
        assert_eq!(drafts[SECURETTY], "tty1\nttyS0\n");
    }

    #[test]
    fn upstart_gets_a_job() {
        let fixture = fixture(
            &[(CFG, SERIAL), ("/etc/init/tty1.conf", "exec getty tty1\n")],
            false,
        );
        let (drafts, left) = fixture.fixed(&rule());
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(drafts[JOB], JOB_TEXT);
    }
}
