//! autofs(5): maps that mount storage elsewhere as soon as somebody looks there.

use super::{HINT, is_export, reach};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::edit;
use crate::root::GuestPath;
use crate::units;

const MASTER: &str = "/etc/auto.master";
const MASTER_DIR: &str = "/etc/auto.master.d";
const UNIT: &str = "autofs.service";
const SCRIPT: &str = "autofs";
/// Kinds of maps that a directory service serves.
const SERVED: [&str; 6] = ["yp", "nis", "nisplus", "ldap", "ldaps", "hesiod"];

/// An entry that needs the old network.
struct Found {
    path: GuestPath,
    line: usize,
    evidence: String,
}

pub(super) fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    if !units::is_enabled(guest, UNIT, SCRIPT)? {
        return Ok(Vec::new());
    }
    let defects = entries(guest)?.into_iter().map(|found| {
        Defect::in_file(&found.path, "autofs mounts storage elsewhere")
            .at_line(found.line)
            .evidence(found.evidence)
            .hint(HINT)
            .severity(Severity::Warning)
    });
    Ok(defects.collect())
}

/// Disables autofs, if a map needs the old network.
pub(super) fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    if units::is_enabled(guest, UNIT, SCRIPT)? && !entries(guest)?.is_empty() {
        units::disable(guest, UNIT, SCRIPT)?;
    }
    Ok(())
}

fn entries(guest: &Guest<'_>) -> Result<Vec<Found>, Error> {
    let mut masters = vec![GuestPath::from(MASTER)];
    let mut parts = guest.list(&MASTER_DIR.into())?;
    parts.retain(|path| path.has_suffix(".autofs"));
    masters.extend(parts);
    let mut found = Vec::new();
    for master in masters {
        let Some(text) = guest.text(&master)? else {
            continue;
        };
        for (line, text) in lines(text.as_str()) {
            let mut words = text.split_whitespace();
            let (Some(mount_point), Some(map)) = (words.next(), words.next()) else {
                continue;
            };
            let served = map
                .split_once(':')
                .is_some_and(|(kind, _)| SERVED.contains(&kind));
            let map_file = map.strip_prefix("file:").unwrap_or(map);
            if served {
                found.push(Found {
                    path: master.clone(),
                    line,
                    evidence: text.clone(),
                });
            } else if mount_point.starts_with('/') && map_file.starts_with('/') {
                found.extend(map_entries(guest, &GuestPath::new(map_file))?);
            }
        }
    }
    Ok(found)
}

/// The entries of a map: `key [-options] location…`.
fn map_entries(guest: &Guest<'_>, path: &GuestPath) -> Result<Vec<Found>, Error> {
    let Some(text) = guest.text(path)? else {
        return Ok(Vec::new());
    };
    // A program that asks the network: auto.smb, auto.net.
    if text.as_str().starts_with("#!") {
        return Ok(vec![Found {
            path: path.clone(),
            line: 1,
            evidence: text.as_str().lines().next().unwrap_or_default().to_owned(),
        }]);
    }
    let entries = lines(text.as_str()).filter_map(|(line, text)| {
        let words: Vec<&str> = text.split_whitespace().skip(1).collect();
        let fs_type = words
            .iter()
            .filter_map(|word| word.strip_prefix('-'))
            .flat_map(|options| options.split(','))
            .find_map(|option| option.strip_prefix("fstype="))
            .unwrap_or_default();
        let location = words.iter().rev().find(|word| !word.starts_with('-'))?;
        let remote = is_export(location) || reach(location, fs_type).is_some();
        remote.then(|| Found {
            path: path.clone(),
            line,
            // The options may hold a password.
            evidence: (*location).to_owned(),
        })
    });
    Ok(entries.collect())
}

/// The lines with something on them, `\` at the end joining two; numbered from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut continued = false;
    for line in edit::lines(text) {
        let content = line.text.trim_end();
        let (content, more) = match content.strip_suffix('\\') {
            Some(content) => (content, true),
            None => (content, false),
        };
        match joined.last_mut() {
            Some((_, last)) if continued => last.push_str(content),
            _ => joined.push((line.number, content.to_owned())),
        }
        continued = more;
    }
    joined
        .into_iter()
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::super::BootRemoteStorage;
    use super::*;
    use crate::rules::fixture::Fixture;

    const SHIPPED: (&str, &str) = (
        MASTER,
        "/misc /etc/auto.misc\n/net -hosts\n+dir:/etc/auto.master.d\n+auto.master\n",
    );
    const LINK: &str = "/etc/systemd/system/multi-user.target.wants/autofs.service";
    const ENABLED: (&str, &str) = (LINK, "-> /usr/lib/systemd/system/autofs.service");
    const MISC: (&str, &str) = (
        "/etc/auto.misc",
        "cd -fstype=iso9660,ro,nosuid,nodev :/dev/cdrom\n#linux -ro,soft ftp.example.org:/pub\n",
    );

    #[test]
    fn what_is_shipped_needs_no_network() {
        assert!(
            Fixture::new(&[SHIPPED, MISC, ENABLED])
                .check(&BootRemoteStorage)
                .is_empty()
        );
    }

    #[test]
    fn maps_of_the_old_network_disable_autofs() {
        let home = "# homes\n*\t-fstype=nfs4,rw \\\n\tnas:/home/&\nwin -fstype=cifs,password=x ://nas/win\n";
        for (files, expected) in [
            (
                vec![
                    ("/etc/auto.master.d/home.autofs", "/home /etc/auto.home\n"),
                    ("/etc/auto.home", home),
                ],
                vec![
                    "/etc/auto.home:2 nas:/home/&",
                    "/etc/auto.home:4 ://nas/win",
                ],
            ),
            (
                vec![("/etc/auto.master.d/yp.autofs", "/home yp:auto.home\n")],
                vec!["/etc/auto.master.d/yp.autofs:1 /home yp:auto.home"],
            ),
        ] {
            let files = [vec![SHIPPED, MISC, ENABLED], files].concat();
            let fixture = Fixture::new(&files);
            let found: Vec<String> = fixture
                .check(&BootRemoteStorage)
                .into_iter()
                .map(|d| format!("{}:{} {}", d.subject, d.line.unwrap(), d.evidence))
                .collect();
            assert_eq!(found, expected);
            fixture.fix(&[&BootRemoteStorage]);
            assert!(!fixture.has(LINK));
            assert!(fixture.check(&BootRemoteStorage).is_empty());
        }
    }
}
