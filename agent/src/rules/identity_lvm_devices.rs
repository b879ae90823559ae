//! `identity/lvm-devices`: LVM that looks for its physical volumes on the old disk only.
//!
//! lvmdevices(8): where `/etc/lvm/devices/system.devices` is, LVM sees the devices listed in it and
//! no other; where it is not, LVM sees all. Serial numbers and WWIDs in it are those of the old
//! disk. A filter in lvm.conf(5) can do the same harm, and a volume group that belongs to a system
//! id cannot be activated once that id changes. Both say what the administrator wanted, so they
//! stay.

use regex::Regex;

use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::edit;
use crate::parse::lvm_conf::{self, Setting};
use crate::root::{FileKind, GuestPath};

/// The rule.
#[derive(Debug)]
pub struct IdentityLvmDevices;

const DEVICES: &str = "/etc/lvm/devices/system.devices";
/// Where LVM keeps earlier versions: `system.devices-20240101.120000.0001`.
const BACKUPS: &str = "/etc/lvm/devices/backup";
const CONFIGS: [&str; 2] = ["/etc/lvm/lvm.conf", "/etc/lvm/lvmlocal.conf"];
/// LVM's copies of the metadata of volume groups.
const METADATA: &str = "/etc/lvm/backup";
/// Names that stay with the content of a disk.
const LASTING: [&str; 4] = ["lvm-pv-uuid", "by-partuuid", "by-partlabel", "by-uuid"];

impl Rule for IdentityLvmDevices {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "identity/lvm-devices",
            severity: Severity::Warning,
            title: "LVM that looks on the old disk only",
            why: "On OCI the disk has another name and serial number, and volume groups that LVM \
                  does not look for are missing.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut defects = Vec::new();
        for path in device_files(guest)? {
            let text = guest.text(&path)?;
            let text = text.as_ref().map_or("", |text| text.as_str());
            let entry =
                edit::lines(text).find(|line| line.text.trim_start().starts_with("IDTYPE="));
            let mut defect = Defect::in_file(&path, "LVM sees none but these devices")
                .hint("remove the file; LVM then looks at all devices");
            if let Some(entry) = entry {
                defect = defect.at_line(entry.number).evidence(entry.text.trim());
            }
            defects.push(defect);
        }
        for path in CONFIGS {
            let path = path.into();
            let Some(text) = guest.text(&path)? else {
                continue;
            };
            for setting in lvm_conf::settings(text.as_str()) {
                if let Some(defect) = judge(guest, &path, &setting)? {
                    defects.push(defect);
                }
            }
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        for path in device_files(guest)? {
            guest.remove(&path)?;
        }
        Ok(())
    }
}

fn device_files(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut candidates = vec![DEVICES.into()];
    let mut backups = guest.list(&BACKUPS.into())?;
    backups.retain(|path| path.name().to_string_lossy().starts_with("system.devices"));
    candidates.extend(backups);
    let mut files = Vec::new();
    for path in candidates {
        if guest.kind(&path)? == Some(FileKind::Regular) {
            files.push(path);
        }
    }
    Ok(files)
}

fn judge(guest: &Guest<'_>, path: &GuestPath, setting: &Setting) -> Result<Option<Defect>, Error> {
    let (message, hint) = match setting.key.as_str() {
        "filter" | "global_filter" if rejects_oci(&setting.values) => (
            "the filter keeps LVM from OCI's disk, /dev/sda",
            "accept a|^/dev/sd| too, or leave the filter out",
        ),
        "system_id_source" if is_passing(&setting.values) && has_owned_group(guest)? => (
            "volume groups belong to an id of this machine, which changes",
            "give them up before: vgchange --systemid \"\" VG",
        ),
        _ => return Ok(None),
    };
    let evidence = format!("{} = {}", setting.key, setting.values.join(" "));
    Ok(Some(
        Defect::in_file(path, message)
            .at_line(setting.line)
            .evidence(evidence)
            .hint(hint),
    ))
}

/// Whether a filter accepts no partition of the disk that OCI gives.
fn rejects_oci(patterns: &[String]) -> bool {
    let by_content = |pattern: &String| LASTING.iter().any(|name| pattern.contains(name));
    if patterns.iter().any(by_content) {
        return false;
    }
    let rules: Vec<(bool, Regex)> = patterns
        .iter()
        .filter_map(|text| filter_rule(text))
        .collect();
    let accepts = |name: &str| {
        rules
            .iter()
            .find(|(_, pattern)| pattern.is_match(name))
            .is_none_or(|(accepts, _)| *accepts)
    };
    !accepts("/dev/sda") && !(1..=9).any(|number| accepts(&format!("/dev/sda{number}")))
}

/// A pattern such as `a|^/dev/sda|` or `r(.*)`: whether it accepts, and what.
fn filter_rule(text: &str) -> Option<(bool, Regex)> {
    let mut rest = text.trim().chars();
    let accepts = match rest.next()? {
        'a' => true,
        'r' => false,
        _ => return None,
    };
    let end = match rest.next()? {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        delimiter => delimiter,
    };
    let pattern = rest.as_str().strip_suffix(end)?;
    Some((accepts, Regex::new(pattern).ok()?))
}

/// Whether a system id comes from what changes on OCI: the machine id or the host name.
fn is_passing(values: &[String]) -> bool {
    values
        .first()
        .is_some_and(|value| matches!(value.as_str(), "machineid" | "appmachineid" | "uname"))
}

fn has_owned_group(guest: &Guest<'_>) -> Result<bool, Error> {
    for path in guest.list(&METADATA.into())? {
        let text = guest.text(&path)?;
        let owned = text.is_some_and(|text| {
            lvm_conf::settings(text.as_str()).iter().any(|setting| {
                setting.key == "system_id" && setting.values.iter().any(|id| !id.is_empty())
            })
        });
        if owned {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn the_list_of_devices_goes() {
        let list = "# LVM uses devices listed in this file.\nVERSION=1.1.2\n\
                    IDTYPE=sys_wwid IDNAME=naa.6000c29 DEVNAME=/dev/sda3 PVID=xf4 PART=3\n";
        let fixture = Fixture::new(&[
            (DEVICES, list),
            (
                "/etc/lvm/devices/backup/system.devices-20240101.120000.0001",
                list,
            ),
            ("/etc/lvm/devices/san.devices", list),
        ]);
        assert_eq!(
            fixture.open(&IdentityLvmDevices),
            [
                "/etc/lvm/devices/system.devices:3",
                "/etc/lvm/devices/backup/system.devices-20240101.120000.0001:3"
            ]
        );
        fixture.fix(&[&IdentityLvmDevices]);
        assert!(!fixture.has(DEVICES));
        assert!(fixture.has("/etc/lvm/devices/san.devices"));
    }

    #[test]
    fn filters_are_tried_on_ocis_disk() {
        for (patterns, rejects) in [
            (vec![], false),
            (vec!["a|.*|"], false),
            (vec!["r|/dev/cdrom|"], false),
            (vec!["a|/dev/vda.*|", "r|.*|"], true),
            (vec!["a|^/dev/sda[0-9]+$|", "r|.*|"], false),
            (vec!["a|/dev/sda3|", "r|.*|"], false),
            (vec!["a|/dev/sdb1|", "r/.*/"], true),
            (vec!["a|/dev/disk/by-id/scsi-36000c29|", "r|.*|"], true),
            (vec!["a|/dev/disk/by-id/lvm-pv-uuid-xf4|", "r|.*|"], false),
            (vec!["a(/dev/mapper/mpath)", "r(.*)"], true),
            (vec!["r|/dev/sd.*|", "a|.*|"], true),
            (vec!["nonsense", "a|(|"], false),
        ] {
            let owned: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
            assert_eq!(rejects_oci(&owned), rejects, "{patterns:?}");
        }
    }

    #[test]
    fn what_the_administrator_wanted_is_told_and_stays() {
        let conf = "devices {\n\t# filter = [ \"r|.*|\" ]\n\tglobal_filter = [ \"a|vda|\", \"r|.*|\" ]\n}\n\
                    global {\n\tsystem_id_source = \"machineid\"\n}\n";
        let backup = (
            "/etc/lvm/backup/vg0",
            "vg0 {\n\tid = \"x\"\n\tsystem_id = \"4f1d\"\n}\n",
        );
        let fixture = Fixture::new(&[(CONFIGS[0], conf), backup]);
        let expected = ["/etc/lvm/lvm.conf:3", "/etc/lvm/lvm.conf:6"];
        assert_eq!(fixture.open(&IdentityLvmDevices), expected);
        fixture.fix_once(&[&IdentityLvmDevices]);
        assert_eq!(fixture.text(CONFIGS[0]).unwrap(), conf);
        let fixture = Fixture::new(&[(CONFIGS[0], conf)]);
        assert_eq!(fixture.open(&IdentityLvmDevices), expected[..1]);
    }
}
