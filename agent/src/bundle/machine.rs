//! Which machine a bundle is of.
//!
//! On the running system the firmware tells: a clone has another UUID. Where it does not, and in a
//! directory, the root file system and the host name have to do; cloud-init and DHCP may have given
//! a machine that was started again another name. The machine id is kept for whoever reads the bundle; it
//! does not count, for `prepare` empties it.

use serde::{Deserialize, Serialize};

use super::place::Mounts;
use crate::error::Error;
use crate::root::{GuestPath, GuestRoot};

/// Where the kernel tells what the firmware says.
const DMI: &str = "/sys/class/dmi/id";
/// The longest identity that is read, in bytes.
const LIMIT: u64 = 4096;

/// What tells one machine from another; `None` is what could not be told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Whether it ran, so that a firmware that tells anything would have been heard.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub running: bool,
    /// The firmware's UUID of a running machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dmi_uuid: Option<String>,
    /// The firmware's serial number of a running machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dmi_serial: Option<String>,
    /// The UUID of the root file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_uuid: Option<String>,
    /// The host name that is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The machine id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
}

impl Machine {
    /// Looks at a guest; at the firmware too where it is the running system. `host` is the running
    /// system, which has the root mounted.
    ///
    /// # Errors
    ///
    /// It could not be read.
    pub fn look(root: &GuestRoot, host: &GuestRoot, live: bool) -> Result<Self, Error> {
        let dmi = |name: &str| {
            if live {
                line(root, &GuestPath::from(DMI).join(name))
            } else {
                Ok(None)
            }
        };
        Ok(Self {
            running: live,
            dmi_uuid: dmi("product_uuid")?.map(|uuid| uuid.to_lowercase()),
            dmi_serial: dmi("product_serial")?,
            root_uuid: Mounts::read(host)?.uuid_of(root.host_path())?,
            hostname: line(root, &"/etc/hostname".into())?,
            machine_id: line(root, &"/etc/machine-id".into())?,
        })
    }

    /// What tells this machine, as it is now, from the one that a bundle is of; empty where nothing
    /// does. What the bundle could not know does not count, nor does the firmware of a machine that
    /// does not run.
    pub fn differences(&self, bundled: &Self, live: bool) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |name: &str, now: &Option<String>, then: &Option<String>, heard| {
            if (heard || then.is_some()) && now != then {
                let shown =
                    |value: &Option<String>| value.as_deref().unwrap_or("(unknown)").to_owned();
                let (now, then) = (shown(now), shown(then));
                differences.push(format!("{name} is {now}, in the bundle {then}"));
            }
        };
        if live {
            let heard = bundled.running;
            compare("DMI product UUID", &self.dmi_uuid, &bundled.dmi_uuid, heard);
            compare(
                "DMI serial number",
                &self.dmi_serial,
                &bundled.dmi_serial,
                heard,
            );
        }
        compare(
            "root file system",
            &self.root_uuid,
            &bundled.root_uuid,
            false,
        );
        let known = live && self.dmi_uuid.is_some() && self.dmi_uuid == bundled.dmi_uuid;
        if !known {
            compare("host name", &self.hostname, &bundled.hostname, false);
        }
        differences
    }
}

/// The first line of a small file; `None` where there is none to be read, or it is empty. The
/// kernel shows some to root only.
fn line(root: &GuestRoot, path: &GuestPath) -> Result<Option<String>, Error> {
    let content = root.read(path, LIMIT)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&content);
    let line = text.lines().next().unwrap_or_default().trim();
    Ok((!line.is_empty()).then(|| line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(dmi: Option<&str>, root: Option<&str>, name: &str) -> Machine {
        Machine {
            dmi_uuid: dmi.map(str::to_owned),
            root_uuid: root.map(str::to_owned),
            hostname: Some(name.to_owned()),
            ..Machine::default()
        }
    }

    #[test]
    fn a_clone_is_another_machine() {
        let bundled = machine(Some("a"), Some("fs"), "web01");
        for (now, live, expected) in [
            (bundled.clone(), true, vec![]),
            (
                machine(Some("b"), Some("fs"), "web01"),
                true,
                vec!["DMI product UUID is b, in the bundle a"],
            ),
            (
                machine(None, Some("fs"), "web01"),
                true,
                vec!["DMI product UUID is (unknown), in the bundle a"],
            ),
            (machine(None, Some("fs"), "web01"), false, vec![]),
            (machine(Some("a"), Some("fs"), "localhost"), true, vec![]),
            (
                machine(Some("a"), Some("fs"), "localhost"),
                false,
                vec!["host name is localhost, in the bundle web01"],
            ),
            (
                machine(None, Some("fs2"), "web02"),
                false,
                vec![
                    "root file system is fs2, in the bundle fs",
                    "host name is web02, in the bundle web01",
                ],
            ),
        ] {
            assert_eq!(now.differences(&bundled, live), expected);
        }
        let unknown = machine(None, None, "web01");
        assert_eq!(bundled.differences(&unknown, true), [""; 0]);
        let silent = Machine {
            running: true,
            ..unknown
        };
        assert_eq!(silent.differences(&silent, true), [""; 0]);
        assert_eq!(
            bundled.differences(&silent, true),
            ["DMI product UUID is a, in the bundle (unknown)"]
        );
    }
}
