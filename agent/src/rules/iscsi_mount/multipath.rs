//! The volumes that multipath-tools remembers: `wwids`, `bindings` and `prkeys`.
//!
//! They name no volume that is there on OCI, but hold nothing up either: a warning. Where the
//! system itself is on a multipath device they stay, and so do their comments.

use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::kernel_cmdline;
use crate::parse::edit::{self, Edit, Line};
use crate::parse::fstab;

/// Where they are; the last one is of Red Hat 5 and SUSE 11.
const FILES: [&str; 4] = [
    "/etc/multipath/wwids",
    "/etc/multipath/bindings",
    "/etc/multipath/prkeys",
    "/var/lib/multipath/bindings",
];

pub(super) fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let mut defects = Vec::new();
    if system_is_multipath(guest)? {
        return Ok(defects);
    }
    for path in FILES.map(Into::into) {
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        for line in edit::lines(text.as_str()).filter(is_entry) {
            let defect = Defect::in_file(&path, "multipath remembers a volume of the old storage")
                .at_line(line.number)
                .evidence(line.text.trim())
                .hint("remove the line")
                .severity(Severity::Warning);
            defects.push(defect);
        }
    }
    Ok(defects)
}

pub(super) fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    if system_is_multipath(guest)? {
        return Ok(());
    }
    for path in FILES.map(Into::into) {
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let edits: Vec<Edit> = edit::lines(text.as_str())
            .filter(is_entry)
            .map(|line| Edit::remove(line.range))
            .collect();
        if !edits.is_empty() {
            guest.write_text(&path, &edit::apply(text.as_str(), edits))?;
        }
    }
    Ok(())
}

fn is_entry(line: &Line<'_>) -> bool {
    let text = line.text.trim();
    !text.is_empty() && !text.starts_with('#')
}

/// Whether an essential file system is on a device that multipath names: `mpathN`, or as
/// `bindings` says.
fn system_is_multipath(guest: &Guest<'_>) -> Result<bool, Error> {
    let bindings = [guest.text(&FILES[1].into())?, guest.text(&FILES[3].into())?];
    let aliases: Vec<&str> = bindings
        .iter()
        .flatten()
        .flat_map(|text| edit::lines(text.as_str()))
        .filter(is_entry)
        .filter_map(|line| line.text.split_whitespace().next())
        .collect();
    let is_multipath = |source: &str| {
        source.strip_prefix("/dev/mapper/").is_some_and(|name| {
            name.starts_with("mpath") || aliases.iter().any(|alias| name.starts_with(alias))
        })
    };
    if let Some(table) = guest.text(&"/etc/fstab".into())?
        && fstab::entries(table.as_str())
            .iter()
            .any(|entry| entry.is_essential() && is_multipath(&entry.source))
    {
        return Ok(true);
    }
    Ok(kernel_cmdline::copies(guest)?
        .iter()
        .any(|copy| copy.value("root").is_some_and(is_multipath)))
}

#[cfg(test)]
mod tests {
    use super::super::IscsiMount;
    use super::*;
    use crate::testing::Fixture;

    const WWIDS: &str = "# Multipath wwids, Version : 1.0\n#\n/3600a098038303053/\n";
    const BINDINGS: &str = "# alias wwid\ndata0 3600a098038303053\n";

    #[test]
    fn what_is_remembered_goes() {
        let prkeys = "# prkey wwid\n0x123abc 3600a098038303053\n";
        let fixture =
            Fixture::debian(&[(FILES[0], WWIDS), (FILES[1], BINDINGS), (FILES[2], prkeys)]);
        let (drafts, left) = fixture.fixed(&IscsiMount::default());
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(
            drafts[FILES[0]].as_deref(),
            Some("# Multipath wwids, Version : 1.0\n#\n")
        );
        assert_eq!(drafts[FILES[1]].as_deref(), Some("# alias wwid\n"));
        assert_eq!(drafts[FILES[2]].as_deref(), Some("# prkey wwid\n"));
    }

    #[test]
    fn it_stays_where_the_system_is_on_multipath() {
        for files in [
            [
                (FILES[1], BINDINGS),
                ("/etc/fstab", "/dev/mapper/data0-part1 / ext4 defaults\n"),
            ],
            [
                (FILES[0], WWIDS),
                ("/etc/kernel/cmdline", "root=/dev/mapper/mpatha2\n"),
            ],
        ] {
            let found = Fixture::debian(&files).found(&IscsiMount::default());
            assert!(found.is_empty(), "{found:?}");
        }
    }
}
