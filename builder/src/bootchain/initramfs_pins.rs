//! `boot/initramfs-pins`: copies of the old machine's network inside the initramfs.
//!
//! initramfs-tools copies `.link` files and local udev rules into every image it builds, so what
//! was removed from `/etc` lives on there and acts before root is mounted. The same scanners read
//! both.

use std::rc::Rc;

use byoi_agent::error::Error;
use byoi_agent::finding::{Defect, Severity};
use byoi_agent::guest::Guest;
use byoi_agent::initramfs::Initramfs;
use byoi_agent::root::GuestPath;
use byoi_agent::rules::net_udev::{link_pins, udev_pins};
use byoi_agent::rules::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use byoi_agent::text::Text;

use super::initramfs_images::{InitramfsImages, can_rebuild, rebuild};

/// The rule.
#[derive(Debug)]
pub struct InitramfsPins {
    images: Rc<InitramfsImages>,
}

impl InitramfsPins {
    /// The rule, on images that are shared with other rules.
    pub fn new(images: Rc<InitramfsImages>) -> Self {
        Self { images }
    }
}

impl Rule for InitramfsPins {
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
        let mut defects = Vec::new();
        for kernel in InitramfsImages::kernels(guest) {
            let Some(image) = self.images.get(guest, &kernel.initramfs)? else {
                continue;
            };
            // One that cannot be read is the matter of boot/initramfs-virtio.
            let Ok(image) = &*image else {
                continue;
            };
            defects.extend(pins(image, guest)?.into_iter().map(|(inner, evidence)| {
                Defect::in_file(
                    &kernel.initramfs,
                    format!("the copy of /{inner} inside pins the network to the old machine"),
                )
                .evidence(evidence)
                .hint("remove the pin from the guest, then build the initramfs anew")
            }));
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        if !can_rebuild(guest)? {
            return Ok(());
        }
        for kernel in InitramfsImages::kernels(guest) {
            let pinned = match self.images.get(guest, &kernel.initramfs)?.as_deref() {
                Some(Ok(image)) => !pins(image, guest)?.is_empty(),
                _ => false,
            };
            if pinned {
                rebuild(guest, &kernel)?;
            }
        }
        Ok(())
    }
}

/// The pins in an image: the file inside, and what it says.
fn pins(image: &Initramfs, guest: &Guest<'_>) -> Result<Vec<(String, String)>, Error> {
    let mut found = Vec::new();
    for (path, entry) in image.iter() {
        let Some(content) = entry.content() else {
            continue;
        };
        if is_vendor_copy(guest, path, content)? {
            continue;
        }
        let text = Text::from_bytes(content);
        let evidence: Vec<String> = if has_extension(path, "rules") {
            udev_pins(text.as_str())
                .into_iter()
                .map(|pin| pin.evidence)
                .collect()
        } else if has_extension(path, "link") {
            link_pins(text.as_str())
                .into_iter()
                .map(|pin| pin.evidence)
                .collect()
        } else if path.starts_with("conf/") {
            configured_address(text.as_str()).into_iter().collect()
        } else {
            Vec::new()
        };
        found.extend(
            evidence
                .into_iter()
                .map(|evidence| (path.to_owned(), evidence)),
        );
    }
    Ok(found)
}

/// Whether a file inside is what a package of the guest ships under the same path. What came from
/// `/etc` is put under `/usr/lib` too, but the guest has no such file there.
fn is_vendor_copy(guest: &Guest<'_>, path: &str, content: &[u8]) -> Result<bool, Error> {
    let path = GuestPath::new(path);
    if !path.is_below(&"/usr/lib".into()) && !path.is_below(&"/lib".into()) {
        return Ok(false);
    }
    Ok(guest.read(&path)?.as_deref() == Some(content))
}

fn has_extension(path: &str, extension: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, found)| found == extension)
}

/// The static address in initramfs.conf(5): `IP=` in the syntax of the kernel's `ip=`.
fn configured_address(conf: &str) -> Option<String> {
    conf.lines()
        .map(str::trim)
        .filter(|line| {
            line.strip_prefix("IP=")
                .is_some_and(|value| value.starts_with(|first: char| first.is_ascii_digit()))
        })
        .map(str::to_owned)
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_static_address_is_one() {
        for (conf, expected) in [
            ("IP=192.0.2.7::192.0.2.1:255.255.255.0::eth0:off\n", true),
            ("IP=dhcp\n", false),
            ("# IP=192.0.2.7\nIP=\n", false),
        ] {
            assert_eq!(configured_address(conf).is_some(), expected, "{conf}");
        }
    }
}
