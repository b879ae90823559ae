//! Literal MAC addresses in what ifupdown reads.
//!
//! Only lines that take effect block. A MAC in a comment or in a file that nothing reads is worth a
//! note; one in an administrator's script is a warning, since a script cannot be edited safely.

use std::collections::{BTreeMap, BTreeSet};

use super::super::note;
use super::{Config, File, INTERFACES};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::interfaces::{Kind, Line};
use crate::parse::lines::LineEdits;
use crate::parse::mac;
use crate::root::GuestPath;

/// Where ifupdown's scripts are.
const SCRIPT_DIRS: [&str; 5] = [
    "/etc/network",
    "/etc/network/if-pre-up.d",
    "/etc/network/if-up.d",
    "/etc/network/if-down.d",
    "/etc/network/if-post-down.d",
];

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects = Vec::new();
    for file in config.files() {
        for line in &file.parsed.lines {
            if line.kind == Kind::Comment {
                defects.extend(note(&file.path, line.span.start, &line.text, "a comment"));
            } else if names_mac(line) {
                defects.push(
                    Defect::in_file(&file.path, "a line binds the network to the old MAC")
                        .at_line(line.span.start + 1)
                        .evidence(&*line.text)
                        .hint("remove the line; the NIC brings its own MAC"),
                );
            }
        }
    }
    check_other_files(guest, &config, &mut defects)?;
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
        let edits = without_macs(file);
        if !edits.is_empty() {
            guest.write_text(&file.path, &edits.apply(&file.text))?;
        }
    }
    Ok(())
}

/// Whether a line of `interfaces(5)` names a MAC, or a pattern of some.
fn names_mac(line: &Line) -> bool {
    match &line.kind {
        Kind::Option { name, value, .. } => {
            let sets_address = name.contains("hwaddr") || name.replace('_', "-") == "bridge-hw";
            !mac::find(value).is_empty() || (sets_address && !mac::find_bare(value).is_empty())
        }
        Kind::Select { names, .. } | Kind::Rename { names } => {
            names.iter().any(|name| is_mac_selector(name))
        }
        _ => false,
    }
}

fn is_mac_selector(word: &str) -> bool {
    word.contains('/') && (mac::is_partial(word) || !mac::find(word).is_empty())
}

fn without_macs(file: &File) -> LineEdits {
    let mut edits = LineEdits::default();
    let physical = file.physical();
    for line in file.parsed.lines.iter().filter(|line| names_mac(line)) {
        match &line.kind {
            Kind::Select { names, .. } | Kind::Rename { names }
                if !names.iter().all(|name| is_mac_selector(name)) =>
            {
                let anew = line.rewrite(&physical, |number, word| {
                    (number == 0 || !is_mac_selector(word)).then(|| word.to_owned())
                });
                edits.replace(line.span.clone(), anew);
            }
            _ => edits.remove(line.span.clone()),
        }
    }
    edits
}

/// Files that nothing reads, and scripts.
fn check_other_files(
    guest: &Guest<'_>,
    config: &Config,
    defects: &mut Vec<Defect>,
) -> Result<(), Error> {
    let mut others: BTreeMap<GuestPath, bool> = BTreeMap::new();
    for dir in SCRIPT_DIRS {
        for path in guest.list(&dir.into())? {
            let script = path.has_suffix(".sh") || dir.strip_suffix(".d").is_some();
            let leftover = path.name().to_string_lossy().starts_with("interfaces");
            if script || leftover {
                others.insert(path, script);
            }
        }
    }
    for path in guest.list(&format!("{INTERFACES}.d").as_str().into())? {
        others.insert(path, false);
    }
    let read: BTreeSet<&GuestPath> = config.files().iter().map(|file| &file.resolved).collect();
    for (path, script) in others {
        if read.contains(&guest.root().resolve(&path)?) {
            continue;
        }
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        for (number, line) in text.as_str().lines().enumerate() {
            let Some(defect) = note(&path, number, line, "a file that is not read") else {
                continue;
            };
            if !script {
                defects.push(defect);
            } else if !line.trim_start().starts_with('#') {
                let mut defect = defect.severity(Severity::Warning);
                "a script names a MAC".clone_into(&mut defect.message);
                "see whether the script is still wanted".clone_into(&mut defect.hint);
                defects.push(defect);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;
    use crate::rules::net_mac::NetMac;

    const FILE: &str = "# NIC 52:54:00:12:34:56\nauto lo eth0 mac/52:54:00:12:34:56=x \\\n mac/00:0c:29:*=y\n\
        auto MAC/52-54-00-12-34-56\niface eth0 inet dhcp\n  hwaddress ether 52:54:00:12:34:56\n  \
        hwaddress random\n  hwaddress 525400123456\n  bridge_hw 5254.0012.3456\n  mtu 9000\n  \
        pre-up ip link set $IFACE \\\n    address 52:54:00:AB:cd:ef\n  up echo 525400123456\n  \
        bridge_hw eth0\nmapping eth*\n  script /x\n  map 52:54:00:12:34:56 home\n  map ff:ff:ff:ff:ff:ff none\n";
    const FIXED: &str = "# NIC 52:54:00:12:34:56\nauto lo eth0\niface eth0 inet dhcp\n  \
        hwaddress random\n  mtu 9000\n  up echo 525400123456\n  bridge_hw eth0\nmapping eth*\n  \
        script /x\n  map ff:ff:ff:ff:ff:ff none\n";

    #[test]
    fn effective_lines_go_and_comments_stay() {
        let fixture = Fixture::debian(&[(INTERFACES, FILE)]);
        let lines: Vec<String> = [2, 4, 6, 8, 9, 11, 17]
            .iter()
            .map(|line| format!("{INTERFACES}:{line}"))
            .collect();
        assert_eq!(fixture.open(&NetMac), lines);
        fixture.fix(&[&NetMac]);
        assert_eq!(fixture.text(INTERFACES).unwrap(), FIXED);
        let notes = fixture.severities(&NetMac);
        assert_eq!(notes, [(INTERFACES.to_owned(), Severity::Note)]);
    }

    #[test]
    fn files_that_are_not_read() {
        let mac = "eth0 mac 52:54:00:12:34:56\n";
        let fixture = Fixture::debian(&[
            (INTERFACES, "source interfaces.d/*.cfg\n"),
            ("/etc/network/interfaces.d/a.cfg", "# 52:54:00:12:34:56\n"),
            ("/etc/network/interfaces.d/old", mac),
            ("/etc/network/interfaces.bak", mac),
            (
                "/etc/network/if-up.d/x",
                "# 52:54:00:12:34:56\nip link set eth0 address 52:54:00:12:34:56\n",
            ),
        ]);
        fixture.fix(&[&NetMac]);
        let left = fixture.severities(&NetMac);
        let left: Vec<(&str, Severity)> =
            left.iter().map(|(path, s)| (path.as_str(), *s)).collect();
        assert_eq!(
            left,
            [
                ("/etc/network/interfaces.d/a.cfg", Severity::Note),
                ("/etc/network/if-up.d/x", Severity::Warning),
                ("/etc/network/interfaces.bak", Severity::Note),
                ("/etc/network/interfaces.d/old", Severity::Note),
            ]
        );
    }

    #[test]
    fn latin1_and_carriage_returns_survive() {
        let fixture = Fixture::debian(&[(
            INTERFACES,
            "# gr\u{fc}n\r\niface eth0 inet dhcp\r\n\thwaddress 52:54:00:12:34:56\r\n\tmtu 1500\r\n",
        )]);
        fixture.fix(&[&NetMac]);
        assert_eq!(
            fixture.text(INTERFACES).unwrap(),
            "# gr\u{fc}n\r\niface eth0 inet dhcp\r\n\tmtu 1500\r\n"
        );
    }
}
