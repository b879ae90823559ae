//! `boot/fstab-device`: file systems of this disk that `fstab` names by the device.

use std::sync::Arc;

use byoi_agent::error::Error;
use byoi_agent::finding::{Defect, Severity};
use byoi_agent::guest::Guest;
use byoi_agent::rules::{DOC_IMPORT_LINUX, Rule, RuleMeta};

use super::table::{self, FSTAB, Row};
use crate::volumes::{Resolution, Volume, Volumes};

/// The rule.
#[derive(Debug)]
pub struct FstabDevice {
    volumes: Arc<Volumes>,
}

impl FstabDevice {
    /// The rule for a disk with these volumes.
    pub fn new(volumes: Arc<Volumes>) -> Self {
        Self { volumes }
    }
}

impl Rule for FstabDevice {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "boot/fstab-device",
            severity: Severity::Blocker,
            title: "File systems of this disk that fstab names by the device",
            why: "Disks have other names on OCI, and the boot stops in emergency mode when a file \
                  system is not found.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut defects = Vec::new();
        for row in table::rows(guest, &self.volumes)? {
            let Some(volume) = by_device(&row) else {
                continue;
            };
            let hint = match volume.stable_name() {
                Some(name) => format!("write {name} in place of {}", row.entry.source),
                None => "give the file system a UUID, and name it by that".into(),
            };
            let mut defect = Defect::in_file(
                &FSTAB.into(),
                format!(
                    "{} is named by a device that OCI names differently",
                    row.entry.target
                ),
            )
            .at_line(row.entry.line)
            .evidence(row.entry.text.trim())
            .hint(hint);
            if !row.holds_boot_up() {
                defect = defect.severity(Severity::Warning);
            }
            defects.push(defect);
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        table::edit_rows(guest, &self.volumes, |row| {
            let name = by_device(row)?.stable_name()?;
            Some(row.entry.set_source(&name))
        })
    }
}

/// The volume of this disk that an entry names by a device.
fn by_device<'a>(row: &Row<'a>) -> Option<&'a Volume> {
    match row.resolution {
        Resolution::Here(volume) if row.is_by_device() || volume.was_called(&row.entry.source) => {
            Some(volume)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;
    use crate::volumes::testing::volume;

    fn rule() -> FstabDevice {
        FstabDevice::new(Arc::new(Volumes::new(vec![
            volume(1, "ext4", "c1a7"),
            volume(5, "swap", "5a5a"),
            volume(6, "ext4", "6e6e"),
            Volume {
                number: 7,
                partuuid: Some("5f3c9a1e-07".into()),
                ..Volume::default()
            },
        ])))
    }

    #[test]
    fn device_names_become_identifiers_in_place() {
        let fixture = Fixture::new(&[(
            FSTAB,
            "# <file system> <mount point>\n\
             /dev/sdb1 /               ext4    errors=remount-ro 0       1 # root\n\
             /dev/sdb5\tnone\tswap\tsw\t0\t0\n\
             /dev/sdb7 /srv ext4 noauto 0 0\n\
             /dev/sda1 /other ext4 defaults 0 2\n\
             UUID=6e6e /home ext4 defaults 0 2\n\
             tmpfs /tmp tmpfs defaults 0 0\n",
        )]);
        assert_eq!(
            fixture.found(&rule()),
            [
                "/etc/fstab:2 /dev/sdb1 /               ext4    errors=remount-ro 0       1 # root",
                "/etc/fstab:3 /dev/sdb5\tnone\tswap\tsw\t0\t0",
                "/etc/fstab:4 /dev/sdb7 /srv ext4 noauto 0 0",
            ]
        );
        let (drafts, left) = fixture.fixed(&rule());
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(
            drafts[FSTAB],
            "# <file system> <mount point>\n\
             UUID=c1a7 /               ext4    errors=remount-ro 0       1 # root\n\
             UUID=5a5a\tnone\tswap\tsw\t0\t0\n\
             PARTUUID=5f3c9a1e-07 /srv ext4 noauto 0 0\n\
             /dev/sda1 /other ext4 defaults 0 2\n\
             UUID=6e6e /home ext4 defaults 0 2\n\
             tmpfs /tmp tmpfs defaults 0 0\n"
        );
    }

    #[test]
    fn a_name_that_cannot_be_meant_is_left_alone() {
        for table in [
            // The root is mounted already.
            "UUID=c1a7 / ext4 defaults 0 1\n/dev/sda1 /other ext4 defaults 0 2\n",
            // Swap space is no file system.
            "/dev/sda5 /other ext4 defaults 0 2\n",
            "/dev/sda1 none swap sw 0 0\n",
            "/dev/mapper/vg-root / ext4 defaults 0 1\n",
        ] {
            let fixture = Fixture::new(&[(FSTAB, table)]);
            assert_eq!(fixture.found(&rule()), Vec::<String>::new(), "{table}");
            assert!(fixture.fixed(&rule()).0.is_empty());
        }
    }
}
