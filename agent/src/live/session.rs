//! The sessions of the initiator, as the kernel lists them in `/sys/class/iscsi_session`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::kernel::Kernel;
use crate::error::Error;
use crate::root::GuestPath;

const SESSIONS: &str = "/sys/class/iscsi_session";
/// The state of a session whose target answers.
const LOGGED_IN: &str = "LOGGED_IN";

/// Where a target is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portal {
    /// The IP address.
    pub address: String,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Portal {
    /// As iscsiadm takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.contains(':') {
            write!(f, "[{}]:{}", self.address, self.port)
        } else {
            write!(f, "{}:{}", self.address, self.port)
        }
    }
}

/// A disk that a session attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lun {
    /// Its number at the target.
    pub number: u64,
    /// Its name in `/sys/block`, such as `sdb`.
    pub disk: String,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The number by which iscsiadm knows it.
    pub id: u32,
    /// The name of the target.
    pub target: String,
    /// The portal that was logged in to; a target may redirect from there.
    pub portal: Portal,
    /// The portal group of the target.
    pub group: String,
    /// The record of the interface that it goes through.
    pub interface: String,
    /// What the kernel says of it: `LOGGED_IN`, `FAILED`, `FREE`.
    pub state: String,
    /// Its disks, by number.
    pub luns: Vec<Lun>,
}

impl Session {
    /// Whether its target answers.
    pub fn answers(&self) -> bool {
        self.state == LOGGED_IN
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.target, self.portal)
    }
}

/// The sessions, by number. Where the kernel has no iSCSI there are none.
///
/// # Errors
///
/// The kernel's files could not be read.
pub fn sessions(kernel: Kernel<'_>) -> Result<Vec<Session>, Error> {
    let mut sessions = Vec::new();
    for name in kernel.names(&SESSIONS.into()) {
        if let Some(id) = number_after(&name, "session") {
            sessions.extend(session(kernel, id)?);
        }
    }
    sessions.sort_by_key(|session: &Session| session.id);
    Ok(sessions)
}

/// A session; `None` where it ended in between.
fn session(kernel: Kernel<'_>, id: u32) -> Result<Option<Session>, Error> {
    let class = GuestPath::from(SESSIONS).join(format!("session{id}"));
    let class = kernel.place(&class)?;
    let value = |name: &str| kernel.fleeting(&class.join(name));
    let Some(target) = value("targetname") else {
        return Ok(None);
    };
    // …/session1/iscsi_session/session1: the device with its disks and connections is two above.
    let Some(device) = class.parent().and_then(|dir| dir.parent()) else {
        return Ok(None);
    };
    Ok(Some(Session {
        id,
        target,
        portal: portal(kernel, &device),
        group: value("tpgt").unwrap_or_default(),
        interface: value("ifacename").unwrap_or_default(),
        state: value("state").unwrap_or_default(),
        luns: luns(kernel, &device),
    }))
}

/// The portal of the first connection, empty while there is none.
fn portal(kernel: Kernel<'_>, device: &GuestPath) -> Portal {
    for name in kernel.names(device) {
        if !name.starts_with("connection") {
            continue;
        }
        let class = device.join(&name).join("iscsi_connection").join(&name);
        let value = |names: [&str; 2]| {
            names
                .into_iter()
                .find_map(|name| kernel.fleeting(&class.join(name)))
        };
        return Portal {
            address: value(["persistent_address", "address"]).unwrap_or_default(),
            port: value(["persistent_port", "port"])
                .and_then(|port| port.parse().ok())
                .unwrap_or_default(),
        };
    }
    Portal {
        address: String::new(),
        port: 0,
    }
}

/// The disks below `targetH:C:T/H:C:T:L/block/`.
fn luns(kernel: Kernel<'_>, device: &GuestPath) -> Vec<Lun> {
    let mut luns = Vec::new();
    for target in kernel.names(device) {
        if !target.starts_with("target") {
            continue;
        }
        let target = device.join(target);
        for unit in kernel.names(&target) {
            let number = unit.rsplit_once(':').and_then(|(_, lun)| lun.parse().ok());
            let Some(number) = number else {
                continue;
            };
            for disk in kernel.names(&target.join(unit).join("block")) {
                luns.push(Lun { number, disk });
            }
        }
    }
    luns.sort_by_key(|lun| lun.number);
    luns
}

/// The number in a name such as `session12`.
pub fn number_after(name: &str, prefix: &str) -> Option<u32> {
    name.strip_prefix(prefix)?.parse().ok()
}
