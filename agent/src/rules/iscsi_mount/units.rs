//! systemd's mount, automount and swap units, systemd.mount(5), systemd.swap(5).

use super::{is_block_device, is_iscsi_path};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::live::volumes::Volumes;
use crate::parse::{edit, fstab};
use crate::root::{FileKind, GuestPath};

const UNITS: &str = "/etc/systemd/system";

/// A unit that needs iSCSI.
struct Unit {
    path: GuestPath,
    what: String,
    essential: bool,
}

pub(super) fn check(guest: &Guest<'_>, volumes: &Volumes<'_>) -> Result<Vec<Defect>, Error> {
    let defects = units(guest, volumes)?.into_iter().map(|unit| {
        let hint = if unit.essential {
            "move the file system to a local disk: the guest does not run without it"
        } else {
            "remove the unit and the links that enable it"
        };
        Defect::in_file(&unit.path, "the unit mounts a volume that iSCSI attached")
            .evidence(unit.what)
            .hint(hint)
    });
    Ok(defects.collect())
}

/// Removes the units, what is dropped in for them, and the links that enable them.
pub(super) fn fix(guest: &mut Guest<'_>, volumes: &Volumes<'_>) -> Result<(), Error> {
    for unit in units(guest, volumes)? {
        if unit.essential {
            continue;
        }
        let name = unit.path.name().to_owned();
        let mut drop_ins = name.clone();
        drop_ins.push(".d");
        guest.remove(&GuestPath::from(UNITS).join(drop_ins))?;
        for dir in guest.list(&UNITS.into())? {
            if dir.has_suffix(".wants") || dir.has_suffix(".requires") {
                guest.remove(&dir.join(&name))?;
            }
        }
        guest.remove(&unit.path)?;
    }
    Ok(())
}

/// The mount and swap units that need iSCSI, and the automount units beside them.
fn units(guest: &Guest<'_>, volumes: &Volumes<'_>) -> Result<Vec<Unit>, Error> {
    let mut units = Vec::new();
    for path in guest.list(&UNITS.into())? {
        let mount = path.has_suffix(".mount");
        if !(mount || path.has_suffix(".swap")) || guest.kind(&path)? != Some(FileKind::Regular) {
            continue;
        }
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let text = text.as_str();
        let what = value(text, "What").unwrap_or_default();
        let target = value(text, "Where");
        if !volumes.hold(what, target) && !needs_iscsi(text, what) {
            continue;
        }
        let essential = target.is_some_and(fstab::is_essential);
        let automount = path
            .name()
            .to_str()
            .and_then(|name| name.strip_suffix(".mount"))
            .map(|name| GuestPath::from(UNITS).join(format!("{name}.automount")));
        if let Some(automount) = automount
            && guest.kind(&automount)? == Some(FileKind::Regular)
        {
            units.push(Unit {
                path: automount,
                what: what.to_owned(),
                essential,
            });
        }
        units.push(Unit {
            path,
            what: what.to_owned(),
            essential,
        });
    }
    Ok(units)
}

fn needs_iscsi(text: &str, what: &str) -> bool {
    let netdev = value(text, "Options")
        .is_some_and(|options| options.split(',').any(|option| option.trim() == "_netdev"));
    let fs_type = value(text, "Type").unwrap_or_default();
    let requires = ["Requires", "BindsTo"]
        .iter()
        .any(|key| value(text, key).is_some_and(|units| units.contains("iscsi")));
    is_iscsi_path(what) || requires || (netdev && is_block_device(what, fs_type))
}

/// The last value of a key, whatever its section.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    edit::lines(text)
        .filter_map(|line| line.text.split_once('='))
        .filter(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
        .last()
}

#[cfg(test)]
mod tests {
    use super::super::IscsiMount;
    use crate::testing::Fixture;

    #[test]
    fn units_go_with_their_links() {
        let what = "/dev/disk/by-path/ip-192.0.2.5:3260-iscsi-iqn.x:y-lun-1";
        let unit = format!(
            "[Unit]\nAfter=iscsi.service\n\n[Mount]\n# What=x\nWhat={what}\nWhere=/srv/data\n"
        );
        let fixture = Fixture::debian(&[
            ("/etc/systemd/system/srv-data.mount", &unit),
            (
                "/etc/systemd/system/srv-data.automount",
                "[Automount]\nWhere=/srv/data\n",
            ),
            (
                "/etc/systemd/system/srv-data.mount.d/10.conf",
                "[Mount]\nOptions=ro\n",
            ),
            (
                "/etc/systemd/system/srv-nas.mount",
                "[Mount]\nWhat=nas:/x\nWhere=/srv/nas\nType=nfs\nOptions=_netdev\n",
            ),
            (
                "/etc/systemd/system/swap.swap",
                "[Unit]\nRequires=iscsid.service\n[Swap]\nWhat=UUID=x\n",
            ),
        ]);
        fixture.link(
            "/etc/systemd/system/multi-user.target.wants/srv-data.mount",
            "../srv-data.mount",
        );
        fixture.link("/etc/systemd/system/tmp.mount", "/dev/null");
        let rule = IscsiMount::default();
        assert_eq!(
            fixture.found(&rule),
            [
                format!("/etc/systemd/system/srv-data.automount {what}"),
                format!("/etc/systemd/system/srv-data.mount {what}"),
                "/etc/systemd/system/swap.swap UUID=x".into(),
            ]
        );
        let (drafts, left) = fixture.fixed(&rule);
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(
            drafts.into_iter().collect::<Vec<_>>(),
            [
                "multi-user.target.wants/srv-data.mount",
                "srv-data.automount",
                "srv-data.mount",
                "srv-data.mount.d",
                "swap.swap",
            ]
            .map(|name| (format!("/etc/systemd/system/{name}"), None))
        );
    }
}
