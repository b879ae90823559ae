//! The accounts of `passwd(5)`.

use crate::error::Error;
use crate::guest::Guest;

/// The account database.
pub const PASSWD: &str = "/etc/passwd";
/// The ids of ordinary users (login.defs(5), `UID_MIN` and `UID_MAX`).
pub const ORDINARY: std::ops::RangeInclusive<u32> = 1000..=59_999;
/// Shells with which nobody gets in.
const NO_SHELLS: [&str; 6] = ["nologin", "false", "sync", "shutdown", "halt", "git-shell"];

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The login name.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The id of the primary group.
    pub gid: u32,
    /// The home directory.
    pub home: String,
    /// The login shell; empty means `/bin/sh`.
    pub shell: String,
}

impl Account {
    /// Whether a person logs in with it: root, or an ordinary user with a shell.
    pub fn is_for_login(&self) -> bool {
        let name = self.shell.rsplit('/').next().unwrap_or_default();
        (self.uid == 0 || ORDINARY.contains(&self.uid)) && !NO_SHELLS.contains(&name)
    }
}

/// The accounts, in order; lines that are none are passed over.
///
/// # Errors
///
/// The guest could not be read.
pub fn accounts(guest: &Guest<'_>) -> Result<Vec<Account>, Error> {
    let text = guest.text(&PASSWD.into())?;
    Ok(text.map_or_else(Vec::new, |text| parse(text.as_str())))
}

fn parse(text: &str) -> Vec<Account> {
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, _, home, shell] = fields.as_slice() else {
                return None;
            };
            Some(Account {
                name: (*name).to_owned(),
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                home: (*home).to_owned(),
                shell: (*shell).to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_from_services() {
        let accounts = parse(
            "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n\
             ann:x:1000:1000::/home/ann:\nbob:x:1001:1001::/home/bob:/bin/false\n\
             nobody:x:65534:65534::/nonexistent:/bin/sh\nbroken:x:1002\n+::::::\n",
        );
        let people: Vec<&str> = accounts
            .iter()
            .filter(|account| account.is_for_login())
            .map(|account| account.name.as_str())
            .collect();
        assert_eq!(people, ["root", "ann"]);
    }
}
