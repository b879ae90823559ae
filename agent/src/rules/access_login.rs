//! `access/login`: somebody can log in on OCI, where nobody sits at the console.

use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::access::accounts::{Account, accounts};
use crate::access::sshd::{SSHD, Sshd};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;

/// The rule.
#[derive(Debug)]
pub struct AccessLogin;

/// Puts the key that is given at launch into the guest.
const CLOUD_INIT: &str = "/usr/bin/cloud-init";
/// Tells cloud-init to do nothing.
const CLOUD_INIT_DISABLED: &str = "/etc/cloud/cloud-init.disabled";

impl Rule for AccessLogin {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "access/login",
            severity: Severity::Warning,
            title: "A guest into which nobody can log in with an SSH key",
            why: "OCI hands out SSH keys only; without one, and without cloud-init to fetch it, an \
                  instance runs and lets nobody in.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let accounts = accounts(guest)?;
        if accounts.is_empty() || !guest.exists(&SSHD.into())? || has_cloud_init(guest)? {
            return Ok(Vec::new());
        }
        let sshd = Sshd::of(guest)?;
        if sshd.accepts_keys && sshd.has_other_sources {
            return Ok(Vec::new());
        }
        for account in accounts.iter().filter(|account| account.is_for_login()) {
            if sshd.accepts(account) && has_key(guest, &sshd, account)? {
                return Ok(Vec::new());
            }
        }
        Ok(vec![
            Defect::of(
                "accounts",
                "no account has an SSH key that sshd accepts, and there is no cloud-init to bring one",
            )
            .hint("give a public key to byoi-builder build --ssh-key, or install cloud-init"),
        ])
    }

    /// Whose key it shall be only the user knows.
    fn fix(&self, _guest: &mut Guest<'_>) -> Result<(), Error> {
        Ok(())
    }
}

fn has_cloud_init(guest: &Guest<'_>) -> Result<bool, Error> {
    Ok(guest.exists(&CLOUD_INIT.into())? && !guest.exists(&CLOUD_INIT_DISABLED.into())?)
}

fn has_key(guest: &Guest<'_>, sshd: &Sshd, account: &Account) -> Result<bool, Error> {
    for path in sshd.key_files(account) {
        let text = guest.text(&path)?;
        let mut lines = text.iter().flat_map(|text| text.as_str().lines());
        if lines.any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    const PASSWD: (&str, &str) = (
        "/etc/passwd",
        "root:x:0:0::/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\n\
         www:x:33:33::/var/www:/usr/sbin/nologin\n",
    );

    #[test]
    fn a_key_somewhere_or_cloud_init_lets_people_in() {
        let sshd = ("/usr/sbin/sshd", "");
        let key = |path| (path, "# mine\nssh-ed25519 AAAA ann\n");
        let no_root = ("/etc/ssh/sshd_config", "PermitRootLogin no\n");
        for (files, found) in [
            (vec![PASSWD, sshd], true),
            (vec![PASSWD], false),
            (vec![sshd], false),
            (vec![PASSWD, sshd, key("/root/.ssh/authorized_keys")], false),
            (
                vec![PASSWD, sshd, no_root, key("/root/.ssh/authorized_keys")],
                true,
            ),
            (
                vec![
                    PASSWD,
                    sshd,
                    no_root,
                    key("/home/ann/.ssh/authorized_keys2"),
                ],
                false,
            ),
            (
                vec![PASSWD, sshd, key("/var/www/.ssh/authorized_keys")],
                true,
            ),
            (
                vec![PASSWD, sshd, ("/root/.ssh/authorized_keys", "# none\n")],
                true,
            ),
            (vec![PASSWD, sshd, (CLOUD_INIT, "")], false),
            (
                vec![PASSWD, sshd, (CLOUD_INIT, ""), (CLOUD_INIT_DISABLED, "")],
                true,
            ),
        ] {
            let guest = Fixture::debian(&files);
            assert_eq!(!guest.found(&AccessLogin).is_empty(), found, "{files:?}");
        }
    }
}
