//! `access/ssh-key`: the public key that was given for the image lets its owner in.
//!
//! The key goes where the guest's own sshd looks for it. A user that does not exist is made as
//! useradd(8) would, with no password and, where the guest has sudo, the right to use it: an
//! account that can do nothing is of no help on a machine without a console.

use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::access::accounts::{Account, ORDINARY, PASSWD, accounts};
use crate::access::sshd::Sshd;
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::{Guest, Owner};
use crate::root::GuestPath;

const GROUP: &str = "/etc/group";
const SHADOW: &str = "/etc/shadow";
const GSHADOW: &str = "/etc/gshadow";
const SUDOERS: &str = "/etc/sudoers.d";
const SKELETON: &str = "/etc/skel";

/// The rule; only there where a key was given.
#[derive(Debug)]
pub struct AccessSshKey {
    key: PublicKey,
    user: Option<UserName>,
}

/// What a public key file holds: one line a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    lines: Vec<String>,
}

/// Why a file is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// The secret half was given.
    #[error("this is a private key: give the file that ends in .pub")]
    Private,
    /// There is no key in it.
    #[error("there is no public SSH key in it: a line begins with ssh-ed25519 or its like")]
    NoKey,
}

/// The kinds of keys that OpenSSH takes (sshd(8), on the format of `authorized_keys`).
const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

impl std::str::FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        if text.contains("PRIVATE KEY") {
            return Err(PublicKeyError::Private);
        }
        let lines: Vec<String> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect();
        if lines.is_empty() || !lines.iter().all(|line| is_key(line)) {
            return Err(PublicKeyError::NoKey);
        }
        Ok(Self { lines })
    }
}

fn is_key(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let kind = words.next().unwrap_or_default();
    let blob = words.next().unwrap_or_default();
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    KINDS.contains(&kind) && blob.starts_with("AAAA") && blob.bytes().all(base64)
}

/// A login name as useradd(8) takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserName(String);

impl std::str::FromStr for UserName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let first = |c: char| c.is_ascii_lowercase() || c == '_';
        let other = |c: char| first(c) || c.is_ascii_digit() || c == '-';
        if text.len() <= 32 && text.starts_with(first) && text.chars().all(other) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a login name has up to 32 lower-case letters, digits, - and _")
        }
    }
}

impl AccessSshKey {
    /// The rule for a key. Without a user, it is for root where sshd lets root in, else for the
    /// first ordinary account.
    pub fn new(key: PublicKey, user: Option<UserName>) -> Self {
        Self { key, user }
    }

    fn account(&self, guest: &Guest<'_>, sshd: &Sshd) -> Result<Option<Account>, Error> {
        Ok(accounts(guest)?
            .into_iter()
            .find(|account| match &self.user {
                Some(UserName(name)) => account.name == *name,
                None => account.is_for_login() && sshd.accepts(account),
            }))
    }
}

impl Rule for AccessSshKey {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "access/ssh-key",
            severity: Severity::Warning,
            title: "The public key that was given is not where sshd looks for it",
            why: "On OCI, a key is the way in.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let sshd = Sshd::of(guest)?;
        let defect = match self.account(guest, &sshd)? {
            None => match &self.user {
                Some(UserName(name)) => {
                    Defect::of(name, "the user is to be made").hint("byoi makes it")
                }
                None => Defect::of("accounts", "no account takes a key")
                    .hint("name a user to make: --user"),
            },
            Some(account) if !sshd.accepts(&account) => Defect::of(
                &account.name,
                "sshd does not let this account in with a key",
            )
            .hint("allow it in sshd_config, or name another user"),
            Some(account) => match sshd.key_files(&account).first() {
                None => Defect::of(&account.name, "sshd reads keys from no file")
                    .hint("set AuthorizedKeysFile in sshd_config"),
                Some(path) if missing(guest, path, &self.key)?.is_empty() => return Ok(Vec::new()),
                Some(path) => {
                    Defect::in_file(path, "the given key is not in it").hint("byoi puts it there")
                }
            },
        };
        Ok(vec![defect])
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        let sshd = Sshd::of(guest)?;
        if let Some(UserName(name)) = &self.user
            && self.account(guest, &sshd)?.is_none()
        {
            add_user(guest, name)?;
        }
        let Some(account) = self.account(guest, &sshd)? else {
            return Ok(());
        };
        let Some(path) = sshd.key_files(&account).into_iter().next() else {
            return Ok(());
        };
        let missing = missing(guest, &path, &self.key)?;
        if missing.is_empty() {
            return Ok(());
        }
        let mut text = guest
            .text(&path)?
            .map_or_else(String::new, |text| text.as_str().to_owned());
        append(&mut text, &missing.join("\n"));
        let owner = Owner {
            uid: account.uid,
            gid: account.gid,
            mode: 0o600,
        };
        guest.write_as(&path, text.into_bytes(), owner)
    }
}

/// The lines of the key that a file lacks.
fn missing(guest: &Guest<'_>, path: &GuestPath, key: &PublicKey) -> Result<Vec<String>, Error> {
    let text = guest.text(path)?;
    let there: Vec<&str> = text
        .iter()
        .flat_map(|text| text.as_str().lines())
        .map(str::trim)
        .collect();
    Ok(key
        .lines
        .iter()
        .filter(|line| !there.contains(&line.as_str()))
        .cloned()
        .collect())
}

fn add_user(guest: &mut Guest<'_>, name: &str) -> Result<(), Error> {
    let id = free_id(guest)?;
    let home = format!("/home/{name}");
    let shell = if guest.exists(&"/bin/bash".into())? {
        "/bin/bash"
    } else {
        "/bin/sh"
    };
    append_line(
        guest,
        PASSWD,
        &format!("{name}:x:{id}:{id}::{home}:{shell}"),
    )?;
    append_line(guest, GROUP, &format!("{name}:x:{id}:"))?;
    // No password matches `*`. Unlike `!` it does not mean a locked account.
    append_line(guest, SHADOW, &format!("{name}:*::0:99999:7:::"))?;
    append_line(guest, GSHADOW, &format!("{name}:!::"))?;
    let owner = Owner {
        uid: id,
        gid: id,
        mode: 0o644,
    };
    for path in guest.list(&SKELETON.into())? {
        if let Some(content) = guest.read(&path)? {
            let copy = GuestPath::new(&home).join(path.name());
            guest.write_as(&copy, content, owner)?;
        }
    }
    let sudoers = GuestPath::new(SUDOERS);
    if guest.exists(&sudoers)? {
        let content = format!("{name} ALL=(ALL) NOPASSWD:ALL\n");
        let owner = Owner {
            uid: 0,
            gid: 0,
            mode: 0o440,
        };
        guest.write_as(
            &sudoers.join(format!("90-{name}")),
            content.into_bytes(),
            owner,
        )?;
    }
    Ok(())
}

/// An id that neither a user nor a group has: one more than the highest of ordinary ones.
fn free_id(guest: &Guest<'_>) -> Result<u32, Error> {
    let mut highest = ORDINARY.start() - 1;
    for path in [PASSWD, GROUP] {
        let text = guest.text(&path.into())?;
        for line in text.iter().flat_map(|text| text.as_str().lines()) {
            let id = line.split(':').nth(2).and_then(|id| id.parse().ok());
            if let Some(id) = id.filter(|id| ORDINARY.contains(id)) {
                highest = highest.max(id);
            }
        }
    }
    Ok(highest + 1)
}

/// Appends a line to a file; what the guest does without stays away.
fn append_line(guest: &mut Guest<'_>, path: &str, line: &str) -> Result<(), Error> {
    let path = GuestPath::from(path);
    let Some(text) = guest.text(&path)? else {
        return Ok(());
    };
    let mut text = text.as_str().to_owned();
    append(&mut text, line);
    guest.write_text(&path, &text)
}

fn append(text: &mut String, line: &str) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUrZ6eV2UxQ me@there";
    const PASSWD_TEXT: &str = "root:x:0:0::/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/sh\n";

    fn rule(user: Option<&str>) -> AccessSshKey {
        AccessSshKey::new(KEY.parse().unwrap(), user.map(|name| name.parse().unwrap()))
    }

    #[test]
    fn the_key_goes_to_who_may_use_it() {
        let no_root = ("/etc/ssh/sshd_config", "PermitRootLogin no\n");
        for (files, user, expected) in [
            (vec![], None, "/root/.ssh/authorized_keys"),
            (vec![no_root], None, "/home/ann/.ssh/authorized_keys"),
            (vec![], Some("ann"), "/home/ann/.ssh/authorized_keys"),
            (
                vec![("/etc/ssh/sshd_config", "AuthorizedKeysFile /etc/keys/%u\n")],
                Some("ann"),
                "/etc/keys/ann",
            ),
        ] {
            let guest = Fixture::debian(&[&[(PASSWD, PASSWD_TEXT)], files.as_slice()].concat());
            let (drafts, left) = guest.fixed(&rule(user));
            assert_eq!(left, Vec::<String>::new(), "{expected}");
            assert_eq!(
                drafts[expected].as_deref(),
                Some(format!("{KEY}\n").as_str())
            );
            assert_eq!(drafts.len(), 1, "{drafts:?}");
        }
    }

    #[test]
    fn other_keys_stay() {
        let guest = Fixture::debian(&[
            (PASSWD, PASSWD_TEXT),
            ("/root/.ssh/authorized_keys", "ssh-rsa AAAAB3 old"),
        ]);
        let (drafts, _) = guest.fixed(&rule(None));
        let expected = format!("ssh-rsa AAAAB3 old\n{KEY}\n");
        assert_eq!(
            drafts["/root/.ssh/authorized_keys"].as_deref(),
            Some(expected.as_str())
        );
    }

    #[test]
    fn a_user_is_made_once() {
        let guest = Fixture::debian(&[
            (PASSWD, PASSWD_TEXT),
            (GROUP, "root:x:0:\nann:x:1000:\nteam:x:1007:ann\n"),
            (SHADOW, "root:*:19000:0:99999:7:::\n"),
            ("/etc/skel/.profile", "umask 022\n"),
            ("/etc/sudoers.d/README", ""),
        ]);
        let (drafts, left) = guest.fixed(&rule(Some("opc")));
        assert_eq!(left, Vec::<String>::new());
        let text = |path: &str| drafts[path].clone().unwrap();
        assert!(text(PASSWD).ends_with("\nopc:x:1008:1008::/home/opc:/bin/sh\n"));
        assert!(text(GROUP).ends_with("\nopc:x:1008:\n"));
        assert!(text(SHADOW).ends_with("\nopc:*::0:99999:7:::\n"));
        assert!(!drafts.contains_key(GSHADOW));
        assert_eq!(text("/home/opc/.profile"), "umask 022\n");
        assert_eq!(text("/home/opc/.ssh/authorized_keys"), format!("{KEY}\n"));
        assert_eq!(
            text("/etc/sudoers.d/90-opc"),
            "opc ALL=(ALL) NOPASSWD:ALL\n"
        );
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        for (text, expected) in [
            ("", PublicKeyError::NoKey),
            ("hello", PublicKeyError::NoKey),
            ("ssh-rsa BBBB", PublicKeyError::NoKey),
            (
                "-----BEGIN OPENSSH PRIVATE KEY-----\n",
                PublicKeyError::Private,
            ),
        ] {
            assert_eq!(text.parse::<PublicKey>().unwrap_err(), expected, "{text}");
        }
        for name in ["", "Root", "a b", "../x", "-x", "a:b"] {
            assert!(name.parse::<UserName>().is_err(), "{name}");
        }
    }
}
