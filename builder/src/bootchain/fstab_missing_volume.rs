//! `boot/fstab-missing-volume`: entries of `fstab` for volumes that are not on this disk.

use std::sync::Arc;

use byoi_agent::error::Error;
use byoi_agent::finding::{Defect, Severity};
use byoi_agent::guest::Guest;
use byoi_agent::rules::{DOC_FSTAB, Rule, RuleMeta};

use super::table::{self, FSTAB};
use crate::volumes::{Resolution, Volumes};

/// The rule. What iSCSI attached is left to `iscsi/mount`, what the guest does not run without to
/// `disk/missing-volume`.
#[derive(Debug)]
pub struct FstabMissingVolume {
    volumes: Arc<Volumes>,
}

impl FstabMissingVolume {
    /// The rule for a disk with these volumes.
    pub fn new(volumes: Arc<Volumes>) -> Self {
        Self { volumes }
    }
}

impl Rule for FstabMissingVolume {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "boot/fstab-missing-volume",
            severity: Severity::Blocker,
            title: "Volumes in fstab that are not on this disk and have no nofail",
            why: "An instance has the boot volume alone, and the boot stops in emergency mode when \
                  another one is not found.",
            doc: DOC_FSTAB,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut defects = Vec::new();
        for row in table::waited_for(guest, &self.volumes)? {
            let entry = &row.entry;
            let defect = |message: &str, hint: &str| {
                Defect::in_file(&FSTAB.into(), format!("{} {message}", entry.target))
                    .at_line(entry.line)
                    .evidence(entry.text.trim())
                    .hint(hint)
            };
            defects.push(match row.resolution {
                // What the guest does not run without is left to `disk/missing-volume`.
                Resolution::Elsewhere if entry.is_essential() => continue,
                Resolution::Elsewhere => defect(
                    "is on a volume that is not on this disk",
                    "add the option nofail, or remove the entry",
                ),
                Resolution::Unknown => defect(
                    "is on a volume that was not looked for",
                    "see that the volume is on this disk, or add the option nofail",
                )
                .severity(Severity::Note),
                Resolution::Here(_) | Resolution::NotABlockDevice => continue,
            });
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        let lines: Vec<usize> = table::waited_for(guest, &self.volumes)?
            .iter()
            .filter(|row| row.resolution == Resolution::Elsewhere && !row.entry.is_essential())
            .map(|row| row.entry.line)
            .collect();
        table::edit_rows(guest, &self.volumes, |row| {
            lines
                .contains(&row.entry.line)
                .then(|| row.entry.add_option("nofail"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;
    use crate::volumes::testing::volume;

    fn rule() -> FstabMissingVolume {
        FstabMissingVolume::new(Arc::new(Volumes::new(vec![volume(1, "ext4", "c1a7")])))
    }

    #[test]
    fn volumes_elsewhere_may_fail() {
        let fixture = Fixture::new(&[(
            FSTAB,
            "UUID=c1a7 / ext4 errors=remount-ro 0 1\n\
             # second virtual disk\n\
             UUID=7b0c /srv/archive  ext4  defaults  0 2 # old\n\
             /dev/sdb5 none swap sw 0 0\n\
             LABEL=data /data ext4\n\
             UUID=dead /var ext4 defaults 0 2\n\
             UUID=beef /mnt ext4 defaults,nofail 0 2\n\
             /dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0\n\
             /dev/mapper/vg-home /home ext4 defaults 0 2\n\
             /dev/disk/by-path/ip-192.0.2.5:3260-iscsi-iqn.x:y-lun-1 /srv/data ext4 _netdev 0 2\n\
             tmpfs /tmp tmpfs defaults 0 0\n\
             nas:/x /srv/nas nfs defaults 0 0\n\
             /mnt/www /var/www none bind 0 0\n",
        )]);
        let found = fixture.found(&rule());
        let lines: Vec<&str> = found
            .iter()
            .filter_map(|found| found.split(' ').next())
            .collect();
        assert_eq!(
            lines,
            [3, 4, 5, 9, 13].map(|line| format!("/etc/fstab:{line}"))
        );
        let (drafts, left) = fixture.fixed(&rule());
        assert_eq!(
            left,
            ["/etc/fstab:9 /dev/mapper/vg-home /home ext4 defaults 0 2"]
        );
        let after = &drafts[FSTAB];
        for line in [
            "UUID=c1a7 / ext4 errors=remount-ro 0 1",
            "UUID=7b0c /srv/archive  ext4  defaults,nofail  0 2 # old",
            "/dev/sdb5 none swap sw,nofail 0 0",
            "LABEL=data /data ext4 defaults,nofail",
            "/mnt/www /var/www none bind,nofail 0 0",
            "/dev/disk/by-path/ip-192.0.2.5:3260-iscsi-iqn.x:y-lun-1 /srv/data ext4 _netdev 0 2",
        ] {
            assert!(after.lines().any(|after| after == line), "{line}\n{after}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_a_note() {
        let fixture = Fixture::new(&[(FSTAB, "/dev/mapper/vg-root / ext4 defaults 0 1\n")]);
        let defects = rule().check(&fixture.guest()).unwrap();
        assert_eq!(defects[0].severity, Some(Severity::Note));
    }
}
