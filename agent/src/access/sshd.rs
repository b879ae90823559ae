//! What `sshd_config(5)` says about keys and about where sshd listens, as far as it holds for every
//! connection.
//!
//! The first value of a keyword counts. `Include` is followed where it stands; what comes after the
//! first `Match` holds for some connections only and is not looked at.

use super::accounts::Account;
use crate::error::Error;
use crate::guest::Guest;
use crate::parse::{edit, glob};
use crate::root::GuestPath;

/// The server.
pub const SSHD: &str = "/usr/sbin/sshd";
/// Where it is told, the administrator's file first; openSUSE ships the other one.
const CONFIGS: [&str; 2] = ["/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config"];
/// Where it listens unless it is told.
const PORT: u16 = 22;
/// How deep `Include` may go, as in OpenSSH.
const MAX_DEPTH: u32 = 16;

/// The settings that decide whether a key is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sshd {
    /// Where keys are looked for: paths with `%h`, `%u` and `%%`, relative ones from home.
    key_files: Vec<String>,
    /// Whether keys count at all.
    pub accepts_keys: bool,
    /// Whether root may log in with a key.
    pub accepts_root: bool,
    /// Whether keys come from elsewhere too: a command, or certificates.
    pub has_other_sources: bool,
    /// The ports it listens on.
    pub ports: Vec<u16>,
}

/// A line of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// The file it is in.
    pub path: GuestPath,
    /// Its line, from 1.
    pub line: usize,
    /// Its keyword and arguments, quotes removed; never empty.
    pub words: Vec<String>,
}

impl Directive {
    /// Whether it has this keyword, in any case.
    pub fn is(&self, keyword: &str) -> bool {
        self.words
            .first()
            .is_some_and(|word| word.eq_ignore_ascii_case(keyword))
    }
}

/// The lines that hold for every connection, in the order in which sshd reads them.
///
/// # Errors
///
/// The guest could not be read.
pub fn directives(guest: &Guest<'_>) -> Result<Vec<Directive>, Error> {
    let mut directives = Vec::new();
    for config in CONFIGS.map(GuestPath::from) {
        if guest.exists(&config)? {
            collect(guest, &config, 0, &mut directives)?;
            break;
        }
    }
    Ok(directives)
}

impl Sshd {
    /// Reads the configuration; the defaults where there is none.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn of(guest: &Guest<'_>) -> Result<Self, Error> {
        let directives = directives(guest)?;
        let value = |keyword: &str| {
            directives
                .iter()
                .find(|directive| directive.is(keyword))
                .map(|directive| &directive.words[1..])
        };
        let is = |keyword: &str, values: &[&str]| {
            value(keyword)
                .and_then(<[String]>::first)
                .is_some_and(|first| values.iter().any(|value| first.eq_ignore_ascii_case(value)))
        };
        let set = |keyword: &str| value(keyword).is_some() && !is(keyword, &["none"]);
        Ok(Self {
            key_files: match value("AuthorizedKeysFile") {
                Some([none]) if none.eq_ignore_ascii_case("none") => Vec::new(),
                Some(files) => files.to_vec(),
                None => [".ssh/authorized_keys", ".ssh/authorized_keys2"]
                    .map(str::to_owned)
                    .into(),
            },
            accepts_keys: !is("PubkeyAuthentication", &["no"]),
            accepts_root: !is("PermitRootLogin", &["no", "forced-commands-only"]),
            has_other_sources: set("AuthorizedKeysCommand") || set("TrustedUserCAKeys"),
            ports: ports(&directives),
        })
    }

    /// Where an account's keys are looked for, in order.
    pub fn key_files(&self, account: &Account) -> Vec<GuestPath> {
        let home = GuestPath::new(&account.home);
        self.key_files
            .iter()
            .map(|pattern| {
                let path = expand(pattern, account);
                if path.starts_with('/') {
                    GuestPath::new(&path)
                } else {
                    home.join(&path)
                }
            })
            .collect()
    }

    /// Whether an account that has a key gets in.
    pub fn accepts(&self, account: &Account) -> bool {
        self.accepts_keys && (account.uid != 0 || self.accepts_root)
    }
}

/// Every `Port` counts.
fn ports(directives: &[Directive]) -> Vec<u16> {
    let mut ports: Vec<u16> = directives
        .iter()
        .filter(|directive| directive.is("Port"))
        .filter_map(|directive| directive.words.get(1)?.parse().ok())
        .collect();
    if ports.is_empty() {
        ports.push(PORT);
    }
    ports
}

fn expand(pattern: &str, account: &Account) -> String {
    let mut expanded = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('%') {
        expanded.push_str(before);
        let mut characters = after.chars();
        match characters.next() {
            Some('h') => expanded.push_str(&account.home),
            Some('u') => expanded.push_str(&account.name),
            Some('U') => expanded.push_str(&account.uid.to_string()),
            Some(other) => expanded.push(other),
            None => {}
        }
        rest = characters.as_str();
    }
    expanded.push_str(rest);
    expanded
}

/// Adds the lines of a file, each as its words, up to the first `Match`.
fn collect(
    guest: &Guest<'_>,
    path: &GuestPath,
    depth: u32,
    directives: &mut Vec<Directive>,
) -> Result<(), Error> {
    let Some(text) = guest.text(path)? else {
        return Ok(());
    };
    for line in edit::lines(text.as_str()) {
        let words = words(line.text);
        let Some(keyword) = words.first() else {
            continue;
        };
        if keyword.eq_ignore_ascii_case("match") {
            return Ok(());
        }
        if !keyword.eq_ignore_ascii_case("include") {
            directives.push(Directive {
                path: path.clone(),
                line: line.number,
                words,
            });
        } else if depth < MAX_DEPTH {
            for pattern in &words[1..] {
                for path in included(guest, pattern)? {
                    // A Match in an included file ends with that file.
                    collect(guest, &path, depth + 1, directives)?;
                }
            }
        }
    }
    Ok(())
}

/// The files that an `Include` means; relative ones are in the directory of the configuration.
fn included(guest: &Guest<'_>, pattern: &str) -> Result<Vec<GuestPath>, Error> {
    let path = GuestPath::new("/etc/ssh").join(pattern);
    let Some(dir) = path.parent() else {
        return Ok(Vec::new());
    };
    let name = path.name().to_string_lossy().into_owned();
    let mut found = guest.list(&dir)?;
    found.retain(|entry| glob::matches(&name, &entry.name().to_string_lossy()));
    Ok(found)
}

/// The words of a line: parted by white space, the keyword by `=` too; quotes keep white space.
fn words(line: &str) -> Vec<String> {
    let line = line.trim_start();
    if line.starts_with('#') {
        return Vec::new();
    }
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for character in line.chars() {
        let separates = character.is_whitespace() || (character == '=' && words.is_empty());
        match character {
            '"' => quoted = !quoted,
            _ if separates && !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(character),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    fn account(name: &str, uid: u32) -> Account {
        Account {
            name: name.to_owned(),
            uid,
            gid: uid,
            home: format!("/home/{name}"),
            shell: "/bin/sh".to_owned(),
        }
    }

    #[test]
    fn the_first_value_outside_of_match_counts() {
        let guest = Fixture::debian(&[
            (
                CONFIGS[0],
                "# PermitRootLogin yes\nInclude /etc/ssh/sshd_config.d/*.conf\n\
                 PermitRootLogin no\nAuthorizedKeysFile %h/keys /etc/keys/%u\n\
                 Match User ann\nPubkeyAuthentication no\n",
            ),
            (
                "/etc/ssh/sshd_config.d/10-site.conf",
                "permitrootlogin=prohibit-password\n",
            ),
            (
                "/etc/ssh/sshd_config.d/old.txt",
                "PubkeyAuthentication no\n",
            ),
        ]);
        let sshd = Sshd::of(&guest.guest()).unwrap();
        assert!(sshd.accepts(&account("root", 0)));
        assert!(sshd.accepts(&account("ann", 1000)));
        let files: Vec<String> = sshd
            .key_files(&account("ann", 1000))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(files, ["/home/ann/keys", "/etc/keys/ann"]);
    }

    #[test]
    fn defaults_and_refusals() {
        let sshd = Sshd::of(&Fixture::debian(&[]).guest()).unwrap();
        assert_eq!(
            sshd.key_files(&account("ann", 1000))[0].to_string(),
            "/home/ann/.ssh/authorized_keys"
        );
        assert!(sshd.accepts(&account("root", 0)));
        for (config, root, ann, other) in [
            ("PermitRootLogin no", false, true, false),
            ("PubkeyAuthentication no", false, false, false),
            ("AuthorizedKeysCommand none", true, true, false),
            ("TrustedUserCAKeys /etc/ssh/ca.pub", true, true, true),
        ] {
            let sshd = Sshd::of(&Fixture::debian(&[(CONFIGS[0], config)]).guest()).unwrap();
            let found = (
                sshd.accepts(&account("root", 0)),
                sshd.accepts(&account("ann", 1000)),
                sshd.has_other_sources,
            );
            assert_eq!(found, (root, ann, other), "{config}");
        }
    }

    #[test]
    fn an_include_of_itself_ends() {
        let guest = Fixture::debian(&[(CONFIGS[0], "Include sshd_config\nPermitRootLogin no\n")]);
        assert!(!Sshd::of(&guest.guest()).unwrap().accepts_root);
    }
}
