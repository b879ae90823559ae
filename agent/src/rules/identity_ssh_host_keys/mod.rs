//! `identity/ssh-host-keys`: the keys by which SSH clients know this one machine.
//!
//! A key goes only where the guest makes a new one at boot. Where nothing does and systemd is init,
//! a unit is put in that runs `ssh-keygen -A`, which makes one of each kind. A key that is not at
//! its usual place stays, for nothing makes it anew. sshd of the running system lets nobody in
//! between the removal and the next boot.

mod generator;

use super::{DOC_CUSTOM_IMAGES, Rule, RuleMeta};
use crate::access::sshd::SSHD;
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::glob;
use crate::root::{FileKind, GuestPath};
use generator::Generator;

/// The rule.
#[derive(Debug)]
pub struct IdentitySshHostKeys;

const DIR: &str = "/etc/ssh";
const CONFIG: &str = "/etc/ssh/sshd_config";
const DROP_INS: &str = "/etc/ssh/sshd_config.d";

impl Rule for IdentitySshHostKeys {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "identity/ssh-host-keys",
            severity: Severity::Warning,
            title: "SSH host keys that every instance would share",
            why: "Whoever has one instance of the image can pose as every other one.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        if !guest.exists(&SSHD.into())? {
            return Ok(Vec::new());
        }
        let generator = Generator::of(guest)?;
        let hint = match generator {
            Generator::Boot => "remove the key; the guest makes a new one at boot",
            Generator::CloudInit => "remove the key; cloud-init makes a new one at the first boot",
            Generator::Addable => "remove the key, and add a unit that makes a new one at boot",
            Generator::Missing => {
                "nothing in this guest makes a new key at boot: run ssh-keygen on each instance"
            }
        };
        let own = keys(guest)?;
        let others = other_keys(guest, &own)?;
        if own.is_empty() && others.is_empty() && is_bare(generator) {
            return Ok(vec![
                Defect::of(DIR, "sshd has no host key, and nothing makes one at boot")
                    .evidence("no key")
                    .hint("add a unit that runs ssh-keygen -A before sshd starts"),
            ]);
        }
        let shared = "every instance of the image would have this host key";
        let mut defects: Vec<Defect> = own
            .iter()
            .filter(|path| !path.has_suffix(".pub"))
            .map(|path| Defect::in_file(path, shared).hint(hint))
            .collect();
        for path in others {
            defects.push(
                Defect::in_file(&path, shared)
                    .hint("nothing makes a key at this place: make one on each instance"),
            );
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        if !guest.exists(&SSHD.into())? {
            return Ok(());
        }
        let keys = keys(guest)?;
        let needs_unit = !keys.is_empty() || other_keys(guest, &keys)?.is_empty();
        match Generator::of(guest)? {
            Generator::Missing => return Ok(()),
            Generator::Addable if needs_unit => generator::add(guest)?,
            Generator::Addable | Generator::Boot | Generator::CloudInit => {}
        }
        for path in keys {
            guest.discard(&path)?;
        }
        Ok(())
    }
}

fn is_bare(generator: Generator) -> bool {
    matches!(generator, Generator::Addable | Generator::Missing)
}

/// The keys at their usual places, of every kind that OpenSSH ever made, private and public ones.
fn keys(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut keys = Vec::new();
    for path in guest.list(&DIR.into())? {
        let name = path.name().to_string_lossy();
        let name = name.strip_suffix(".pub").unwrap_or(&name);
        let is_key = name == "ssh_host_key" || glob::matches("ssh_host_*_key", name);
        if is_key && guest.kind(&path)? == Some(FileKind::Regular) {
            keys.push(path);
        }
    }
    Ok(keys)
}

/// The keys that the configuration names, those at their usual places left out.
fn other_keys(guest: &Guest<'_>, usual: &[GuestPath]) -> Result<Vec<GuestPath>, Error> {
    let mut files = vec![CONFIG.into()];
    files.extend(guest.list(&DROP_INS.into())?);
    let mut keys = Vec::new();
    for file in files {
        let Some(text) = guest.text(&file)? else {
            continue;
        };
        for line in text.as_str().lines() {
            let mut words = line
                .split(|c: char| c.is_whitespace() || c == '=' || c == '"')
                .filter(|word| !word.is_empty());
            let is_key = words
                .next()
                .is_some_and(|word| word.eq_ignore_ascii_case("HostKey"));
            let Some(path) = words.next().filter(|path| is_key && path.starts_with('/')) else {
                continue;
            };
            let path = GuestPath::from(path);
            let is_there = guest.kind(&path)? == Some(FileKind::Regular);
            if is_there && !usual.contains(&path) && !keys.contains(&path) {
                keys.push(path);
            }
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    const SYSTEMD: (&str, &str) = ("/usr/lib/systemd/systemd", "");
    const KEYGEN: (&str, &str) = ("/usr/bin/ssh-keygen", "");
    const UNIT: &str = "/etc/systemd/system/ssh-host-keys.service";
    const WANTED: &str = "/etc/systemd/system/multi-user.target.wants/ssh-host-keys.service";
    const SECRET: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNza\n";

    fn guest(files: &[(&str, &str)]) -> Fixture {
        let keys = [
            (SSHD, ""),
            ("/etc/ssh/ssh_host_ed25519_key", SECRET),
            (
                "/etc/ssh/ssh_host_ed25519_key.pub",
                "ssh-ed25519 AAAA root@old\n",
            ),
            ("/etc/ssh/ssh_host_rsa_key", SECRET),
            ("/etc/ssh/ssh_host_rsa_key.pub", "ssh-rsa AAAA root@old\n"),
            (
                "/etc/ssh/sshd_config",
                "HostKey /etc/ssh/ssh_host_rsa_key\n",
            ),
            ("/etc/ssh/moduli", "x\n"),
        ];
        Fixture::debian(&[&keys, files].concat())
    }

    fn has_keys(fixture: &Fixture) -> bool {
        let found = ["ed25519_key", "ed25519_key.pub", "rsa_key", "rsa_key.pub"]
            .map(|name| fixture.has(&format!("/etc/ssh/ssh_host_{name}")));
        assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
        found[0]
    }

    #[test]
    fn keys_go_where_the_guest_makes_new_ones() {
        let unit = |name: &str| format!("/usr/lib/systemd/system/{name}");
        let sshd = unit("sshd.service");
        let el8_target = unit("sshd-keygen.target");
        let el8_unit = unit("sshd-keygen@.service");
        let el7_unit = unit("sshd-keygen.service");
        let el8 = [
            (
                sshd.as_str(),
                "[Unit]\nWants=sshd-keygen.target\n[Service]\nExecStart=/usr/sbin/sshd -D\n",
            ),
            (
                &el8_target,
                "[Unit]\nWants=sshd-keygen@rsa.service\nWants=sshd-keygen@ed25519.service\n",
            ),
            (
                &el8_unit,
                "[Unit]\nConditionFileNotEmpty=|!/etc/ssh/ssh_host_%i_key\n[Service]\nType=oneshot\n\
                 ExecStart=/usr/libexec/openssh/sshd-keygen %i\n",
            ),
        ];
        let el7 = [
            (sshd.as_str(), "[Unit]\nWants=sshd-keygen.service\n"),
            (&el7_unit, "[Service]\nExecStart=/usr/sbin/sshd-keygen\n"),
        ];
        let suse = [(
            sshd.as_str(),
            "[Service]\nExecStartPre=/usr/sbin/sshd-gen-keys-start\n",
        )];
        let el6 = [(
            "/etc/rc.d/init.d/sshd",
            "start() {\n  $KEYGEN -q -t rsa -f $RSA_KEY\n}\nKEYGEN=/usr/bin/ssh-keygen\n",
        )];
        for (name, systemd, files) in [
            ("el8", true, el8.as_slice()),
            ("el7", true, el7.as_slice()),
            ("suse", true, suse.as_slice()),
            ("el6", false, el6.as_slice()),
        ] {
            let init: &[(&str, &str)] = if systemd { &[SYSTEMD, KEYGEN] } else { &[] };
            let fixture = guest(&[init, files].concat());
            assert_eq!(
                fixture.open(&IdentitySshHostKeys),
                ["/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_rsa_key"],
                "{name}"
            );
            fixture.fix(&[&IdentitySshHostKeys]);
            assert!(!has_keys(&fixture), "{name}");
            assert!(!fixture.has(UNIT), "{name}");
            assert!(fixture.has("/etc/ssh/moduli"));
        }
    }

    #[test]
    fn a_unit_is_added_where_nothing_makes_keys() {
        let keygen = (
            "/lib/systemd/system/sshd-keygen.service",
            "[Unit]\nConditionFirstBoot=yes\n[Service]\nExecStart=ssh-keygen -A\n",
        );
        let wanted = (
            "/etc/systemd/system/ssh.service.wants/sshd-keygen.service",
            "-> /lib/systemd/system/sshd-keygen.service",
        );
        let ssh = (
            "/lib/systemd/system/ssh.service",
            "[Service]\nExecStart=/usr/sbin/sshd -D\n",
        );
        let forbidden = ("/etc/sysconfig/sshd", "AUTOCREATE_SERVER_KEYS=NO\n");
        let asks = (
            "/lib/systemd/system/sshd.service",
            "[Service]\nExecStartPre=/usr/sbin/sshd-keygen\n",
        );
        for files in [vec![ssh], vec![ssh, keygen, wanted], vec![asks, forbidden]] {
            let fixture = guest(&[&[SYSTEMD, KEYGEN], files.as_slice()].concat());
            fixture.fix(&[&IdentitySshHostKeys]);
            assert!(!has_keys(&fixture));
            assert!(
                fixture
                    .text(UNIT)
                    .unwrap()
                    .contains("ExecStart=/usr/bin/ssh-keygen -A\n")
            );
            assert!(fixture.has(WANTED));
        }
    }

    #[test]
    fn cloud_init_makes_keys_where_it_sees_a_new_instance() {
        let cloud = [
            SYSTEMD,
            KEYGEN,
            ("/usr/bin/cloud-init", ""),
            (
                "/etc/systemd/system/cloud-init.target.wants/cloud-init.service",
                "-> /lib/systemd/system/cloud-init.service",
            ),
            (
                "/etc/cloud/cloud.cfg",
                "cloud_init_modules:\n - growpart\n - ssh\n",
            ),
        ];
        let fixture = guest(&cloud);
        fixture.fix(&[&IdentitySshHostKeys]);
        assert!(!has_keys(&fixture));
        assert!(!fixture.has(UNIT));

        let none = (
            "/etc/cloud/cloud.cfg.d/99-installer.cfg",
            "datasource_list: [None]\n",
        );
        let fixture = guest(&[&cloud[..], &[none]].concat());
        fixture.fix(&[&IdentitySshHostKeys]);
        assert!(!has_keys(&fixture));
        assert!(fixture.has(UNIT));
    }

    #[test]
    fn keys_stay_where_nothing_can_make_them() {
        let debian = (
            "/etc/init.d/ssh",
            "#!/bin/sh\n# ssh-keygen is run by postinst\n",
        );
        for files in [vec![KEYGEN, debian], vec![SYSTEMD]] {
            let fixture = guest(&files);
            fixture.fix_once(&[&IdentitySshHostKeys]);
            assert!(has_keys(&fixture));
            let found = fixture.check(&IdentitySshHostKeys);
            assert!(
                found
                    .iter()
                    .all(|defect| defect.hint.contains("each instance"))
            );
            assert_eq!(found.len(), 2);
        }
        let elsewhere = [
            SYSTEMD,
            KEYGEN,
            (
                "/etc/ssh/sshd_config.d/keys.conf",
                "hostkey=\"/etc/keys/rsa\"\n",
            ),
            ("/etc/keys/rsa", SECRET),
        ];
        let fixture = guest(&elsewhere);
        fixture.fix_once(&[&IdentitySshHostKeys]);
        assert!(!has_keys(&fixture));
        assert_eq!(fixture.open(&IdentitySshHostKeys), ["/etc/keys/rsa"]);
    }

    #[test]
    fn a_guest_without_keys_gets_what_makes_them() {
        let fixture = Fixture::debian(&[(SSHD, ""), SYSTEMD, KEYGEN]);
        assert_eq!(fixture.open(&IdentitySshHostKeys), [DIR]);
        fixture.fix(&[&IdentitySshHostKeys]);
        assert!(fixture.has(WANTED));

        let fixture = Fixture::debian(&[("/etc/ssh/ssh_host_rsa_key", SECRET), SYSTEMD, KEYGEN]);
        assert!(fixture.check(&IdentitySshHostKeys).is_empty(), "no server");
    }

    #[test]
    fn no_report_shows_a_key() {
        let fixture = guest(&[SYSTEMD, KEYGEN]);
        fixture.with(|guest| {
            IdentitySshHostKeys.fix(guest).unwrap();
            let plan = crate::plan::Plan::from_drafts(guest).unwrap();
            let shown = format!("{:?}", plan.changes());
            assert!(!shown.contains("b3Blbn"), "{shown}");
        });
    }
}
