//! The system on targets elsewhere: what tells so, and which targets these are.

use super::INITRAMFS;
use super::target::Target;
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::kernel_cmdline::{self, CommandLine};
use crate::live::survey::{Role, Survey};
use crate::live::volumes::Volumes;
use crate::parse::iscsi_record;
use crate::rules::KnownDisk;
use crate::rules::iscsi_mount::{essential, is_iscsi_path};

/// What to do about the system.
const MOVE: &str = "move the file system to a local disk and make the image of that: OCI does not reach the target";
/// What is said of everything that the system needs to boot until then.
pub const STAYS: &str = "it stays while the system boots from a target elsewhere: see iscsi/root";

/// Arguments of the kernel that give the name and the address of a target, in lower case:
/// dracut.cmdline(7), and `README.Debian` of open-iscsi.
const NAMES: [&str; 2] = ["iscsi_target_name", "rd.iscsi.target.name"];
const ADDRESSES: [&str; 2] = ["iscsi_target_ip", "rd.iscsi.target.ip"];

/// What tells that the system is elsewhere.
#[derive(Debug)]
struct Sign {
    defect: Defect,
    /// Where; empty where that is not told.
    target: Target,
}

/// The system, as far as it is on iSCSI targets elsewhere.
#[derive(Debug)]
pub struct System {
    signs: Vec<Sign>,
}

impl System {
    /// Looks for signs in the guest's files and, where it is the running system, asks the kernel.
    ///
    /// # Errors
    ///
    /// The guest or the kernel's files could not be read.
    pub fn look(guest: &Guest<'_>, disk: &KnownDisk) -> Result<Self, Error> {
        let volumes = disk.volumes(guest)?;
        let mut signs = mounts(guest, disk, &volumes)?;
        for copy in kernel_cmdline::copies(guest)? {
            signs.extend(arguments(&copy));
        }
        signs.extend(initramfs(guest)?);
        signs.extend(volumes.survey().into_iter().flat_map(sessions));
        signs.retain(|sign| !sign.target.is_boot_volume());
        Ok(Self { signs })
    }

    /// Whether the system is on such a target. What it boots with has to stay then.
    pub fn is_elsewhere(&self) -> bool {
        !self.signs.is_empty()
    }

    /// Whether a record of the initiator is of such a target, or may be. `names` are those of the
    /// record and of what is in it.
    pub fn needs_record(&self, table: &str, names: &[String]) -> bool {
        // Any interface may be the one that the target is reached through.
        table == "ifaces" && self.is_elsewhere()
            || self
                .signs
                .iter()
                .any(|sign| sign.target.has_record(table, names))
    }

    /// The signs as defects.
    pub(super) fn into_defects(self) -> impl Iterator<Item = Defect> {
        self.signs.into_iter().map(|sign| sign.defect.hint(MOVE))
    }
}

fn mounts(guest: &Guest<'_>, disk: &KnownDisk, volumes: &Volumes<'_>) -> Result<Vec<Sign>, Error> {
    let entries = essential(guest, disk, volumes)?.into_iter();
    Ok(entries
        .map(|entry| Sign {
            target: Target::of_path(&entry.source),
            defect: Defect::in_file(
                &"/etc/fstab".into(),
                format!("{} is on a volume that iSCSI attached", entry.target),
            )
            .at_line(entry.line)
            .evidence(entry.text.trim()),
        })
        .collect())
}

fn arguments(copy: &CommandLine) -> Vec<Sign> {
    let value = |names: [&'static str; 2]| {
        let mut args = copy.kargs.args.iter();
        args.find_map(|arg| value_of_any(&arg.text, names))
            .map(|(_, value)| value.to_owned())
    };
    let mut signs = Vec::new();
    for arg in &copy.kargs.args {
        let (name, message, target) = if let Some((name, value)) =
            value_of_any(&arg.text, ["root", "netroot"])
            && (value.starts_with("iscsi:") || is_iscsi_path(value))
        {
            let target = if is_iscsi_path(value) {
                Target::of_path(value)
            } else {
                Target::of_root(value)
            };
            let message = "the root file system is on an iSCSI target elsewhere";
            (name, message, target)
        } else if let Some((name, _)) =
            value_of_any(&arg.text, NAMES).or_else(|| value_of_any(&arg.text, ADDRESSES))
        {
            let target = Target::new(value(NAMES), value(ADDRESSES));
            let message = "the initial ramdisk logs in to an iSCSI target elsewhere";
            (name, message, target)
        } else {
            continue;
        };
        let defect = Defect::in_file(&copy.path, message)
            .at_line(arg.line)
            // The value may hold a password.
            .evidence(format!("{name}=(redacted)"));
        signs.push(Sign { defect, target });
    }
    signs
}

/// The name and the value of an argument, if it has one of these names, whatever their case.
fn value_of_any<'a>(arg: &'a str, names: [&'static str; 2]) -> Option<(&'static str, &'a str)> {
    let (name, value) = arg.trim_matches('"').split_once('=')?;
    let known = names
        .into_iter()
        .find(|known| name.eq_ignore_ascii_case(known))?;
    Some((known, value.trim_matches('"'))).filter(|(_, value)| !value.is_empty())
}

/// What Debian's initial ramdisk takes in.
fn initramfs(guest: &Guest<'_>) -> Result<Vec<Sign>, Error> {
    let Some(text) = guest.text(&INITRAMFS.into())? else {
        return Ok(Vec::new());
    };
    let settings = || {
        let settings = iscsi_record::settings(text.as_str());
        settings.filter(|setting| !setting.value.trim_matches('"').is_empty())
    };
    let value = |key: &str| {
        let found = settings().find(|setting| setting.key == key);
        found.map(|setting| setting.value.trim_matches('"').to_owned())
    };
    let target = Target::new(value("ISCSI_TARGET_NAME"), value("ISCSI_TARGET_IP"));
    Ok(settings()
        .filter(|setting| matches!(setting.key, "ISCSI_TARGET_IP" | "ISCSI_TARGET_NAME"))
        .map(|setting| Sign {
            target: target.clone(),
            defect: Defect::in_file(
                &INITRAMFS.into(),
                "the initial ramdisk logs in to an iSCSI target elsewhere",
            )
            .at_line(setting.line)
            .evidence(format!("{}={}", setting.key, setting.value)),
        })
        .collect())
}

/// The sessions that the running system is on.
fn sessions(survey: &Survey) -> Vec<Sign> {
    let system = survey
        .sessions
        .iter()
        .filter(|attached| attached.role == Role::System);
    system
        .map(|attached| {
            let session = &attached.session;
            Sign {
                target: Target::new(
                    Some(session.target.clone()),
                    Some(session.portal.address.clone()),
                ),
                defect: Defect::of(
                    session.to_string(),
                    "the running system is on an iSCSI target elsewhere",
                )
                .evidence(survey.uses(attached)),
            }
        })
        .collect()
}
