//! `boot/grow-root`: what makes the root file system as large as the boot volume.
//!
//! A boot volume of OCI has at least 50 GB, and may be made larger at launch. The partition table
//! of the image does not know: cloud-init with `growpart`, the `growroot` hook of an initramfs or
//! systemd-repart(8) enlarges the partition and the file system in it. None of them enlarges a
//! logical volume.

use super::{DOC_BOOT_VOLUMES, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::fstab;
use crate::provision::{self, CloudInit};

/// The rule.
#[derive(Debug)]
pub struct BootGrowRoot;

const FSTAB: &str = "/etc/fstab";
const GROWPART: [&str; 2] = ["/usr/bin/growpart", "/usr/sbin/growpart"];
/// What runs `growpart` from the initramfs.
const HOOKS: [&str; 4] = [
    "/usr/share/initramfs-tools/hooks/growroot",
    "/usr/lib/dracut/modules.d/50growroot",
    "/usr/share/dracut/modules.d/50growroot",
    "/usr/lib/dracut/modules.d/95growroot",
];
const REPART: &str = "/usr/lib/systemd/system/systemd-repart.service";
const REPART_DEFINITIONS: [&str; 2] = ["/etc/repart.d", "/usr/lib/repart.d"];

impl Rule for BootGrowRoot {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "boot/grow-root",
            severity: Severity::Note,
            title: "A root file system that does not grow with the boot volume",
            why: "Boot volumes have at least 50 GB; what the root file system does not take up is \
                  paid for and not used.",
            doc: DOC_BOOT_VOLUMES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        if guest.facts().kernels.is_empty() {
            return Ok(Vec::new());
        }
        let defect = if is_on_lvm(guest)? {
            Defect::of(
                "/",
                "nothing enlarges the logical volume of the root file system",
            )
            .hint("after launch: growpart, pvresize, lvextend -r")
        } else if !grows(guest)? {
            Defect::of("/", "nothing enlarges the root file system at boot")
                .hint("install cloud-init with growpart, or enlarge it after launch")
        } else {
            return Ok(Vec::new());
        };
        Ok(vec![defect])
    }

    /// What shall grow, and into what, only the user knows.
    fn fix(&self, _guest: &mut Guest<'_>) -> Result<(), Error> {
        Ok(())
    }
}

fn grows(guest: &Guest<'_>) -> Result<bool, Error> {
    if guest.any_exists(&HOOKS)? {
        return Ok(true);
    }
    if guest.any_exists(&GROWPART)?
        && CloudInit::of(guest)? != CloudInit::Off
        && provision::has_module(guest, "growpart")?
    {
        return Ok(true);
    }
    if !guest.exists(&REPART.into())? {
        return Ok(false);
    }
    for dir in REPART_DEFINITIONS {
        if guest
            .list(&dir.into())?
            .iter()
            .any(|path| path.has_suffix(".conf"))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the root file system is in a logical volume, as `fstab` names it.
fn is_on_lvm(guest: &Guest<'_>) -> Result<bool, Error> {
    let text = guest.text(&FSTAB.into())?;
    Ok(text.is_some_and(|text| {
        fstab::entries(text.as_str()).iter().any(|entry| {
            let by_group = entry
                .source
                .strip_prefix("/dev/")
                .and_then(|name| name.split_once('/'))
                .is_some_and(|(dir, _)| !matches!(dir, "disk" | "md"));
            entry.target == "/" && by_group
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn something_has_to_enlarge_it() {
        let kernel = ("/boot/vmlinuz-6.1.0-18-amd64", "");
        let growpart = (GROWPART[0], "");
        let cloud_init = ("/usr/bin/cloud-init", "");
        let modules = (
            "/etc/cloud/cloud.cfg",
            "cloud_init_modules:\n  - growpart\n",
        );
        let plain = (FSTAB, "UUID=1 / ext4 defaults 0 1\n");
        for (files, message) in [
            (vec![], ""),
            (vec![kernel], "root file system at boot"),
            (vec![kernel, growpart], "root file system at boot"),
            (
                vec![kernel, growpart, cloud_init],
                "root file system at boot",
            ),
            (vec![kernel, growpart, cloud_init, modules, plain], ""),
            (vec![kernel, growpart, (HOOKS[0], "")], ""),
            (vec![kernel, (REPART, "")], "root file system at boot"),
            (
                vec![kernel, (REPART, ""), ("/etc/repart.d/50-root.conf", "")],
                "",
            ),
            (
                vec![
                    kernel,
                    growpart,
                    cloud_init,
                    modules,
                    (FSTAB, "/dev/mapper/ol-root / xfs defaults 0 0\n"),
                ],
                "logical volume",
            ),
            (
                vec![
                    kernel,
                    (HOOKS[0], ""),
                    (FSTAB, "/dev/disk/by-uuid/1 / xfs\n"),
                ],
                "",
            ),
        ] {
            let found = Fixture::debian(&files).check(&BootGrowRoot);
            let found = found.first().map_or("", |defect| defect.message.as_str());
            assert_eq!(found.is_empty(), message.is_empty(), "{files:?}");
            assert!(found.contains(message), "{found}");
        }
    }
}
