//! `clean/logs`: what the old machine wrote about itself. Only on request.
//!
//! Old versions of a log, journals, crash reports and the installer's logs go. A log that is
//! written to is emptied instead: its service may not be allowed to make it anew. What is not text
//! stays, unless it is known to be a log: databases keep theirs among the logs too.

use std::collections::BTreeMap;

use super::{DOC_CUSTOM_IMAGES, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::glob;
use crate::root::{FileKind, GuestPath};

/// The rule.
#[derive(Debug)]
pub struct CleanLogs;

const LOGS: &str = "/var/log";
const JOURNAL: &str = "/var/log/journal";
/// Where everything goes.
const HEAPS: [&str; 9] = [
    "/var/log/installer",
    "/var/log/anaconda",
    "/var/log/sa",
    "/var/log/sysstat",
    "/var/crash",
    "/var/spool/abrt",
    "/var/lib/systemd/coredump",
    "/var/lib/systemd/pstore",
    "/var/lib/wtmpdb",
];
/// Files elsewhere that go.
const STRAYS: [&str; 6] = [
    "/root/anaconda-ks.cfg",
    "/root/original-ks.cfg",
    "/root/install.log",
    "/root/install.log.syslog",
    "/root/initial-setup-ks.cfg",
    "/var/lib/lastlog/lastlog2.db",
];
/// Logs elsewhere that are emptied.
const ACCOUNTS: [&str; 2] = ["/var/account/pacct", "/var/log/account/pacct"];
/// Logs that are not text.
const BINARY: [&str; 6] = ["wtmp", "btmp", "lastlog", "faillog", "tallylog", "pacct"];
/// Old versions of a log, as logrotate, savelog and their kind name them.
const OLD: [&str; 12] = [
    "*.gz",
    "*.bz2",
    "*.xz",
    "*.zst",
    "*.lz4",
    "*.Z",
    "*.old",
    "*.[0-9]",
    "*.[0-9][0-9]",
    "*.[0-9][0-9][0-9]",
    "*[-.][12][0-9][0-9][0-9][01][0-9][0-3][0-9]",
    "*[-.][12][0-9][0-9][0-9][01][0-9][0-3][0-9][-.]*",
];
/// What databases keep among the logs, their lists of such files too.
const DATABASES: [&str; 2] = ["*-bin.*", "*relay*.*"];
/// How much of a file is looked at to tell whether it is text, in bytes.
const HEAD: usize = 4096;

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Goes,
    Emptied,
}

impl Rule for CleanLogs {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "clean/logs",
            severity: Severity::Note,
            title: "Logs, journals and crash reports of the old machine (with --clean)",
            why: "Every instance of the image would carry them, with the addresses and names in \
                  them.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut heaps: BTreeMap<GuestPath, (usize, u64)> = BTreeMap::new();
        for (path, _) in leftovers(guest)? {
            let mut size = guest.size(&path)?.unwrap_or_default();
            for part in guest.walk(&path)? {
                size = size.saturating_add(guest.size(&part)?.unwrap_or_default());
            }
            let heap = heaps.entry(path.parent().unwrap_or(path)).or_default();
            *heap = (heap.0 + 1, heap.1.saturating_add(size));
        }
        Ok(heaps
            .into_iter()
            .map(|(dir, (count, size))| {
                Defect::in_file(&dir, "the old machine's logs are in it")
                    .evidence(format!("{count} entries, {} KiB", size.div_ceil(1024)))
                    .hint("byoi removes the old ones and empties the others")
            })
            .collect())
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        for (path, fate) in leftovers(guest)? {
            match fate {
                Fate::Goes => guest.discard(&path)?,
                Fate::Emptied => guest.empty(&path)?,
            }
        }
        Ok(())
    }
}

fn leftovers(guest: &Guest<'_>) -> Result<Vec<(GuestPath, Fate)>, Error> {
    let mut found: BTreeMap<GuestPath, Fate> = BTreeMap::new();
    for path in guest.walk(&LOGS.into())? {
        if guest.kind(&path)? == Some(FileKind::Regular)
            && !path.is_below(&JOURNAL.into())
            && let Some(fate) = fate(guest, &path)?
        {
            found.insert(path, fate);
        }
    }
    // A directory for each machine id that the machine had.
    for path in guest.list(&JOURNAL.into())? {
        found.insert(path, Fate::Goes);
    }
    for dir in HEAPS {
        for path in guest.walk(&dir.into())? {
            if guest.kind(&path)? == Some(FileKind::Regular) {
                found.insert(path, Fate::Goes);
            }
        }
    }
    for (paths, fate) in [
        (STRAYS.as_slice(), Fate::Goes),
        (ACCOUNTS.as_slice(), Fate::Emptied),
    ] {
        for path in paths {
            let path = GuestPath::from(*path);
            let is_there = guest.kind(&path)? == Some(FileKind::Regular);
            if is_there && (fate == Fate::Goes || guest.size(&path)? != Some(0)) {
                found.insert(path, fate);
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// What becomes of a file among the logs; `None` where it stays as it is.
fn fate(guest: &Guest<'_>, path: &GuestPath) -> Result<Option<Fate>, Error> {
    let name = path.name().to_string_lossy();
    let is_like = |patterns: &[&str]| patterns.iter().any(|p| glob::matches(p, &name));
    if is_like(&DATABASES) {
        return Ok(None);
    }
    if is_like(&OLD) {
        return Ok(Some(Fate::Goes));
    }
    let is_log =
        guest.size(path)? != Some(0) && (BINARY.contains(&name.as_ref()) || is_text(guest, path)?);
    Ok(is_log.then_some(Fate::Emptied))
}

fn is_text(guest: &Guest<'_>, path: &GuestPath) -> Result<bool, Error> {
    use std::io::Read;
    let Some(file) = guest.root().open_file(path)? else {
        return Ok(false);
    };
    let mut head = Vec::with_capacity(HEAD);
    file.take(u64::try_from(HEAD).unwrap_or(u64::MAX))
        .read_to_end(&mut head)
        .map_err(Error::io("reading", path))?;
    Ok(!head.contains(&0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn old_logs_go_and_others_are_emptied() {
        let fixture = Fixture::debian(&[
            ("/var/log/syslog", "old"),
            ("/var/log/syslog.1", "older"),
            ("/var/log/syslog.2.gz", "z"),
            ("/var/log/messages-20240107", "old"),
            ("/var/log/secure-20240107-1704600000", "old"),
            ("/var/log/wtmp", "\0\0ann"),
            ("/var/log/Xorg.0.log", "old"),
            ("/var/log/empty", ""),
            ("/var/log/apt/history.log", "old"),
            ("/var/log/README", "-> ../doc/README"),
            ("/var/log/journal/4f1d/system.journal", "LPKSHHRH\0"),
            ("/var/log/installer/cdebconf/questions.dat", "secret"),
            ("/var/log/mysql/mysql-bin.000001", "\u{1}bin"),
            ("/var/log/mysql/mysql-bin.index", "./mysql-bin.000001\n"),
            ("/var/log/pcp/old.meta", "\0\0\0"),
            ("/var/lib/systemd/coredump/core.x.zst", "z"),
            ("/root/anaconda-ks.cfg", "rootpw --iscrypted x\n"),
            ("/var/lib/mysql/mysql.log", "x"),
        ]);
        assert_eq!(fixture.open(&CleanLogs).len(), 6);
        fixture.fix(&[&CleanLogs]);
        for (path, left) in [
            ("/var/log/syslog", Some("")),
            ("/var/log/syslog.1", None),
            ("/var/log/syslog.2.gz", None),
            ("/var/log/messages-20240107", None),
            ("/var/log/secure-20240107-1704600000", None),
            ("/var/log/wtmp", Some("")),
            ("/var/log/Xorg.0.log", Some("")),
            ("/var/log/apt/history.log", Some("")),
            ("/var/log/journal/4f1d/system.journal", None),
            ("/var/log/installer/cdebconf/questions.dat", None),
            ("/var/log/mysql/mysql-bin.000001", Some("\u{1}bin")),
            (
                "/var/log/mysql/mysql-bin.index",
                Some("./mysql-bin.000001\n"),
            ),
            ("/var/log/pcp/old.meta", Some("\0\0\0")),
            ("/var/lib/systemd/coredump/core.x.zst", None),
            ("/root/anaconda-ks.cfg", None),
            ("/var/lib/mysql/mysql.log", Some("x")),
        ] {
            assert_eq!(fixture.text(path).as_deref(), left, "{path}");
        }
        assert!(fixture.has("/var/log/README"));
        assert!(fixture.has("/var/log/journal") && !fixture.has("/var/log/journal/4f1d"));
    }

    #[test]
    fn no_report_shows_a_log() {
        let fixture = Fixture::debian(&[
            ("/var/log/auth.log", "Failed password for ann\n"),
            ("/var/log/auth.log.1", "Failed password for ann\n"),
        ]);
        fixture.with(|guest| {
            CleanLogs.fix(guest).unwrap();
            let plan = crate::plan::Plan::from_drafts(guest).unwrap();
            assert_eq!(plan.changes().len(), 2);
            assert!(plan.changes().iter().all(|change| change.diff.is_none()));
        });
    }
}
