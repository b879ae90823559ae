//! `identity/cloud-init`: what cloud-init remembers of the old machine.
//!
//! As `cloud-init clean` does it, the link to the instance, the instances, and the marks of what
//! was done once go, so that cloud-init starts as at a first boot; directories stay. Scripts and
//! handlers stay as well, for an administrator may have put them there, and so do logs. Seeds go
//! where they name the instance or hold its network: cloud-init takes them before it asks OCI.

use super::{DOC_CUSTOM_IMAGES, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::root::GuestPath;
use crate::stacks::cloud_init::seed;

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct IdentityCloudInit;

/// The link to the directory of the instance.
const INSTANCE: &str = "/var/lib/cloud/instance";
/// Where everything in it is about one instance.
const STATE: [&str; 3] = [
    "/var/lib/cloud/instances",
    "/var/lib/cloud/data",
    "/var/lib/cloud/sem",
];
/// What cloud-init told about the old machine.
const LOGS: [&str; 2] = ["/var/log/cloud-init.log", "/var/log/cloud-init-output.log"];

impl Rule for IdentityCloudInit {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "identity/cloud-init",
            severity: Severity::Warning,
            title: "What cloud-init remembers of the old machine",
            why: "cloud-init may take the instance for the old one and do nothing, and the old \
                  user data stays in the image.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let hint = "remove it; cloud-init makes it anew at the first boot";
        let mut defects: Vec<Defect> = state(guest)?
            .iter()
            .map(|path| Defect::in_file(path, "cloud-init's state of the old machine").hint(hint))
            .collect();
        defects.extend(seeds(guest)?.iter().map(|dir| {
            Defect::in_file(
                dir,
                "a seed makes cloud-init take the instance for the old machine",
            )
            .hint("remove it; cloud-init asks OCI")
        }));
        if defects.is_empty() {
            return Ok(defects);
        }
        for log in LOGS.map(GuestPath::from) {
            if guest.exists(&log)? {
                let note = Defect::in_file(&log, "a log of the old machine")
                    .hint("nothing has to be done")
                    .severity(Severity::Note);
                defects.push(note);
            }
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        for path in state(guest)?.into_iter().chain(seeds(guest)?) {
            guest.remove(&path)?;
        }
        Ok(())
    }
}

/// What is about one instance.
fn state(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut found = Vec::new();
    let instance = GuestPath::from(INSTANCE);
    if guest.kind(&instance)?.is_some() {
        found.push(instance);
    }
    for dir in STATE {
        found.extend(guest.list(&dir.into())?);
    }
    Ok(found)
}

/// The directories of the seeds that are about one instance.
fn seeds(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let seeds = seed::read_all(guest)?.into_iter();
    Ok(seeds
        .filter(seed::Seed::is_of_one_machine)
        .map(|seed| seed.dir)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn state_goes_and_the_rest_stays() {
        let gone = [
            ("/var/lib/cloud/instance", "-> /var/lib/cloud/instances/i-1"),
            (
                "/var/lib/cloud/instances/i-1/user-data.txt",
                "#cloud-config\n",
            ),
            ("/var/lib/cloud/instances/i-1/sem/config_ssh", ""),
            ("/var/lib/cloud/data/instance-id", "i-1\n"),
            ("/var/lib/cloud/sem/config_scripts_per_once.once", ""),
            (
                "/var/lib/cloud/seed/nocloud/meta-data",
                "{instance-id: i-1}\n",
            ),
            ("/var/lib/cloud/seed/nocloud/user-data", ""),
            (
                "/var/lib/cloud/seed/nocloud-net/network-config",
                "version: 2\n",
            ),
        ];
        let kept = [
            ("/var/lib/cloud/scripts/per-boot/x", "#!/bin/sh\n"),
            ("/var/lib/cloud/handlers/x.py", ""),
            ("/var/lib/cloud/seed/other/x", ""),
            ("/var/log/cloud-init.log", "i-1\n"),
        ];
        let fixture = Fixture::debian(&[&gone[..], &kept].concat());
        assert_eq!(
            fixture.open(&IdentityCloudInit),
            [
                "/var/lib/cloud/instance",
                "/var/lib/cloud/instances/i-1",
                "/var/lib/cloud/data/instance-id",
                "/var/lib/cloud/sem/config_scripts_per_once.once",
                "/var/lib/cloud/seed/nocloud",
                "/var/lib/cloud/seed/nocloud-net",
            ]
        );
        fixture.fix(&[&IdentityCloudInit]);
        assert!(gone.iter().all(|(path, _)| !fixture.has(path)));
        assert!(kept.iter().all(|(path, _)| fixture.has(path)));
        assert!(fixture.has("/var/lib/cloud/instances"));
    }

    #[test]
    fn a_seed_of_no_machine_stays() {
        let fixture = Fixture::debian(&[
            (
                "/var/lib/cloud/seed/nocloud/meta-data",
                "local-hostname: x\n",
            ),
            ("/var/lib/cloud/seed/nocloud/vendor-data", ""),
            ("/var/log/cloud-init.log", "x\n"),
        ]);
        assert!(fixture.check(&IdentityCloudInit).is_empty());
    }
}
