//! `identity/host-id`: by what else this one machine is known.
//!
//! `/etc/hostid` (gethostid(3)) and yum's id go: the C library does without the one, yum makes the
//! other anew. ZFS imports a pool at boot only where the host id is the one that used it last, so
//! with pools the id stays. What a machine has been given by others, such as a subscription or a
//! certificate, cannot be made anew by the guest; it stays and is noted.

use super::{DOC_CUSTOM_IMAGES, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::root::{FileKind, GuestPath};

/// The rule.
#[derive(Debug)]
pub struct IdentityHostId;

const HOST_ID: &str = "/etc/hostid";
/// The pools that ZFS imports at boot.
const ZFS_POOLS: &str = "/etc/zfs/zpool.cache";
/// Counts machines; yum makes a new one.
const YUM_ID: &str = "/var/lib/yum/uuid";

/// What others know this machine by, and who.
const GIVEN: [(&str, &str); 24] = [
    (
        "/etc/pki/consumer/cert.pem",
        "Red Hat's subscription management",
    ),
    ("/etc/sysconfig/rhn/systemid", "Spacewalk or ULN"),
    ("/etc/insights-client/machine-id", "Red Hat Insights"),
    (
        "/etc/zypp/credentials.d/SCCcredentials",
        "SUSE Customer Center",
    ),
    (
        "/var/lib/ubuntu-advantage/private/machine-token.json",
        "Ubuntu Pro",
    ),
    ("/etc/landscape/client.conf", "Landscape"),
    ("/etc/salt/minion_id", "Salt"),
    ("/etc/salt/pki/minion/minion.pem", "Salt"),
    ("/etc/puppetlabs/puppet/ssl/private_keys", "Puppet"),
    ("/var/lib/puppet/ssl/private_keys", "Puppet"),
    ("/etc/chef/client.pem", "Chef"),
    ("/etc/krb5.keytab", "Kerberos"),
    ("/var/lib/samba/private/secrets.tdb", "a Windows domain"),
    ("/etc/ipa/default.conf", "FreeIPA"),
    ("/etc/nvme/hostnqn", "NVMe over fabrics"),
    ("/etc/nvme/hostid", "NVMe over fabrics"),
    ("/etc/docker/key.json", "Docker"),
    (
        "/var/lib/kubelet/pki/kubelet-client-current.pem",
        "Kubernetes",
    ),
    ("/var/lib/tailscale/tailscaled.state", "Tailscale"),
    ("/var/lib/zerotier-one/identity.secret", "ZeroTier"),
    ("/var/ossec/etc/client.keys", "Wazuh"),
    ("/var/lib/amazon/ssm/registration", "Amazon SSM"),
    (
        "/etc/popularity-contest.conf",
        "Debian's popularity contest",
    ),
    (
        "/etc/machine-info",
        "machine-info(5): its pretty name, chassis and location",
    ),
];

impl Rule for IdentityHostId {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "identity/host-id",
            severity: Severity::Warning,
            title: "Other identities that every instance would share",
            why: "Services that tell machines apart by them take all instances of the image for \
                  one.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut defects: Vec<Defect> = removable(guest)?
            .iter()
            .map(|path| {
                Defect::in_file(path, "every instance of the image would have this id")
                    .hint("remove the file; the guest does without it or makes a new one")
            })
            .collect();
        if is_there(guest, HOST_ID)? && guest.exists(&ZFS_POOLS.into())? {
            defects.push(
                Defect::in_file(&HOST_ID.into(), "ZFS imports its pools by this host id")
                    .hint("nothing has to be done unless instances share pools")
                    .severity(Severity::Note),
            );
        }
        for (path, by) in GIVEN {
            if guest.exists(&path.into())? {
                defects.push(
                    Defect::in_file(
                        &path.into(),
                        format!("the machine is known by this to {by}"),
                    )
                    .hint("register each instance anew if it needs an identity of its own")
                    .severity(Severity::Note),
                );
            }
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        for path in removable(guest)? {
            guest.remove(&path)?;
        }
        Ok(())
    }
}

fn removable(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut paths = Vec::new();
    if is_there(guest, HOST_ID)? && !guest.exists(&ZFS_POOLS.into())? {
        paths.push(HOST_ID.into());
    }
    if is_there(guest, YUM_ID)? {
        paths.push(YUM_ID.into());
    }
    Ok(paths)
}

fn is_there(guest: &Guest<'_>, path: &str) -> Result<bool, Error> {
    Ok(guest.kind(&path.into())? == Some(FileKind::Regular))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn ids_go_and_what_others_gave_is_noted() {
        let files = [
            (HOST_ID, "\u{1}abc"),
            (YUM_ID, "5f1c7a52-6b43-4d3c-9f3e-9d0f6d3d2a11"),
            ("/etc/krb5.keytab", "x"),
            ("/var/lib/puppet/ssl/private_keys/old.pem", "x"),
        ];
        let fixture = Fixture::debian(&files);
        assert_eq!(fixture.open(&IdentityHostId), [HOST_ID, YUM_ID]);
        fixture.fix(&[&IdentityHostId]);
        assert!(!fixture.has(HOST_ID) && !fixture.has(YUM_ID));
        assert!(fixture.has("/etc/krb5.keytab"));
        assert_eq!(fixture.check(&IdentityHostId).len(), 2);
    }

    #[test]
    fn zfs_keeps_its_host_id() {
        let fixture = Fixture::debian(&[(HOST_ID, "abcd"), (ZFS_POOLS, "x")]);
        assert_eq!(
            fixture.severities(&IdentityHostId),
            [(HOST_ID.to_owned(), Severity::Note)]
        );
        fixture.fix(&[&IdentityHostId]);
        assert!(fixture.has(HOST_ID));
    }
}
