//! `iscsi/node-records`: what the initiator remembers of targets and interfaces.
//!
//! open-iscsi keeps its records below `/etc/iscsi` (Debian, SUSE) or `/var/lib/iscsi` (Red Hat);
//! both are looked at, since a guest that was upgraded may have either. The directories stay, and so
//! do the interfaces that the packages bring. Where the system is on a target elsewhere, the
//! records of that target stay: see `iscsi/root`.

use std::rc::Rc;

use super::iscsi_root::{STAYS, System};
use super::{DOC_CUSTOM_IMAGES, KnownDisk, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::iscsi_record;
use crate::root::GuestPath;

/// The rule.
#[derive(Debug, Default)]
pub struct IscsiNodeRecords {
    disk: Rc<KnownDisk>,
}

/// A file, link or directory of a table.
struct Record {
    path: GuestPath,
    /// What it holds.
    holds: &'static str,
    /// Whether the system needs it to boot.
    stays: bool,
}

/// Where records are kept.
const DATABASES: [&str; 2] = ["/etc/iscsi", "/var/lib/iscsi"];
/// The tables of a database, by how a record came about, and what a record there holds.
const TABLES: [(&str, &str); 7] = [
    ("nodes", "an iSCSI target that is logged in to"),
    ("send_targets", "a portal whose targets were discovered"),
    ("static", "a target that was entered by hand"),
    ("slp", "targets that were found through SLP"),
    ("isns", "targets that were found through an iSNS server"),
    ("fw", "a target that the firmware boots from"),
    ("ifaces", "a network interface for iSCSI"),
];
/// Interfaces that the packages bring.
const SHIPPED_INTERFACES: [&str; 2] = ["default", "iface.example"];
/// Settings worth showing; none is a secret.
const SHOWN: [&str; 3] = ["node.startup", "iface.hwaddress", "iface.net_ifacename"];

impl IscsiNodeRecords {
    /// The rule, with what is known of the guest's disk.
    pub fn new(disk: Rc<KnownDisk>) -> Self {
        Self { disk }
    }

    fn records(&self, guest: &Guest<'_>) -> Result<Vec<Record>, Error> {
        let system = System::look(guest, &self.disk)?;
        let mut records: Vec<Record> = Vec::new();
        for database in DATABASES {
            for (table, holds) in TABLES {
                for path in guest.list(&GuestPath::from(database).join(table))? {
                    let shipped = table == "ifaces"
                        && SHIPPED_INTERFACES.iter().any(|name| path.name() == *name);
                    // One database may be a link to the other.
                    let known = records.iter().any(|known| known.path == path);
                    if shipped || known {
                        continue;
                    }
                    let mut names = vec![path.name().to_string_lossy().into_owned()];
                    for inner in guest.list(&path)? {
                        names.push(inner.name().to_string_lossy().into_owned());
                    }
                    records.push(Record {
                        stays: system.needs_record(table, &names),
                        path,
                        holds,
                    });
                }
            }
        }
        Ok(records)
    }
}

impl Rule for IscsiNodeRecords {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "iscsi/node-records",
            severity: Severity::Blocker,
            title: "Records of iSCSI targets, discoveries and interfaces",
            why: "At boot the initiator logs in to every target that it remembers, and each one \
                  that OCI cannot reach holds the boot up until it times out.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut defects = Vec::new();
        for Record { path, holds, stays } in self.records(guest)? {
            let defect = Defect::in_file(&path, format!("the initiator remembers {holds}"))
                .evidence(evidence(guest, &path)?)
                .hint(if stays {
                    STAYS
                } else {
                    "log out of the target and delete the record: iscsiadm -m node -o delete"
                });
            defects.push(defect);
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        for record in self.records(guest)? {
            if !record.stays {
                guest.remove(&record.path)?;
            }
        }
        Ok(())
    }
}

/// The portals that a record names, and the settings worth showing.
fn evidence(guest: &Guest<'_>, record: &GuestPath) -> Result<String, Error> {
    let mut seen: Vec<String> = Vec::new();
    for portal in guest.list(record)? {
        seen.push(portal.name().to_string_lossy().into_owned());
    }
    let files = match guest.kind(record)? {
        Some(crate::root::FileKind::Regular) => vec![record.clone()],
        _ => guest.walk(record)?,
    };
    for file in files {
        // A link beside a discovery leads to the node's own record.
        let Some(text) = guest.text(&file)? else {
            continue;
        };
        for setting in iscsi_record::settings(text.as_str()) {
            let shown = format!("{} = {}", setting.key, setting.value);
            if SHOWN.contains(&setting.key) && !setting.value.is_empty() && !seen.contains(&shown) {
                seen.push(shown);
            }
        }
    }
    Ok(seen.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    const NODE: &str = "# BEGIN RECORD 2.1.8\n\
        node.name = iqn.2004-04.com.example:storage.data1\n\
        node.tpgt = 1\nnode.startup = automatic\niface.iscsi_ifacename = default\n\
        node.session.auth.username = web01\nnode.session.auth.password = Quartz-Lantern\n\
        # END RECORD\n";

    #[test]
    fn records_go_and_directories_stay() {
        let target = "/etc/iscsi/nodes/iqn.2004-04.com.example:storage.data1";
        let node = format!("{target}/192.0.2.5,3260,1/default");
        let discovery = "/etc/iscsi/send_targets/192.0.2.5,3260";
        let fixture = Fixture::debian(&[
            (&node, NODE),
            (
                &format!("{discovery}/st_config"),
                "discovery.type = sendtargets\n",
            ),
            (
                "/etc/iscsi/ifaces/iface.example",
                "iface.iscsi_ifacename = iface.example\n",
            ),
            (
                "/etc/iscsi/ifaces/ens192",
                "iface.hwaddress = 00:50:56:8a:3c:d1\n",
            ),
            ("/etc/iscsi/iscsid.conf", "node.startup = automatic\n"),
            ("/var/lib/iscsi/static/x", ""),
        ]);
        fixture.link(
            &format!("{discovery}/iqn.x,192.0.2.5,3260,1,default"),
            &format!("{target}/192.0.2.5,3260,1"),
        );
        assert_eq!(
            fixture.found(&IscsiNodeRecords::default()),
            [
                format!("{target} 192.0.2.5,3260,1, node.startup = automatic"),
                format!("{discovery} iqn.x,192.0.2.5,3260,1,default, st_config"),
                "/etc/iscsi/ifaces/ens192 iface.hwaddress = 00:50:56:8a:3c:d1".into(),
                "/var/lib/iscsi/static/x ".into(),
            ]
        );
        let (drafts, left) = fixture.fixed(&IscsiNodeRecords::default());
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(
            drafts.into_iter().collect::<Vec<_>>(),
            [
                ("/etc/iscsi/ifaces/ens192".into(), None),
                (target.into(), None),
                (discovery.into(), None),
                ("/var/lib/iscsi/static/x".into(), None),
            ]
        );
    }

    #[test]
    fn every_table_of_every_family_is_emptied() {
        for database in DATABASES {
            for (table, record) in [
                ("nodes", "iqn.2001-05.com.example:a/192.0.2.5,3260,1"),
                ("nodes", "iqn.2001-05.com.example:a/192.0.2.5,3260,1/bnx2i"),
                ("send_targets", "192.0.2.5,3260"),
                ("static", "iqn.x,192.0.2.5,3260,1"),
                ("isns", "192.0.2.6,3205"),
                ("slp", "x"),
                ("fw", "192.0.2.5"),
                ("ifaces", "bnx2i.00:10:18:aa:bb:cc"),
            ] {
                let path = format!("{database}/{table}/{record}");
                let fixture = Fixture::debian(&[
                    (&path, "iface.hwaddress = 00:10:18:aa:bb:cc\n"),
                    (&format!("{database}/ifaces/iface.example"), "# x\n"),
                    (&format!("{database}/ifaces/default"), "# x\n"),
                ]);
                assert_eq!(
                    fixture.found(&IscsiNodeRecords::default()).len(),
                    1,
                    "{path}"
                );
                let (drafts, left) = fixture.fixed(&IscsiNodeRecords::default());
                assert_eq!(left, Vec::<String>::new());
                assert_eq!(drafts.len(), 1, "{path}");
            }
        }
    }

    #[test]
    fn a_system_elsewhere_keeps_the_records_of_its_own_target() {
        let own = "/etc/iscsi/nodes/iqn.x:system";
        let other = "/etc/iscsi/nodes/iqn.x:data";
        let discovery = "/etc/iscsi/send_targets/192.0.2.5,3260";
        let strange = "/etc/iscsi/send_targets/192.0.2.6,3260";
        let interface = "/etc/iscsi/ifaces/ens192";
        let records = [
            (format!("{own}/192.0.2.5,3260,1/default"), NODE),
            (format!("{other}/192.0.2.5,3260,1/default"), NODE),
            (format!("{discovery}/st_config"), "x = y\n"),
            (format!("{strange}/st_config"), "x = y\n"),
            (interface.to_owned(), "iface.iscsi_ifacename = ens192\n"),
        ];
        for (path, content, gone) in [
            (
                "/etc/iscsi/iscsi.initramfs",
                "ISCSI_TARGET_NAME=iqn.x:system\nISCSI_TARGET_IP=192.0.2.5\n",
                vec![other, strange],
            ),
            (
                "/etc/kernel/cmdline",
                "netroot=iscsi:u:p@192.0.2.5:::1:iqn.x:system ro\n",
                vec![other, strange],
            ),
            (
                "/etc/kernel/cmdline",
                "root=UUID=x iscsi_target_ip=192.0.2.5\n",
                vec![strange],
            ),
            (
                "/etc/fstab",
                "/dev/disk/by-path/ip-192.0.2.5:3260-iscsi-iqn.x:system-lun-1-part1 / ext4\n",
                vec![other, strange],
            ),
            (
                "/etc/fstab",
                "/dev/disk/by-path/ip-192.0.2.5:3260-iscsi-iqn.x:z-lun-1 /srv ext4\n",
                vec![interface, other, own, discovery, strange],
            ),
        ] {
            let mut files: Vec<(&str, &str)> = vec![(path, content)];
            files.extend(records.iter().map(|(path, text)| (path.as_str(), *text)));
            let fixture = Fixture::debian(&files);
            let rule = IscsiNodeRecords::default();
            let (drafts, left) = fixture.fixed(&rule);
            assert_eq!(drafts.into_keys().collect::<Vec<_>>(), gone, "{content}");
            assert_eq!(left.len(), records.len() - gone.len());
            let found = rule.check(&fixture.guest()).unwrap();
            let stays = found.iter().filter(|defect| defect.hint == STAYS).count();
            assert_eq!(stays, left.len());
        }
    }

    #[test]
    fn no_initiator_no_records() {
        assert!(
            Fixture::debian(&[])
                .found(&IscsiNodeRecords::default())
                .is_empty()
        );
    }
}
