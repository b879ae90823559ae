//! Identities that ifupdown gives to the DHCP client.

use super::Config;
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::interfaces::Line;
use crate::parse::lines::LineEdits;

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects = Vec::new();
    for stanza in config.stanzas() {
        let file = stanza.file;
        defects.extend(
            client_ids(&file.parsed.lines, stanza.options()).map(|line| {
                Defect::in_file(&file.path, "ifupdown tells the DHCP client an identity")
                    .at_line(line.span.start + 1)
                    .evidence(&*line.text)
                    .hint("remove the line")
            }),
        );
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let config = Config::read(guest)?;
    for file in config.files() {
        let mut edits = LineEdits::default();
        for stanza in file.stanzas() {
            for line in client_ids(&file.parsed.lines, stanza.options()) {
                edits.remove(line.span.clone());
            }
        }
        if !edits.is_empty() {
            guest.write_text(&file.path, &edits.apply(&file.text))?;
        }
    }
    Ok(())
}

/// The options of a definition that tell the DHCP client who it is; `client no` tells dhclient to
/// send nothing.
fn client_ids<'a>(
    lines: &'a [Line],
    options: impl Iterator<Item = (usize, &'a str, &'a str)>,
) -> impl Iterator<Item = &'a Line> {
    options
        .filter(|(_, name, value)| {
            matches!(*name, "client" | "client-id" | "clientid") && *value != "no"
        })
        .map(|(at, ..)| &lines[at])
}
