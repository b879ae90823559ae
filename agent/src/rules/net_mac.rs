//! `net/mac`: literal MAC addresses in network configuration, whatever reads it.
//!
//! The network stacks answer for their own files; what remains are the tables by which nameif and
//! iftab name NICs, and `/etc/ethers`, which is about other machines and worth a note.

use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::lines::{LineEdits, content};
use crate::parse::mac;
use crate::root::GuestPath;
use crate::stacks::{self, Aspect, note};

/// Tables that give NICs names by their MACs: `nameif(8)`, `iftab(5)`.
const NAME_TABLES: [&str; 3] = ["/etc/iftab", "/etc/mactab", "/etc/network/mactab"];

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct NetMac;

impl Rule for NetMac {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "net/mac",
            severity: Severity::Blocker,
            title: "Literal MAC addresses in network configuration",
            why: "The instance gets a new NIC with a new MAC, and what names the old one fails.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut defects = stacks::check(Aspect::Mac, guest)?;
        for path in NAME_TABLES {
            check_table(guest, &path.into(), &mut defects)?;
        }
        let ethers = GuestPath::from("/etc/ethers");
        if let Some(text) = guest.text(&ethers)? {
            let lines = text.as_str().lines().enumerate();
            defects.extend(lines.filter_map(|(number, line)| {
                note(
                    &ethers,
                    number,
                    line,
                    "the table of other machines' addresses",
                )
            }));
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        stacks::fix(Aspect::Mac, guest)?;
        for path in NAME_TABLES {
            fix_table(guest, &path.into())?;
        }
        Ok(())
    }
}

/// The lines of a name table that take effect and hold a MAC.
fn table_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n')
        .map(|line| content(line).trim())
        .enumerate()
        .filter(|(_, line)| !line.starts_with('#') && !mac::find(line).is_empty())
}

fn check_table(
    guest: &Guest<'_>,
    path: &GuestPath,
    defects: &mut Vec<Defect>,
) -> Result<(), Error> {
    if let Some(text) = guest.text(path)? {
        defects.extend(table_lines(text.as_str()).map(|(number, line)| {
            Defect::in_file(path, "a NIC gets its name by the old MAC")
                .at_line(number + 1)
                .evidence(line)
                .hint("remove the line")
        }));
    }
    Ok(())
}

fn fix_table(guest: &mut Guest<'_>, path: &GuestPath) -> Result<(), Error> {
    let Some(text) = guest.text(path)? else {
        return Ok(());
    };
    let mut edits = LineEdits::default();
    for (number, _) in table_lines(text.as_str()) {
        edits.remove(number..number + 1);
    }
    if edits.is_empty() {
        return Ok(());
    }
    let anew = edits.apply(text.as_str());
    if anew
        .lines()
        .all(|line| line.trim().is_empty() || line.trim().starts_with('#'))
    {
        guest.remove(path)
    } else {
        guest.write_text(path, &anew)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn name_tables_are_emptied_and_other_machines_noted() {
        let mac = "eth0 mac 52:54:00:12:34:56\n";
        let fixture = Fixture::debian(&[
            ("/etc/iftab", mac),
            ("/etc/mactab", "# c\nwl0 unknown\neth0 52:54:00:12:34:56\n"),
            ("/etc/ethers", "52:54:00:12:34:56 nas\n"),
        ]);
        assert_eq!(fixture.open(&NetMac), ["/etc/iftab:1", "/etc/mactab:3"]);
        fixture.fix(&[&NetMac]);
        assert!(!fixture.has("/etc/iftab"));
        assert_eq!(fixture.text("/etc/mactab").unwrap(), "# c\nwl0 unknown\n");
        let left = fixture.severities(&NetMac);
        assert_eq!(left, [("/etc/ethers".to_owned(), Severity::Note)]);
    }
}
