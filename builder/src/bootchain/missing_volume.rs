//! `disk/missing-volume`: file systems that the guest does not run without, and that are on another
//! disk.

use std::sync::Arc;

use byoi_agent::error::Error;
use byoi_agent::finding::{Defect, Severity};
use byoi_agent::guest::Guest;
use byoi_agent::rules::{DOC_IMPORT_LINUX, Rule, RuleMeta};

use super::table::{self, FSTAB};
use crate::volumes::{Resolution, Volumes};

/// The rule.
#[derive(Debug)]
pub struct MissingVolume {
    volumes: Arc<Volumes>,
}

impl MissingVolume {
    /// The rule for a disk with these volumes.
    pub fn new(volumes: Arc<Volumes>) -> Self {
        Self { volumes }
    }
}

impl Rule for MissingVolume {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "disk/missing-volume",
            severity: Severity::Blocker,
            title: "File systems that the guest needs and that are on another disk",
            why: "OCI imports the boot disk alone, and without /usr, /var or /boot the guest does \
                  not come up.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let missing = table::waited_for(guest, &self.volumes)?
            .into_iter()
            .filter(|row| row.resolution == Resolution::Elsewhere && row.entry.is_essential());
        Ok(missing
            .map(|row| {
                let message = format!(
                    "{} is on a volume that is not on this disk, or not as a whole, and the guest \
                     does not run without it",
                    row.entry.target
                );
                Defect::in_file(&FSTAB.into(), message)
                    .at_line(row.entry.line)
                    .evidence(row.entry.text.trim())
                    .hint(
                        "move the file system to this disk (pvmove and vgreduce for a logical \
                         volume), or name the one that is on it",
                    )
            })
            .collect())
    }

    fn fix(&self, _: &mut Guest<'_>) -> Result<(), Error> {
        // Nobody but the owner of the other disk can bring it here.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;
    use crate::layout::LogicalName;
    use crate::volumes::Volume;
    use crate::volumes::testing::volume;

    #[test]
    fn what_the_guest_needs_has_to_be_here() {
        let partial = Volume {
            logical: Some(LogicalName {
                group: "vg".into(),
                volume: "usr".into(),
            }),
            partial: true,
            ..volume(2, "xfs", "0540")
        };
        let rule = MissingVolume::new(Arc::new(Volumes::new(vec![
            volume(1, "ext4", "c1a7"),
            partial,
        ])));
        let fixture = Fixture::new(&[(
            FSTAB,
            "UUID=c1a7 / ext4 defaults 0 1\n\
             UUID=0540 /usr xfs defaults 0 2\n\
             UUID=dead /var ext4 defaults 0 2\n\
             UUID=beef /srv ext4 defaults 0 2\n\
             /dev/sdb1 /boot ext4 defaults 0 2\n\
             /srv/etc /etc none bind 0 0\n\
             /dev/disk/by-path/ip-192.0.2.5:3260-iscsi-iqn.x:y-lun-1 /var ext4 _netdev 0 2\n\
             UUID=feed /var/lib ext4 nofail 0 2\n\
             /dev/mapper/mpatha /etc ext4 defaults 0 2\n",
        )]);
        assert_eq!(
            fixture.found(&rule),
            [
                "/etc/fstab:2 UUID=0540 /usr xfs defaults 0 2",
                "/etc/fstab:3 UUID=dead /var ext4 defaults 0 2",
                "/etc/fstab:5 /dev/sdb1 /boot ext4 defaults 0 2",
                "/etc/fstab:6 /srv/etc /etc none bind 0 0",
            ]
        );
        assert!(fixture.fixed(&rule).0.is_empty());
    }
}
