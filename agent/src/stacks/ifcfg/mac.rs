//! Literal MAC addresses in ifcfg files.
//!
//! A variable that holds one is deleted. Of the options of a bond or a team, which hold other
//! things as well, only the one that names the address goes. What says `preserve` or `random`
//! names no address.

use std::ops::Range;

use super::super::note;
use super::file::{self, File};
use super::{Config, rewrite};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::edit::{self, Edit, Line};
use crate::parse::mac;
use crate::parse::shell_vars::Assignment;

/// Variables in which nothing but addresses can stand, so that one without separators counts.
const ADDRESSES: [&str; 5] = [
    "BRIDGE_MACADDR",
    "BSSID",
    "HWADDR",
    "HWADDR_BLACKLIST",
    "MACADDR",
];

/// Where an address stands in a file.
enum Place<'a> {
    /// In the value of a variable.
    Value(&'a Assignment),
    /// In a comment.
    Comment,
    /// In a line that is neither: the shell would run it.
    Command,
}

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects = Vec::new();
    for file in &config.files {
        for line in edit::lines(&file.text) {
            match place(file, &line) {
                None => {}
                Some(Place::Comment) => {
                    defects.extend(note(&file.path, line.number - 1, line.text, "a comment"));
                }
                Some(Place::Value(_) | Place::Command) => defects.push(
                    Defect::in_file(&file.path, "a profile names a literal MAC")
                        .at_line(line.number)
                        .evidence(line.text.trim())
                        .hint("delete the setting; the instance gets a NIC with another MAC"),
                ),
            }
        }
    }
    for (path, text) in file::ignored(guest, config.reader)? {
        for line in edit::lines(&text) {
            defects.extend(note(
                &path,
                line.number - 1,
                line.text,
                "a file that nothing reads",
            ));
        }
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    for file in Config::read(guest)?.files {
        let mut edits = Vec::new();
        for line in edit::lines(&file.text) {
            match place(&file, &line) {
                None | Some(Place::Comment) => {}
                Some(Place::Command) => edits.push(Edit::remove(line.range)),
                Some(Place::Value(assignment)) => match options(assignment) {
                    Some(cuts) => edits.extend(cuts.into_iter().map(Edit::remove)),
                    None if assignment.closed => edits.push(file.removal(assignment)),
                    None => edits.push(Edit::remove(line.range)),
                },
            }
        }
        rewrite(
            guest,
            &file.path,
            &file.text,
            &edit::apply(&file.text, edits),
        )?;
    }
    Ok(())
}

/// Where the address of a line stands; one in a value counts more than one in a comment.
fn place<'a>(file: &'a File, line: &Line<'_>) -> Option<Place<'a>> {
    let mut found = None;
    for range in mac::find(line.text) {
        let at = line.range.start + range.start;
        let holds = |assignment: &&Assignment| assignment.raw.contains(&at);
        if let Some(assignment) = file.assignments.iter().find(holds) {
            return Some(Place::Value(assignment));
        }
        if !line.text[..range.start].contains('#') {
            return Some(Place::Command);
        }
        found = Some(Place::Comment);
    }
    let bare = file.assignments.iter().find(|assignment| {
        assignment.line == line.number
            && ADDRESSES.contains(&assignment.name.as_str())
            && !mac::find_bare(assignment.value.as_str()).is_empty()
    });
    bare.map(Place::Value).or(found)
}

/// The bytes to cut out of the options of a bond or a team so that no address is left.
fn options(assignment: &Assignment) -> Option<Vec<Range<usize>>> {
    let value = assignment.value.as_str();
    let cuts = match assignment.name.as_str() {
        "BONDING_OPTS" => words_with_mac(value),
        "TEAM_CONFIG" => member(value, "\"hwaddr\"").into_iter().collect(),
        _ => return None,
    };
    let cut = cuts.iter().cloned().map(Edit::remove).collect();
    mac::find(&edit::apply(value, cut)).is_empty().then(|| {
        cuts.into_iter()
            .flat_map(|range| assignment.value.sources(range))
            .collect()
    })
}

/// The words that hold an address, each with the space that parts it from its neighbour.
fn words_with_mac(value: &str) -> Vec<Range<usize>> {
    let words: Vec<_> = edit::words(value).collect();
    let mut cuts = Vec::new();
    let mut kept = false;
    for (at, (range, word)) in words.iter().enumerate() {
        if mac::find(word).is_empty() {
            kept = true;
        } else if kept {
            cuts.push(words[at - 1].0.end..range.end);
        } else {
            let end = words.get(at + 1).map_or(range.end, |(next, _)| next.start);
            cuts.push(range.start..end);
        }
    }
    cuts
}

/// A member of a JSON object whose value is a string, with the comma that parts it from its
/// neighbour.
fn member(json: &str, key: &str) -> Option<Range<usize>> {
    let start = json.find(key)?;
    let value = json[start + key.len()..].trim_start().strip_prefix(':')?;
    let value = value.trim_start().strip_prefix('"')?;
    let rest = &value[value.find('"')? + 1..];
    if let Some(next) = rest.trim_start().strip_prefix(',') {
        return Some(start..json.len() - next.trim_start().len());
    }
    let before = json[..start].trim_end();
    let before = before.strip_suffix(',').map_or(start, str::len);
    Some(before..json.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use crate::finding::Severity;
    use crate::rules::fixture::Fixture;
    use crate::rules::net_mac::NetMac;

    const ETH0: &str = "/etc/sysconfig/network-scripts/ifcfg-eth0";

    #[test]
    fn settings_with_a_mac_go_and_the_rest_stays() {
        for (before, after) in [
            (
                "# eth0\r\nDEVICE=eth0\r\nHWADDR=52:54:00:aa:bb:cc\r\nONBOOT=yes",
                "# eth0\r\nDEVICE=eth0\r\nONBOOT=yes",
            ),
            (
                "HWADDR=\"525400AABBCC\"\nexport MACADDR='52-54-00-aa-bb-cc' # x\nDEVICE=eth0\n",
                "DEVICE=eth0\n",
            ),
            (
                "MACADDR=preserve\nHWADDR=5254.00aa.bbcc\n",
                "MACADDR=preserve\n",
            ),
            (
                "DEVICE=eth0\n  HWADDR_BLACKLIST=\"52:54:00:aa:bb:cc 52:54:00:aa:bb:cd\"\n",
                "DEVICE=eth0\n",
            ),
            (
                "BONDING_OPTS=\"mode=4 ad_actor_system=52:54:00:aa:bb:cc miimon=100\"\n",
                "BONDING_OPTS=\"mode=4 miimon=100\"\n",
            ),
            (
                "BONDING_OPTS='ad_actor_system=52:54:00:aa:bb:cc mode=4'\n",
                "BONDING_OPTS='mode=4'\n",
            ),
            (
                "TEAM_CONFIG='{\"device\": \"t\", \"hwaddr\": \"52:54:00:aa:bb:cc\", \"r\": 1}'\n",
                "TEAM_CONFIG='{\"device\": \"t\", \"r\": 1}'\n",
            ),
            (
                "TEAM_CONFIG=\"{\\\"r\\\": 1, \\\"hwaddr\\\": \\\"52:54:00:aa:bb:cc\\\"}\"\n",
                "TEAM_CONFIG=\"{\\\"r\\\": 1}\"\n",
            ),
            (
                "TEAM_CONFIG='{\"x\": \"52:54:00:aa:bb:cc\"}'\nTYPE=Team\n",
                "TYPE=Team\n",
            ),
            (
                "ip link set eth0 address 52:54:00:aa:bb:cc\nTYPE=Ethernet\n",
                "TYPE=Ethernet\n",
            ),
            (
                "A='never closed\nHWADDR=52:54:00:aa:bb:cc\nTYPE=Ethernet\n",
                "A='never closed\nTYPE=Ethernet\n",
            ),
            (
                "SRIOV_VF3=\"mac=52:54:00:aa:bb:cc spoof-check=true\"\nTYPE=Ethernet\n",
                "TYPE=Ethernet\n",
            ),
        ] {
            let fixture = Fixture::new(&[(ETH0, before)]);
            assert!(!fixture.open(&NetMac).is_empty(), "{before}");
            fixture.fix(&[&NetMac]);
            assert_eq!(fixture.text(ETH0).unwrap(), after);
        }
    }

    #[test]
    fn comments_and_files_that_nothing_reads_are_notes() {
        let bak = "/etc/sysconfig/network-scripts/ifcfg-eth0.bak";
        let fixture = Fixture::new(&[
            (
                ETH0,
                "#HWADDR=52:54:00:aa:bb:cc\nONBOOT=yes # 52:54:00:aa:bb:cc\n",
            ),
            (bak, "HWADDR=52:54:00:aa:bb:cc\n"),
        ]);
        let found = fixture.severities(&NetMac);
        let note = |path: &str| (path.to_owned(), Severity::Note);
        assert_eq!(found, [note(ETH0), note(ETH0), note(bak)]);
        fixture.fix(&[&NetMac]);
        assert!(fixture.text(bak).unwrap().contains("52:54"));
    }
}
