//! cloud-init as what sets up an instance at its first boot.
//!
//! Whether it runs is decided by its units, by `/etc/cloud/cloud-init.disabled`, by the kernel
//! command line, and by the data sources that it may look for: where OCI's is not among them, it
//! finds none, or finds the same instance as before, and does nothing that is due once for each
//! instance.

use crate::error::Error;
use crate::guest::Guest;
use crate::kernel_cmdline::{self, Role};
use crate::parse::edit;
use crate::units;

const PROGRAMS: [&str; 2] = ["/usr/bin/cloud-init", "/usr/local/bin/cloud-init"];
const DISABLED: &str = "/etc/cloud/cloud-init.disabled";
const CONFIG: &str = "/etc/cloud/cloud.cfg";
const DROP_INS: &str = "/etc/cloud/cloud.cfg.d";
/// Tells cloud-init's generator which data source there is.
const IDENTIFY: &str = "/etc/cloud/ds-identify.cfg";
/// The units of the network stage, of version 24.3 and later first.
const UNITS: [&str; 3] = [
    "cloud-init-main.service",
    "cloud-init-network.service",
    "cloud-init.service",
];
/// OCI's data source.
const ORACLE: &str = "Oracle";

/// What cloud-init will do at the first boot on OCI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloudInit {
    /// It is not installed, or told not to run.
    Off,
    /// It runs, and may not see that this is a new instance.
    Unsure,
    /// It sets up a new instance.
    Runs,
}

impl CloudInit {
    /// Looks at a guest.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn of(guest: &Guest<'_>) -> Result<Self, Error> {
        let mut installed = false;
        for program in PROGRAMS {
            installed |= guest.exists(&program.into())?;
        }
        if !installed || is_forbidden(guest)? {
            return Ok(Self::Off);
        }
        let mut enabled = false;
        for unit in UNITS {
            if guest.facts().systemd && units::is_masked(guest, unit)? {
                return Ok(Self::Off);
            }
            enabled |= units::is_enabled(guest, unit, "cloud-init")?;
        }
        let sees_oci = data_sources(guest)?.is_none_or(|names| names.iter().any(|n| n == ORACLE));
        Ok(if enabled && sees_oci && !is_identified(guest)? {
            Self::Runs
        } else {
            Self::Unsure
        })
    }
}

/// Whether one of cloud-init's modules, such as `ssh`, is on a list of those to run.
///
/// # Errors
///
/// The guest could not be read.
pub fn has_module(guest: &Guest<'_>, module: &str) -> Result<bool, Error> {
    let text = guest.text(&CONFIG.into())?;
    Ok(text.is_some_and(|text| {
        text.as_str().lines().any(|line| {
            let item = line.trim().strip_prefix("- ").unwrap_or_default();
            let name = item.trim_start_matches(['[', ' ']).split([',', ' ', '#']);
            name.map(unquoted).next() == Some(module)
        })
    }))
}

fn is_forbidden(guest: &Guest<'_>) -> Result<bool, Error> {
    if guest.exists(&DISABLED.into())? {
        return Ok(true);
    }
    Ok(kernel_cmdline::copies(guest)?
        .iter()
        .any(|copy| copy.role == Role::Entry && copy.value("cloud-init") == Some("disabled")))
}

/// Whether the administrator names another data source, or wants none to be looked for.
fn is_identified(guest: &Guest<'_>) -> Result<bool, Error> {
    let text = guest.text(&IDENTIFY.into())?;
    Ok(text.is_some_and(|text| {
        text.as_str().lines().any(|line| {
            let Some((key, value)) = line.split_once(':') else {
                return false;
            };
            match key.trim() {
                "datasource" => unquoted(value.trim()) != ORACLE,
                "policy" => value.contains("disabled") && !value.contains("search"),
                _ => false,
            }
        })
    }))
}

/// The data sources that may be used, as the last file that lists them says; `None` where none
/// does.
fn data_sources(guest: &Guest<'_>) -> Result<Option<Vec<String>>, Error> {
    let mut files = vec![CONFIG.into()];
    let mut drop_ins = guest.list(&DROP_INS.into())?;
    drop_ins.retain(|path| path.has_suffix(".cfg"));
    files.extend(drop_ins);
    let mut names = None;
    for path in files {
        if let Some(text) = guest.text(&path)? {
            names = listed(text.as_str()).or(names);
        }
    }
    Ok(names)
}

/// The items of `datasource_list`, written on one line or one below the other.
fn listed(text: &str) -> Option<Vec<String>> {
    let mut lines = edit::lines(text).map(|line| line.text.split('#').next().unwrap_or_default());
    let first = lines.find_map(|line| line.trim_end().strip_prefix("datasource_list:"))?;
    let mut names: Vec<&str> = Vec::new();
    let mut inline = first.trim_start().starts_with('[');
    let mut rest = first;
    loop {
        if inline {
            names.extend(rest.split([',', '[', ']']));
            inline = !rest.contains(']');
            if !inline {
                break;
            }
        }
        let Some(line) = lines.next() else { break };
        rest = line;
        if inline || line.trim().is_empty() {
            continue;
        }
        match line.trim_start().strip_prefix("- ") {
            Some(item) => names.push(item),
            None => break,
        }
    }
    let names = names.into_iter().map(|name| unquoted(name.trim()));
    Some(
        names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
    )
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\'', ']'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    const PROGRAM: (&str, &str) = (PROGRAMS[0], "");
    const ENABLED: (&str, &str) = (
        "/etc/systemd/system/cloud-init.target.wants/cloud-init.service",
        "-> /lib/systemd/system/cloud-init.service",
    );

    #[test]
    fn it_runs_where_nothing_is_in_its_way() {
        let systemd = ("/usr/lib/systemd/systemd", "");
        let sources = |text: &'static str| ("/etc/cloud/cloud.cfg.d/90_dpkg.cfg", text);
        for (files, expected) in [
            (vec![], CloudInit::Off),
            (vec![PROGRAM], CloudInit::Unsure),
            (vec![PROGRAM, ENABLED], CloudInit::Runs),
            (vec![PROGRAM, ENABLED, (DISABLED, "")], CloudInit::Off),
            (
                vec![
                    PROGRAM,
                    ENABLED,
                    ("/etc/systemd/system/cloud-init.service", "-> /dev/null"),
                ],
                CloudInit::Off,
            ),
            (
                vec![
                    PROGRAM,
                    ENABLED,
                    (
                        "/boot/grub/grub.cfg",
                        "menuentry x {\n linux /vmlinuz root=UUID=1 cloud-init=disabled\n}\n",
                    ),
                ],
                CloudInit::Off,
            ),
            (
                vec![
                    PROGRAM,
                    ENABLED,
                    sources("datasource_list: [ NoCloud, Oracle ]\n"),
                ],
                CloudInit::Runs,
            ),
            (
                vec![
                    PROGRAM,
                    ENABLED,
                    sources("datasource_list: [ NoCloud, Oracle ]\n"),
                    (
                        "/etc/cloud/cloud.cfg.d/99-installer.cfg",
                        "datasource_list: [None]\n",
                    ),
                ],
                CloudInit::Unsure,
            ),
            (
                vec![PROGRAM, ENABLED, (IDENTIFY, "policy: disabled\n")],
                CloudInit::Unsure,
            ),
            (
                vec![PROGRAM, ENABLED, (IDENTIFY, "datasource: Oracle\n")],
                CloudInit::Runs,
            ),
        ] {
            let fixture = Fixture::debian(&[&[systemd], files.as_slice()].concat());
            let found = fixture.with(|guest| CloudInit::of(guest).unwrap());
            assert_eq!(found, expected, "{files:?}");
        }
    }

    #[test]
    fn lists_are_read_in_every_style() {
        for (text, expected) in [
            ("x: 1\n", None),
            ("datasource_list: [ A, \"B\" ] # c\n", Some(vec!["A", "B"])),
            (
                "datasource_list: [A,\n  B,\n  C]\nx: [D]\n",
                Some(vec!["A", "B", "C"]),
            ),
            (
                "datasource_list:\n  - A\n\n  - 'B'\nx:\n  - C\n",
                Some(vec!["A", "B"]),
            ),
            ("datasource_list: []\n", Some(vec![])),
            ("datasource_list: [A", Some(vec!["A"])),
            ("# datasource_list: [A]\n", None),
        ] {
            let expected = expected.map(|names| names.into_iter().map(str::to_owned).collect());
            assert_eq!(listed(text), expected, "{text:?}");
        }
    }

    #[test]
    fn modules_are_found_on_their_list() {
        let config = "cloud_init_modules:\n - migrator\n - [ growpart, always ]\n - ssh # keys\n\
                      ssh_pwauth: no\n";
        let fixture = Fixture::debian(&[(CONFIG, config)]);
        for (module, expected) in [("ssh", true), ("growpart", true), ("ssh_pwauth", false)] {
            let found = fixture.with(|guest| has_module(guest, module).unwrap());
            assert_eq!(found, expected, "{module}");
        }
    }
}
