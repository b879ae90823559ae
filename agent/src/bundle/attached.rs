//! What a restore attaches again beside the files, as reported.

use std::fmt::Display;

use crate::live::Record;
use crate::plan::{Action, Change};

/// What a running system gets back of what was detached, in the order in which it does. What is
/// attached already stays as it is.
pub(super) fn changes(record: &Record) -> Vec<Change> {
    let command = |path: &dyn Display, line: String| Change {
        path: path.to_string(),
        action: Action::Command,
        diff: Some(line),
    };
    let mut changes = Vec::new();
    for session in &record.sessions {
        let (target, portal) = (&session.target, &session.portal);
        changes.push(command(
            &format_args!("{target} at {portal}"),
            format!("iscsiadm -m node -T {target} -p {portal} --login"),
        ));
    }
    for map in &record.maps {
        changes.push(command(
            &format_args!("/dev/mapper/{map}"),
            "multipath".into(),
        ));
    }
    for array in &record.arrays {
        changes.push(command(
            &format_args!("/dev/{array}"),
            "mdadm --assemble --scan".into(),
        ));
    }
    for group in &record.groups {
        let line = if group.volumes.is_empty() {
            format!("vgchange --activate y {}", group.name)
        } else {
            let volumes = group.volumes.iter();
            let volumes = volumes.map(|volume| format!(" {}/{volume}", group.name));
            format!("lvchange --activate y{}", volumes.collect::<String>())
        };
        changes.push(command(&group.name, line));
    }
    for mapping in &record.mappings {
        changes.push(command(
            &format_args!("/dev/mapper/{mapping}"),
            "you open it, for example with cryptsetup open".into(),
        ));
    }
    for mount in &record.mounts {
        changes.push(command(
            &mount.target,
            format!("mount {} {}", mount.source, mount.target),
        ));
    }
    for swap in &record.swaps {
        changes.push(command(&swap.source, format!("swapon {}", swap.source)));
    }
    for unit in &record.services {
        changes.push(command(unit, format!("systemctl start {unit}")));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_comes_back_is_told_in_order() {
        let portal = serde_json::json!({"address": "192.0.2.5", "port": 3260});
        let record: Record = serde_json::from_value(serde_json::json!({
            "services": ["ocid.service"],
            "sessions": [{
                "target": "iqn.x:y", "portal": portal, "group": "1", "interface": "default",
                "records": [],
            }],
            "groups": [
                {"name": "store", "volumes": []},
                {"name": "part", "volumes": ["a", "b"]},
            ],
            "swaps": [{"source": {"kind": "mapped", "name": "store-swap"}, "priority": -2}],
            "mounts": [{
                "source": {
                    "kind": "lun", "target": "iqn.x:y", "portal": portal, "lun": 1,
                    "partition": null,
                },
                "root": "/", "target": "/srv", "fs_type": "ext4", "options": "rw",
                "automount": null,
            }],
        }))
        .unwrap();
        let told: Vec<(String, String)> = changes(&record)
            .into_iter()
            .map(|change| (change.path, change.diff.unwrap_or_default()))
            .collect();
        let told: Vec<(&str, &str)> = told.iter().map(|(path, line)| (&**path, &**line)).collect();
        assert_eq!(
            told,
            [
                (
                    "iqn.x:y at 192.0.2.5:3260",
                    "iscsiadm -m node -T iqn.x:y -p 192.0.2.5:3260 --login"
                ),
                ("store", "vgchange --activate y store"),
                ("part", "lvchange --activate y part/a part/b"),
                ("/srv", "mount disk 1 of iqn.x:y at 192.0.2.5:3260 /srv"),
                ("/dev/mapper/store-swap", "swapon /dev/mapper/store-swap"),
                ("ocid.service", "systemctl start ocid.service"),
            ]
        );
        assert_eq!(changes(&Record::default()), []);
    }
}
