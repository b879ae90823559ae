//! Who reads the files at boot: `NetworkManager` by its plugin ifcfg-rh, or initscripts alone.
//!
//! Red Hat 7 starts both, and there initscripts leave to `NetworkManager` what it manages. With no
//! unit state to read the release tells: up to 6 initscripts come as the default, from 7 on
//! `NetworkManager`. From 10 on the plugin is gone.

use crate::error::Error;
use crate::guest::Guest;
use crate::root::GuestPath;
use crate::units;

/// The last release whose default are initscripts.
const LAST_OF_INITSCRIPTS: u32 = 6;
/// The first releases that come without the plugin: of Fedora, and of the others.
const WITHOUT_PLUGIN: (u32, u32) = (36, 10);
/// The plugin.
const PLUGIN: &str = "libnm-settings-plugin-ifcfg-rh.so";

/// Who reads the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// `NetworkManager`, which takes a profile without a name for any NIC.
    NetworkManager,
    /// Initscripts, which want a name.
    Initscripts,
}

/// Who reads the files; `None` where nobody does.
pub fn reader(guest: &Guest<'_>) -> Result<Option<Reader>, Error> {
    let release = release(guest)?;
    let old = release.is_some_and(|release| release <= LAST_OF_INITSCRIPTS);
    let (initscripts, network_manager) = if units::readable(guest)? {
        let unit = "NetworkManager.service";
        (
            units::is_enabled(guest, "network.service", "network")?,
            units::is_enabled(guest, unit, "NetworkManager")?,
        )
    } else {
        (old, !old)
    };
    let network_manager = network_manager && has_plugin(guest, release)?;
    Ok(if initscripts && (old || !network_manager) {
        Some(Reader::Initscripts)
    } else if network_manager {
        Some(Reader::NetworkManager)
    } else {
        None
    })
}

/// The number of the release; guests without `os-release` have it in `redhat-release`.
fn release(guest: &Guest<'_>) -> Result<Option<u32>, Error> {
    if let Some(release) = leading_number(&guest.facts().version) {
        return Ok(Some(release));
    }
    let text = guest.text(&"/etc/redhat-release".into())?;
    Ok(text.and_then(|text| {
        let (_, number) = text.as_str().split_once("release ")?;
        leading_number(number.trim_start())
    }))
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}

/// Whether `NetworkManager` loads the plugin.
fn has_plugin(guest: &Guest<'_>, release: Option<u32>) -> Result<bool, Error> {
    if let Some(plugins) = configured_plugins(guest)? {
        return Ok(plugins.contains("ifcfg-rh"));
    }
    let first_without = match guest.facts().id.as_str() {
        "fedora" => WITHOUT_PLUGIN.0,
        _ => WITHOUT_PLUGIN.1,
    };
    let installed = guest.exists(&"/usr/sbin/NetworkManager".into())?;
    if release.is_none_or(|release| release < first_without) || !installed {
        return Ok(true);
    }
    for dir in ["/usr/lib64/NetworkManager", "/usr/lib/NetworkManager"] {
        let files = guest.walk(&dir.into())?;
        if files.iter().any(|path| path.name() == PLUGIN) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The value of `plugins` in the section `main`, the last one that is read; `None` where the
/// default is in force.
fn configured_plugins(guest: &Guest<'_>) -> Result<Option<String>, Error> {
    let mut files = vec![GuestPath::from("/etc/NetworkManager/NetworkManager.conf")];
    for path in guest.list(&"/etc/NetworkManager/conf.d".into())? {
        if path.has_suffix(".conf") {
            files.push(path);
        }
    }
    let mut plugins = None;
    for path in files {
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let mut main = false;
        for line in text.as_str().lines().map(str::trim) {
            if let Some(section) = line.strip_prefix('[') {
                main = section.trim_end_matches(']') == "main";
            } else if main
                && let Some((key, value)) = line.split_once('=')
                && key.trim() == "plugins"
            {
                plugins = Some(value.to_owned());
            }
        }
    }
    Ok(plugins)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    const LO: (&str, &str) = ("/etc/sysconfig/network-scripts/ifcfg-lo", "DEVICE=lo\n");
    const EL6: (&str, &str) = ("/etc/redhat-release", "CentOS release 6.10 (Final)\n");
    const EL7: (&str, &str) = ("/etc/os-release", "ID=\"ol\"\nVERSION_ID=\"7.9\"\n");
    const EL10: (&str, &str) = ("/etc/os-release", "ID=\"ol\"\nVERSION_ID=\"10.0\"\n");
    const SCRIPT: (&str, &str) = ("/etc/rc.d/rc3.d/S10network", "-> ../init.d/network");
    const NM_SCRIPT: (&str, &str) = ("/etc/rc.d/rc3.d/S23NetworkManager", "-> ../init.d/x");
    const UNIT: (&str, &str) = (
        "/etc/systemd/system/multi-user.target.wants/NetworkManager.service",
        "-> /usr/lib/systemd/system/NetworkManager.service",
    );
    const NM: (&str, &str) = ("/usr/sbin/NetworkManager", "");

    #[test]
    fn the_reader_is_told_by_units_and_release() {
        use Reader::{Initscripts, NetworkManager};
        let conf = "/etc/NetworkManager/NetworkManager.conf";
        for (files, expected) in [
            (vec![EL6], Some(Initscripts)),
            (vec![EL7], Some(NetworkManager)),
            (vec![], Some(NetworkManager)),
            (vec![EL6, SCRIPT, NM_SCRIPT], Some(Initscripts)),
            (vec![EL6, NM_SCRIPT], Some(NetworkManager)),
            (vec![EL7, SCRIPT, UNIT], Some(NetworkManager)),
            (vec![EL7, SCRIPT], Some(Initscripts)),
            (vec![EL7, ("/etc/rc.d/rc3.d/S50x", "")], None),
            (vec![EL7, (conf, "[main]\nplugins=keyfile\n")], None),
            (
                vec![EL7, (conf, "[main]\n#plugins=keyfile\n")],
                Some(NetworkManager),
            ),
            (
                vec![EL7, (conf, "[x]\nplugins=keyfile\n")],
                Some(NetworkManager),
            ),
            (
                vec![EL7, SCRIPT, UNIT, (conf, "[main]\nplugins = keyfile\n")],
                Some(Initscripts),
            ),
            (
                vec![
                    EL7,
                    (conf, "[main]\nplugins=keyfile\n"),
                    (
                        "/etc/NetworkManager/conf.d/x.conf",
                        "[main]\nplugins=ifcfg-rh\n",
                    ),
                ],
                Some(NetworkManager),
            ),
            (vec![EL10, NM, UNIT], None),
            (
                vec![
                    EL10,
                    NM,
                    UNIT,
                    (
                        "/usr/lib64/NetworkManager/1.52/libnm-settings-plugin-ifcfg-rh.so",
                        "",
                    ),
                ],
                Some(NetworkManager),
            ),
        ] {
            let fixture = Fixture::new(&[&[LO], files.as_slice()].concat());
            let found = fixture.with(|guest| reader(guest).unwrap());
            assert_eq!(found, expected, "{files:?}");
        }
    }
}
