//! `clean/histories`: what people typed and looked at on the old machine. Only on request.
//!
//! Mail and the tables of cron are no history: they stay, and so does what SSH knows of hosts.

use super::{DOC_CUSTOM_IMAGES, Rule, RuleMeta};
use crate::access::accounts::accounts;
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::root::{FileKind, GuestPath};

/// The rule.
#[derive(Debug)]
pub struct CleanHistories;

/// Below a home directory; each program makes its own anew.
const HISTORIES: [&str; 18] = [
    ".bash_history",
    ".zsh_history",
    ".zhistory",
    ".histfile",
    ".sh_history",
    ".ash_history",
    ".ksh_history",
    ".history",
    ".local/share/fish/fish_history",
    ".lesshst",
    ".viminfo",
    ".mysql_history",
    ".mariadb_history",
    ".psql_history",
    ".sqlite_history",
    ".python_history",
    ".node_repl_history",
    ".rediscli_history",
];

impl Rule for CleanHistories {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "clean/histories",
            severity: Severity::Note,
            title: "Histories of shells, editors and database clients (with --clean)",
            why: "Every instance of the image would carry them, with the passwords typed by \
                  mistake.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        Ok(histories(guest)?
            .iter()
            .map(|path| {
                Defect::in_file(path, "every instance of the image would have this history")
                    .hint("remove the file")
            })
            .collect())
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        for path in histories(guest)? {
            guest.discard(&path)?;
        }
        Ok(())
    }
}

fn histories(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut homes = vec![GuestPath::from("/root")];
    for account in accounts(guest)? {
        let home = GuestPath::new(&account.home);
        if account.is_for_login() && home.parent().is_some() {
            homes.push(home);
        }
    }
    homes.sort();
    homes.dedup();
    let mut histories = Vec::new();
    for home in homes {
        for name in HISTORIES {
            let path = home.join(name);
            if guest.kind(&path)? == Some(FileKind::Regular) {
                histories.push(path);
            }
        }
    }
    Ok(histories)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn histories_of_people_go() {
        let passwd = "root:x:0:0::/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\n\
                      www:x:33:33::/var/www:/usr/sbin/nologin\n";
        let fixture = Fixture::debian(&[
            ("/etc/passwd", passwd),
            ("/root/.bash_history", "mysql -psecret\n"),
            ("/home/ann/.local/share/fish/fish_history", "- cmd: ls\n"),
            ("/home/ann/.lesshst", "-> /dev/null"),
            ("/home/ann/.ssh/known_hosts", "x\n"),
            ("/var/www/.bash_history", "x\n"),
            ("/var/mail/ann", "From x\n"),
        ]);
        assert_eq!(
            fixture.open(&CleanHistories),
            [
                "/home/ann/.local/share/fish/fish_history",
                "/root/.bash_history"
            ]
        );
        fixture.fix(&[&CleanHistories]);
        assert!(!fixture.has("/root/.bash_history"));
        for path in [
            "/home/ann/.lesshst",
            "/home/ann/.ssh/known_hosts",
            "/var/mail/ann",
        ] {
            assert!(fixture.has(path), "{path}");
        }
        fixture.with(|guest| {
            let histories = GuestPath::from("/root/.bash_history");
            guest.discard(&histories).unwrap();
            assert!(guest.is_unseen(&histories));
        });
    }
}
