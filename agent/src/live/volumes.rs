//! The volumes that the running system has from iSCSI, by the names that `fstab` and units give.
//!
//! `UUID=…` says nothing of where a volume is. What the names lead to is asked of udev, below
//! `/dev/disk`; where it does not know the name, what is mounted at the entry's place counts.

use std::path::Path;

use super::kernel::Kernel;
use super::record::{Record, Source};
use super::survey::Survey;
use crate::error::Error;

/// How a volume is named by what is on it, and where udev keeps these names.
const TAGS: [(&str, &str); 5] = [
    ("UUID=", "/dev/disk/by-uuid"),
    ("LABEL=", "/dev/disk/by-label"),
    ("PARTUUID=", "/dev/disk/by-partuuid"),
    ("PARTLABEL=", "/dev/disk/by-partlabel"),
    ("ID=", "/dev/disk/by-id"),
];

/// The volumes of data: those that a run detaches, and those that were detached before.
#[derive(Debug)]
pub struct Volumes<'a> {
    kernel: Kernel<'a>,
    attached: Option<(Survey, Vec<String>)>,
    detached: Record,
}

impl<'a> Volumes<'a> {
    /// None, as of a guest that is not running.
    pub fn none(kernel: Kernel<'a>) -> Self {
        Self {
            kernel,
            attached: None,
            detached: Record::default(),
        }
    }

    /// Looks at the running system. What `stopped` says is gone as well.
    ///
    /// # Errors
    ///
    /// The kernel's files could not be read.
    pub fn read(kernel: Kernel<'a>, stopped: &Record) -> Result<Self, Error> {
        let attached = Survey::read(kernel)?.map(|survey| {
            let stack = survey.data_stack();
            (survey, stack)
        });
        Ok(Self {
            kernel,
            attached,
            detached: Record::remembered(kernel.0)?.and(stopped.clone()),
        })
    }

    /// What the sessions are and what is on them; `None` where there is none.
    pub fn survey(&self) -> Option<&Survey> {
        self.attached.as_ref().map(|(survey, _)| survey)
    }

    /// Whether what an entry or a unit names is on such a volume: a device, or a file or directory
    /// to swap to or to mount from; `target` is where it is mounted.
    pub fn hold(&self, source: &str, target: Option<&str>) -> bool {
        let is_device = source.starts_with("/dev/") || tagged(source).is_some();
        if !is_device && !source.starts_with('/') {
            return false;
        }
        if let Some((survey, stack)) = &self.attached {
            if let Some(device) = self.device(survey, source) {
                return stack.contains(&device);
            }
            if !is_device && survey.is_file_on(source, stack) {
                return true;
            }
            let own = survey.namespaces.first();
            let mut mounts = own.into_iter().flat_map(|own| survey.mounts_on(own, stack));
            if is_device && mounts.any(|mount| is_target(target, &mount.target)) {
                return true;
            }
        }
        self.was_detached(source, target)
    }

    fn was_detached(&self, source: &str, target: Option<&str>) -> bool {
        let mut mounts = self.detached.mounts.iter();
        let mut swaps = self.detached.swaps.iter();
        mounts.any(|mount| is_target(target, &mount.target))
            || swaps.any(|swap| match &swap.source {
                Source::Lun { .. } => false,
                mapped_or_path => mapped_or_path.to_string() == source,
            })
    }

    /// The device that a name leads to, as `/sys/block` has it.
    fn device(&self, survey: &Survey, source: &str) -> Option<String> {
        let path = tagged(source).unwrap_or_else(|| source.to_owned());
        let place = self.kernel.place(&path.as_str().into()).ok()?.to_string();
        let devices = &survey.devices;
        let device = devices.by_path(&place).or_else(|| devices.by_path(&path));
        device.map(str::to_owned)
    }
}

fn is_target(wanted: Option<&str>, target: &str) -> bool {
    // A slash at the end makes no difference to a path.
    wanted.is_some_and(|wanted| Path::new(wanted) == Path::new(target))
}

/// Where udev would keep a name by content.
fn tagged(source: &str) -> Option<String> {
    TAGS.iter().find_map(|(tag, directory)| {
        let value = source.strip_prefix(tag)?.trim_matches('"');
        Some(format!("{directory}/{}", udev_name(value)))
    })
}

/// As udev writes a name (`udev_util_encode_string`): what is not plain becomes `\xHH`.
fn udev_name(value: &str) -> String {
    let mut name = String::new();
    for letter in value.chars() {
        if letter.is_ascii_alphanumeric() || "#+-.:=@_".contains(letter) || !letter.is_ascii() {
            name.push(letter);
        } else {
            name.push_str(&format_args!("\\x{:02x}", u32::from(letter)).to_string());
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::super::record::MountRecord;
    use super::super::testing::Machine;
    use super::*;

    fn machine() -> Machine {
        Machine::new()
            .session(1, "iqn.x:data", "sdb")
            .device("sdb", "8:16", &[])
            .partition("sdb", 1, "8:17", &[])
            .partition("sdb", 2, "8:18", &[])
            .mount("212 26 8:17 / /srv/data rw - ext4 /dev/sdb1 rw")
            .file("/dev/disk/by-uuid/da7a", "-> ../../sdb1")
            .file("/dev/disk/by-uuid/5a1e", "-> ../../sdb2")
            .file("/dev/disk/by-label/a\\x20b", "-> ../../sdb2")
            .file("/dev/disk/by-uuid/10ca", "-> ../../sda1")
            .file("/dev/sda1", "")
            .file("/dev/sdb1", "")
            .file("/dev/sdb2", "")
    }

    fn hold(machine: Machine, stopped: &Record, source: &str, target: Option<&str>) -> bool {
        machine.with(|root| {
            let volumes = Volumes::read(Kernel(root), stopped).unwrap();
            volumes.hold(source, target)
        })
    }

    #[test]
    fn a_volume_is_known_by_any_of_its_names() {
        for (source, target, expected) in [
            ("UUID=da7a", Some("/srv/data"), true),
            ("UUID=da7a", Some("/somewhere"), true),
            ("UUID=\"5a1e\"", None, true),
            ("LABEL=a b", None, true),
            ("/dev/sdb2", None, true),
            ("UUID=10ca", Some("/srv/data"), false),
            ("/dev/sda1", Some("/srv/data"), false),
            ("UUID=f00d", Some("/srv/data/"), true),
            ("UUID=f00d", Some("/srv"), false),
            ("UUID=f00d", None, false),
            ("/srv/data/swap", None, true),
            ("/srv/swap", None, false),
            ("nas:/x", Some("/srv/data"), false),
            ("tmpfs", Some("/srv/data"), false),
        ] {
            let found = hold(machine(), &Record::default(), source, target);
            assert_eq!(found, expected, "{source} {target:?}");
        }
    }

    #[test]
    fn what_is_detached_already_is_still_known() {
        let stopped = Record {
            mounts: vec![MountRecord {
                source: Source::Mapped {
                    name: "store-data".into(),
                },
                root: "/".into(),
                target: "/srv/data".into(),
                fs_type: "ext4".into(),
                options: "rw".into(),
                own_options: String::new(),
                automount: None,
            }],
            ..Record::default()
        };
        for (record, expected) in [(stopped, true), (Record::default(), false)] {
            let found = hold(Machine::new(), &record, "UUID=da7a", Some("/srv/data"));
            assert_eq!(found, expected);
        }
    }
}
