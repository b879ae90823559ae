//! `identity/random-seed`: randomness that was saved for the next boot of this one machine.

use super::{DOC_CUSTOM_IMAGES, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::root::{FileKind, GuestPath};

/// The rule.
#[derive(Debug)]
pub struct IdentityRandomSeed;

/// What systemd, sysvinit and systemd-boot save; each is made anew where it is missing.
const SEEDS: [&str; 7] = [
    "/var/lib/systemd/random-seed",
    "/var/lib/urandom/random-seed",
    "/var/lib/misc/random-seed",
    "/var/lib/random-seed",
    "/boot/loader/random-seed",
    "/boot/efi/loader/random-seed",
    "/efi/loader/random-seed",
];
/// The key of this host's encrypted credentials, made anew where it is missing.
const CREDENTIAL_KEY: &str = "/var/lib/systemd/credential.secret";
/// Where credentials are that no other key opens.
const CREDENTIALS: [&str; 2] = ["/etc/credstore.encrypted", "/usr/lib/credstore.encrypted"];

impl Rule for IdentityRandomSeed {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "identity/random-seed",
            severity: Severity::Warning,
            title: "Random seeds and host keys of systemd that every instance would share",
            why: "Instances that start from the same seed may draw the same keys.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let seeds = seeds(guest)?.into_iter().map(|path| {
            Defect::in_file(
                &path,
                "every instance of the image would start from this seed",
            )
            .hint("remove the file; the guest makes a new one")
        });
        Ok(seeds.collect())
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        for path in seeds(guest)? {
            guest.remove(&path)?;
        }
        Ok(())
    }
}

fn seeds(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut candidates: Vec<GuestPath> = SEEDS.map(Into::into).into();
    let mut needed = false;
    for dir in CREDENTIALS {
        needed |= !guest.list(&dir.into())?.is_empty();
    }
    if !needed {
        candidates.push(CREDENTIAL_KEY.into());
    }
    let mut seeds = Vec::new();
    for path in candidates {
        if guest.kind(&path)? == Some(FileKind::Regular) {
            seeds.push(path);
        }
    }
    Ok(seeds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn seeds_go() {
        let fixture = Fixture::debian(&[
            ("/var/lib/systemd/random-seed", "x"),
            ("/var/lib/systemd/credential.secret", "x"),
            ("/boot/efi/loader/random-seed", "x"),
            ("/var/lib/systemd/timers/stamp", ""),
        ]);
        let (drafts, left) = fixture.fixed(&IdentityRandomSeed);
        assert_eq!(
            drafts.into_iter().collect::<Vec<_>>(),
            [
                ("/boot/efi/loader/random-seed".into(), None),
                ("/var/lib/systemd/credential.secret".into(), None),
                ("/var/lib/systemd/random-seed".into(), None),
            ]
        );
        assert_eq!(left, Vec::<String>::new());
    }

    #[test]
    fn a_key_stays_with_what_it_opens() {
        let fixture = Fixture::debian(&[
            (CREDENTIAL_KEY, "x"),
            ("/etc/credstore.encrypted/token", "x"),
        ]);
        assert!(fixture.found(&IdentityRandomSeed).is_empty());
    }
}
