//! `access/datasource`: cloud-init that runs at boot and does not ask OCI.
//!
//! What is looked at and what is done about it stands with the stack, in
//! [`crate::stacks::cloud_init::datasource`]: where cloud-init is what brings up the network, the
//! same is asked by `net/no-dhcp`.

use super::{DOC_CUSTOM_IMAGES, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::stacks::cloud_init::datasource;

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct AccessDatasource;

impl Rule for AccessDatasource {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "access/datasource",
            severity: Severity::Warning,
            title: "A cloud-init that does not ask OCI",
            why: "The instance gets neither the SSH keys nor the host name and user data that OCI \
                  has for it.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        datasource::check(guest)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        datasource::fix(guest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;
    use crate::rules::net_no_dhcp::NetNoDhcp;

    const PROGRAM: (&str, &str) = ("/usr/bin/cloud-init", "");
    const DPKG: &str = "/etc/cloud/cloud.cfg.d/90_dpkg.cfg";
    const INSTALLER: &str = "/etc/cloud/cloud.cfg.d/99-installer.cfg";
    const OURS: &str = "/etc/cloud/cloud.cfg.d/99-oracle-datasource.cfg";
    const DS_IDENTIFY: &str = "/etc/cloud/ds-identify.cfg";
    const WITH_ORACLE: (&str, &str) = (DPKG, "datasource_list: [ NoCloud, Oracle, None ]\n");
    const SEED: [(&str, &str); 2] = [
        ("/var/lib/cloud/seed/nocloud/meta-data", ""),
        ("/var/lib/cloud/seed/nocloud/user-data", "#cloud-config\n"),
    ];

    #[test]
    fn lists_with_and_without_oci() {
        let without = (
            INSTALLER,
            "datasource:\n  None: {}\ndatasource_list:\n- None\n",
        );
        let seeded = (
            INSTALLER,
            "datasource: {NoCloud: {seedfrom: 'http://192.0.2.1/'}}\n",
        );
        let cases: [(&[(&str, &str)], &[&str]); 9] = [
            (&[], &[]),
            (&[WITH_ORACLE], &[]),
            (
                &[WITH_ORACLE, without],
                &["/etc/cloud/cloud.cfg.d/99-installer.cfg:3"],
            ),
            (&[without, (OURS, "datasource_list: [Oracle, None]\n")], &[]),
            (&[SEED[0], WITH_ORACLE], &[]),
            (
                &[SEED[0], SEED[1], WITH_ORACLE],
                &["/etc/cloud/cloud.cfg.d/90_dpkg.cfg:1"],
            ),
            (&[SEED[0], SEED[1]], &["/etc/cloud/cloud.cfg"]),
            (
                &[seeded, WITH_ORACLE],
                &["/etc/cloud/cloud.cfg.d/90_dpkg.cfg:1"],
            ),
            (
                &[
                    SEED[0],
                    SEED[1],
                    (DPKG, "datasource_list: [Oracle, NoCloud]\n"),
                ],
                &[],
            ),
        ];
        for (files, expected) in cases {
            let fixture = Fixture::debian(&[&[PROGRAM], files].concat());
            assert_eq!(fixture.open(&AccessDatasource), expected, "{files:?}");
            // Where cloud-init brings up the network, the lease depends on it.
            assert_eq!(fixture.open(&NetNoDhcp), expected, "{files:?}");
            fixture.fix(&[&AccessDatasource, &NetNoDhcp]);
            assert_eq!(
                fixture.has(OURS),
                !expected.is_empty() || files.len() == 2 && files[1].0 == OURS
            );
            for (path, text) in files {
                assert_eq!(fixture.text(path).unwrap(), *text);
            }
            assert_eq!(
                Fixture::debian(files).open(&AccessDatasource),
                Vec::<String>::new()
            );
        }
    }

    #[test]
    fn the_new_file_comes_last() {
        let fixture = Fixture::debian(&[
            PROGRAM,
            ("/etc/cloud/cloud.cfg.d/zz.cfg", "datasource_list: [Ec2]\n"),
        ]);
        fixture.fix(&[&AccessDatasource]);
        assert!(fixture.has("/etc/cloud/cloud.cfg.d/zz.cfg-oracle.cfg"));
    }

    const GRUB: &str = "/etc/default/grub";

    #[test]
    fn ds_identify_and_the_kernel_command_line() {
        for (text, left) in [
            ("policy: disabled\n", None),
            (
                "# why\ndatasource: Ec2 # x\npolicy: search,found=all\n",
                Some("# why\npolicy: search,found=all\n"),
            ),
            ("policy: enabled\n", Some("policy: enabled\n")),
            ("datasource: Oracle\n", Some("datasource: Oracle\n")),
        ] {
            let fixture = Fixture::debian(&[PROGRAM, (DS_IDENTIFY, text)]);
            fixture.fix(&[&AccessDatasource]);
            assert_eq!(fixture.text(DS_IDENTIFY).as_deref(), left, "{text}");
        }
        let fixture = Fixture::debian(&[
            PROGRAM,
            (
                GRUB,
                "GRUB_CMDLINE_LINUX=\"ro ds=nocloud;s=http://192.0.2.1/ ci.di.policy=disabled ci.ds=Oracle\"\n",
            ),
        ]);
        assert_eq!(fixture.open(&AccessDatasource).len(), 2);
        fixture.fix(&[&AccessDatasource]);
        assert_eq!(
            fixture.text(GRUB).unwrap(),
            "GRUB_CMDLINE_LINUX=\"ro ci.ds=Oracle\"\n"
        );
    }

    #[test]
    fn a_cloud_init_that_does_not_run_is_left_alone() {
        let none = (INSTALLER, "datasource_list: [None]\n");
        let cases: [&[(&str, &str)]; 4] = [
            &[none],
            &[PROGRAM, none, ("/etc/cloud/cloud-init.disabled", "")],
            &[
                PROGRAM,
                none,
                ("/etc/kernel/cmdline", "ro cloud-init=disabled\n"),
            ],
            &[
                PROGRAM,
                none,
                ("/usr/lib/systemd/systemd", ""),
                (
                    "/etc/systemd/system/multi-user.target.wants/ssh.service",
                    "-> /x",
                ),
                (
                    "/etc/systemd/system/cloud-init.target.wants/cloud-init-local.service",
                    "-> /x",
                ),
                (
                    "/etc/systemd/system/cloud-init-local.service",
                    "-> /dev/null",
                ),
            ],
        ];
        for files in cases {
            let fixture = Fixture::debian(files);
            assert_eq!(
                fixture.open(&AccessDatasource),
                Vec::<String>::new(),
                "{files:?}"
            );
            fixture.fix(&[&AccessDatasource]);
            assert!(!fixture.has(OURS));
        }
    }

    #[test]
    fn a_cloud_init_without_the_data_source_is_reported() {
        let sources = "/usr/lib/python2.7/site-packages/cloudinit/sources";
        let old = format!("{sources}/DataSourceEc2.py");
        let fixture = Fixture::debian(&[PROGRAM, (&old, "")]);
        assert_eq!(fixture.open(&AccessDatasource), ["/etc/cloud/cloud.cfg"]);
        let new = format!("{sources}/DataSourceOracle.py");
        let fixture = Fixture::debian(&[PROGRAM, (&old, ""), (&new, "")]);
        assert_eq!(fixture.open(&AccessDatasource), Vec::<String>::new());
    }
}
