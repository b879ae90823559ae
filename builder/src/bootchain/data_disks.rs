//! The volumes that `fstab` names and that are not on this disk: data that stays behind, and comes
//! back once its disk is attached on OCI.

use byoi_agent::error::Error;
use byoi_agent::guest::Guest;
use byoi_agent::parse::fstab::Entry;
use schemars::JsonSchema;
use serde::Serialize;

use super::table;
use crate::volumes::{DeviceName, Resolution, Volumes};

/// What stands for an identifier that only the other disk tells.
const ITS_UUID: &str = "UUID=<of the file system>";

/// A volume of another disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DataDisk {
    /// What the guest called it.
    pub source: String,
    /// Where it was mounted; `none` for swap.
    pub target: String,
    /// The line of `/etc/fstab` that brings it back.
    pub line: String,
}

/// The volumes of other disks, in the order of the guest's `fstab`.
pub(super) fn data_disks(guest: &Guest<'_>, volumes: &Volumes) -> Result<Vec<DataDisk>, Error> {
    let rows = table::rows(guest, volumes)?;
    let elsewhere = rows.into_iter().filter(|row| {
        row.resolution == Resolution::Elsewhere
            && !row.entry.has_option("noauto")
            && !row.entry.is_essential()
    });
    Ok(elsewhere
        .map(|row| DataDisk {
            line: line(&row.entry),
            source: row.entry.source,
            target: row.entry.target,
        })
        .collect())
}

/// The entry as OCI asks for it: by an identifier, and without holding the boot up.
fn line(entry: &Entry) -> String {
    let source = if DeviceName::parse(&entry.source).is_some() {
        ITS_UUID
    } else {
        &entry.source
    };
    let mut options: Vec<&str> = entry.options.iter().map(String::as_str).collect();
    for option in ["_netdev", "nofail"] {
        if !options.contains(&option) {
            options.push(option);
        }
    }
    let fs_type = match entry.fs_type.as_str() {
        "" => "auto",
        fs_type => fs_type,
    };
    let pass = if entry.is_swap() { 0 } else { 2 };
    format!(
        "{source} {} {fs_type} {} 0 {pass}",
        entry.target,
        options.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::super::table::FSTAB;
    use super::super::testing::Fixture;
    use super::*;
    use crate::volumes::testing::volume;

    #[test]
    fn only_what_is_elsewhere_is_listed() {
        let fixture = Fixture::new(&[(
            FSTAB,
            "UUID=c1a7 / ext4 defaults 0 1\n\
             UUID=7b0c /srv/archive xfs noatime 0 2\n\
             /dev/sdb1 /data ext4 defaults,nofail 0 2\n\
             UUID=beef none swap sw 0 0\n\
             UUID=dead /var ext4 defaults 0 2\n\
             /dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0\n\
             nas:/x /srv/nas nfs defaults 0 0\n",
        )]);
        let volumes = Volumes::new(vec![volume(1, "ext4", "c1a7")]);
        let found = data_disks(&fixture.guest(), &volumes).unwrap();
        let lines: Vec<&str> = found.iter().map(|disk| disk.line.as_str()).collect();
        assert_eq!(
            lines,
            [
                "UUID=7b0c /srv/archive xfs noatime,_netdev,nofail 0 2",
                "UUID=<of the file system> /data ext4 defaults,nofail,_netdev 0 2",
                "UUID=beef none swap sw,_netdev,nofail 0 0",
            ]
        );
    }
}
