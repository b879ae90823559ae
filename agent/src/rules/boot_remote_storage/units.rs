//! systemd's mount and automount units, and the service that maps Ceph's block devices.

use super::{HINT, MOVE, Reach, reach};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::{edit, fstab, unit_file};
use crate::root::GuestPath;
use crate::units;

const UNITS: &str = "/etc/systemd/system";
/// Block devices of Ceph, and what maps them.
const RBDMAP: &str = "/etc/ceph/rbdmap";

/// A mount unit that is wanted at boot, or whose automount unit is.
struct Mount {
    path: GuestPath,
    what: String,
    reach: Reach,
    essential: bool,
    /// Whether the local file systems need it.
    local: bool,
    /// The units that are enabled: its own, that of its automount.
    enabled: Vec<String>,
}

pub(super) fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let mut defects = Vec::new();
    for mount in mounts(guest)? {
        let defect = Defect::in_file(
            &mount.path,
            "the unit is started at boot and mounts storage elsewhere",
        )
        .evidence(mount.what);
        defects.push(if mount.essential {
            defect.hint(MOVE)
        } else if mount.local && mount.reach == Reach::Unknown {
            defect.hint(HINT)
        } else {
            defect.hint(HINT).severity(Severity::Warning)
        });
    }
    if let Some((line, device)) = mapped(guest)? {
        defects.push(
            Defect::in_file(&RBDMAP.into(), "a block device of Ceph is mapped at boot")
                .at_line(line)
                .evidence(device)
                .hint(HINT)
                .severity(Severity::Warning),
        );
    }
    Ok(defects)
}

/// Disables them, as `systemctl disable` does.
pub(super) fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    for mount in mounts(guest)?.into_iter().filter(|mount| !mount.essential) {
        for unit in mount.enabled {
            units::disable(guest, &unit, "")?;
        }
    }
    if mapped(guest)?.is_some() {
        units::disable(guest, "rbdmap.service", "rbdmap")?;
    }
    Ok(())
}

fn mounts(guest: &Guest<'_>) -> Result<Vec<Mount>, Error> {
    let mut mounts = Vec::new();
    for name in names(guest)? {
        let Some(path) = units::file(guest, &name)? else {
            continue;
        };
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let entries = unit_file::parse(text.as_str());
        let value = |key: &str| {
            entries
                .iter()
                .rfind(|entry| entry.section == "Mount" && entry.key == key)
                .map(|entry| entry.value.as_str())
                .unwrap_or_default()
        };
        let Some(reach) = reach(value("What"), value("Type")) else {
            continue;
        };
        let automount = name.replace(".mount", ".automount");
        let mut enabled = Vec::new();
        let mut local = false;
        for unit in [name, automount] {
            let links = units::wants(guest, &unit)?;
            local |= links.iter().any(|link| {
                link.parent()
                    .is_some_and(|dir| dir.has_suffix("local-fs.target.requires"))
            });
            if !links.is_empty() {
                enabled.push(unit);
            }
        }
        let optional = value("Options")
            .split(',')
            .any(|option| matches!(option.trim(), "_netdev" | "nofail"));
        if !enabled.is_empty() {
            mounts.push(Mount {
                path,
                what: format!("{} {}", value("What"), value("Where")),
                reach,
                essential: fstab::is_essential(value("Where")),
                local: local && !optional,
                enabled,
            });
        }
    }
    Ok(mounts)
}

/// The mount units that something wants, or whose automount unit something wants.
fn names(guest: &Guest<'_>) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for dir in guest.list(&UNITS.into())? {
        if !dir.has_suffix(".wants") && !dir.has_suffix(".requires") {
            continue;
        }
        for link in guest.list(&dir)? {
            let name = link.name().to_string_lossy();
            let stem = name
                .strip_suffix(".mount")
                .or_else(|| name.strip_suffix(".automount"));
            if let Some(stem) = stem {
                names.push(format!("{stem}.mount"));
            }
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// The first device that `rbdmap` maps, where that is done at boot.
fn mapped(guest: &Guest<'_>) -> Result<Option<(usize, String)>, Error> {
    if !units::is_enabled(guest, "rbdmap.service", "rbdmap")? {
        return Ok(None);
    }
    let text = guest.text(&RBDMAP.into())?;
    Ok(text
        .iter()
        .flat_map(|text| edit::lines(text.as_str()))
        .find_map(|line| {
            let device = line.text.split_whitespace().next()?;
            (!device.starts_with('#')).then(|| (line.number, device.to_owned()))
        }))
}

#[cfg(test)]
mod tests {
    use super::super::BootRemoteStorage;
    use super::*;
    use crate::rules::fixture::Fixture;

    const NFS: &str = "[Mount]\nWhat=nas:/x\nWhere=/srv/x\nType=nfs\n";

    fn found(files: &[(&str, &str)]) -> Vec<(String, Severity)> {
        Fixture::new(files).severities(&BootRemoteStorage)
    }

    #[test]
    fn units_are_disabled_and_stay() {
        let unit = format!("{UNITS}/srv-x.mount");
        let automount = format!("{UNITS}/srv-y.automount");
        let link = format!("{UNITS}/remote-fs.target.wants/srv-x.mount");
        let other = format!("{UNITS}/multi-user.target.wants/srv-y.automount");
        let fixture = Fixture::new(&[
            (&unit, NFS),
            (&link, "-> ../srv-x.mount"),
            (&automount, "[Automount]\nWhere=/srv/y\n"),
            (
                &format!("{UNITS}/srv-y.mount"),
                "[Mount]\nWhat=//nas/y\nWhere=/srv/y\nType=cifs\n",
            ),
            (&other, "-> ../srv-y.automount"),
        ]);
        assert_eq!(fixture.check(&BootRemoteStorage).len(), 2);
        fixture.fix(&[&BootRemoteStorage]);
        assert!(fixture.check(&BootRemoteStorage).is_empty());
        assert!(!fixture.has(&link) && !fixture.has(&other));
        assert_eq!(fixture.text(&unit).as_deref(), Some(NFS));
        assert!(fixture.has(&automount));
    }

    #[test]
    fn only_what_is_started_counts() {
        let unit = format!("{UNITS}/srv-x.mount");
        assert_eq!(found(&[(&unit, NFS)]), []);
        let folders = "[Mount]\nWhat=share\nWhere=/mnt/share\nType=vboxsf\n";
        let unit = format!("{UNITS}/mnt-share.mount");
        let required = format!("{UNITS}/local-fs.target.requires/mnt-share.mount");
        assert_eq!(
            found(&[(&unit, folders), (&required, "-> ../mnt-share.mount")]),
            [(unit, Severity::Blocker)]
        );
        let local = "[Mount]\nWhat=tmpfs\nWhere=/tmp\nType=tmpfs\n";
        assert_eq!(
            found(&[
                ("/usr/lib/systemd/system/tmp.mount", local),
                (&format!("{UNITS}/local-fs.target.wants/tmp.mount"), "-> x"),
            ]),
            []
        );
    }

    #[test]
    fn ceph_devices_are_not_mapped_at_boot() {
        let link = format!("{UNITS}/multi-user.target.wants/rbdmap.service");
        let fixture = Fixture::new(&[
            (RBDMAP, "# name params\nrbd/disk1 id=admin\n"),
            (&link, "-> /usr/lib/systemd/system/rbdmap.service"),
        ]);
        assert_eq!(fixture.check(&BootRemoteStorage)[0].line, Some(2));
        fixture.fix(&[&BootRemoteStorage]);
        assert!(!fixture.has(&link));
    }
}
