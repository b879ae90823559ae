//! `boot/initramfs-pins`: copies of the old machine's configuration inside an initramfs.
//!
//! The tools that build images copy configuration into them, so what was removed from `/etc` lives
//! on there and acts before root is mounted. The same scanners read both. A copy of what the guest
//! still has is that file's matter: building the image anew would bring it back. Where the system is
//! on an iSCSI target elsewhere, the image that it boots with stays: see `iscsi/root`.

mod judge;

use std::rc::Rc;

use super::iscsi_root::{STAYS, System};
use super::{DOC_IMPORT_LINUX, KnownDisk, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::initramfs::Initramfs;
use crate::initramfs::images::Images;
use crate::initramfs::kernels::{self, Role};
use crate::initramfs::pins::without_usr;
use crate::initramfs::rebuild;
use crate::initramfs::root_drivers::root_drivers;
use crate::root::GuestPath;
use crate::text::Text;

use judge::Pin;

/// The rule.
#[derive(Debug)]
pub struct BootInitramfsPins {
    images: Rc<Images>,
    disk: Rc<KnownDisk>,
}

impl BootInitramfsPins {
    /// The rule, on images that are shared with other rules, with what is known of the guest's disk.
    pub fn new(images: Rc<Images>, disk: Rc<KnownDisk>) -> Self {
        Self { images, disk }
    }
}

impl Rule for BootInitramfsPins {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "boot/initramfs-pins",
            severity: Severity::Blocker,
            title: "NIC names, MACs or addresses of the old machine inside an initramfs",
            why: "OCI gives the instance a new NIC, and the copies in the initramfs act on it \
                  before the cleaned files are seen.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let root = root_drivers(guest, &self.disk.root_drivers)?;
        let is_elsewhere = System::look(guest, &self.disk)?.is_elsewhere();
        let mut defects = Vec::new();
        for kernel in kernels::bootable(guest)? {
            let image = self.images.get(guest.root(), &kernel.initramfs)?;
            // One that cannot be read is the matter of boot/initramfs-virtio.
            let Some(Ok(image)) = image.as_deref() else {
                continue;
            };
            let found = pins(image, guest, &root)?;
            if found.is_empty() {
                continue;
            }
            let hint = if is_elsewhere {
                STAYS.to_owned()
            } else {
                format!(
                    "see that the guest's own files are clean, then {}",
                    rebuild::hint(guest, &kernel, &root)?
                )
            };
            defects.extend(found.into_iter().map(|Found { inner, pin, .. }| {
                let severity = match kernel.role {
                    Role::Installed => pin.severity,
                    Role::Rescue | Role::Leftover => pin.severity.min(Severity::Warning),
                };
                Defect::in_file(
                    &kernel.initramfs,
                    format!("the copy of /{inner} inside {}", pin.message),
                )
                .evidence(pin.evidence)
                .hint(hint.as_str())
                .severity(severity)
            }));
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        if System::look(guest, &self.disk)?.is_elsewhere() {
            return Ok(());
        }
        let root = root_drivers(guest, &self.disk.root_drivers)?;
        for kernel in kernels::bootable(guest)? {
            let image = self.images.get(guest.root(), &kernel.initramfs)?;
            let Some(Ok(image)) = image.as_deref() else {
                continue;
            };
            let stale = pins(image, guest, &root)?
                .iter()
                .any(|found| found.stale && found.pin.severity > Severity::Note);
            if stale {
                rebuild::draft(guest, &kernel, Some(image), &root)?;
            }
        }
        Ok(())
    }
}

/// Files and directories inside, and where the guest has them.
const MOVED: [(&str, &str); 4] = [
    ("etc/iscsi.initramfs", "/etc/iscsi/iscsi.initramfs"),
    ("etc/initiatorname.iscsi", "/etc/iscsi/initiatorname.iscsi"),
    ("conf/initramfs.conf", "/etc/initramfs-tools/initramfs.conf"),
    ("conf/conf.d/", "/etc/initramfs-tools/conf.d/"),
];

/// A pin and the file inside that holds it.
struct Found {
    inner: String,
    pin: Pin,
    /// Whether the guest no longer has that file as it is inside.
    stale: bool,
}

fn pins(image: &Initramfs, guest: &Guest<'_>, root: &[&str]) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    for (path, entry) in image.iter() {
        let Some(content) = entry.content() else {
            continue;
        };
        let pins = judge::pins(path, Text::from_bytes(content).as_str(), root);
        if pins.is_empty() {
            continue;
        }
        // What came from `/etc` is put below `lib` too, but there the guest has no such file.
        if is_vendors(path, content, guest)? {
            continue;
        }
        let own = source(path);
        let same = guest.read(&own)?.as_deref() == Some(content);
        // An image for every machine does not take this file along.
        let stale = !same || own.is_below(&"/etc/lvm/devices".into());
        found.extend(pins.into_iter().map(|pin| Found {
            inner: path.to_owned(),
            pin,
            stale,
        }));
    }
    Ok(found)
}

/// The guest's file that a file inside is made from: mkinitramfs and the hook of open-iscsi put some
/// at another place.
fn source(path: &str) -> GuestPath {
    for (inside, own) in MOVED {
        if let Some(rest) = path.strip_prefix(inside) {
            return GuestPath::new(format!("{own}{rest}"));
        }
    }
    GuestPath::new(path)
}

/// Whether a file inside is a copy of one that belongs to the distribution. An image has it below
/// `usr/lib` also where the guest keeps `/lib` apart.
fn is_vendors(path: &str, content: &[u8], guest: &Guest<'_>) -> Result<bool, Error> {
    let path = without_usr(path);
    if !path.starts_with("lib/") {
        return Ok(false);
    }
    for prefix in ["/usr/", "/"] {
        let own = GuestPath::new(format!("{prefix}{path}"));
        if guest.read(&own)?.as_deref() == Some(content) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
