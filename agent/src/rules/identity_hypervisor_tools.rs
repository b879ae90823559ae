//! `identity/hypervisor-tools`: guest agents of the platform that the machine comes from.
//!
//! Most do nothing on another platform: their units say `ConditionVirtualization=`, or they end at
//! once. Those that wait for their platform, build kernel modules for it or configure the network
//! as it wishes are disabled. None is uninstalled: what was disabled can be enabled again.

use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::unit_file;
use crate::units;

/// The rule.
#[derive(Debug)]
pub struct IdentityHypervisorTools;

/// The agents of a platform.
struct Tools {
    /// What they are called.
    name: &'static str,
    /// Their units and scripts.
    services: &'static [(&'static str, &'static str)],
    /// What they do elsewhere; `None` where that is nothing.
    harm: Option<&'static str>,
}

const fn idle(name: &'static str, services: &'static [(&'static str, &'static str)]) -> Tools {
    Tools {
        name,
        services,
        harm: None,
    }
}

const fn harmful(
    name: &'static str,
    services: &'static [(&'static str, &'static str)],
    harm: &'static str,
) -> Tools {
    Tools {
        name,
        services,
        harm: Some(harm),
    }
}

static TOOLS: [Tools; 18] = [
    idle(
        "open-vm-tools",
        &[
            ("open-vm-tools.service", "open-vm-tools"),
            ("vmtoolsd.service", "vmtoolsd"),
            ("vgauthd.service", ""),
            ("vgauth.service", ""),
        ],
    ),
    harmful(
        "VMware Tools",
        &[
            ("vmware-tools.service", "vmware-tools"),
            ("vmware-tools-thinprint.service", "vmware-tools-thinprint"),
            ("vmware-USBArbitrator.service", "vmware-USBArbitrator"),
        ],
        "exchanges network drivers and restarts the network while booting",
    ),
    harmful(
        "VirtualBox Guest Additions",
        &[
            ("vboxadd.service", "vboxadd"),
            ("vboxadd-service.service", "vboxadd-service"),
            ("vboxadd-x11.service", "vboxadd-x11"),
        ],
        "builds kernel modules while booting and then fails",
    ),
    harmful(
        "VirtualBox guest utilities",
        &[
            ("virtualbox-guest-utils.service", "virtualbox-guest-utils"),
            ("vboxservice.service", "vboxservice"),
        ],
        "fails while booting",
    ),
    idle(
        "Hyper-V daemons",
        &[
            ("hv-kvp-daemon.service", "hv-kvp-daemon"),
            ("hv-vss-daemon.service", "hv-vss-daemon"),
            ("hv-fcopy-daemon.service", "hv-fcopy-daemon"),
            ("hypervkvpd.service", "hypervkvpd"),
            ("hypervvssd.service", "hypervvssd"),
            ("hypervfcopyd.service", "hypervfcopyd"),
            ("hv_kvp_daemon.service", "hv_kvp_daemon"),
            ("hv_vss_daemon.service", "hv_vss_daemon"),
            ("hv_fcopy_daemon.service", "hv_fcopy_daemon"),
        ],
    ),
    idle(
        "Xen guest utilities",
        &[
            ("xe-linux-distribution.service", "xe-linux-distribution"),
            ("xe-daemon.service", "xe-daemon"),
            ("xenstored.service", "xenstored"),
        ],
    ),
    harmful(
        "Parallels Tools",
        &[
            ("prltoolsd.service", "prltoolsd"),
            ("prltools_updater.service", "prltools_updater"),
            ("prl-x11.service", "prl-x11"),
        ],
        "builds kernel modules while booting and then fails",
    ),
    idle(
        "QEMU guest agent",
        &[("qemu-guest-agent.service", "qemu-guest-agent")],
    ),
    idle(
        "SPICE agent",
        &[("spice-vdagentd.service", "spice-vdagentd")],
    ),
    idle(
        "Nutanix Guest Tools",
        &[("ngt_guest_agent.service", "ngt_guest_agent")],
    ),
    harmful(
        "Azure Linux agent",
        &[
            ("walinuxagent.service", "walinuxagent"),
            ("waagent.service", "waagent"),
            ("walinuxagent-network-setup.service", ""),
            ("waagent-network-setup.service", ""),
        ],
        "waits for Azure, sets the host name and changes the network",
    ),
    harmful(
        "Google guest environment",
        &[
            ("google-guest-agent.service", ""),
            ("google-guest-agent-manager.service", ""),
            ("google-guest-compat-manager.service", ""),
            ("google-startup-scripts.service", "google-startup-scripts"),
            ("google-shutdown-scripts.service", "google-shutdown-scripts"),
            ("google-osconfig-agent.service", ""),
            ("google-oslogin-cache.timer", ""),
            ("google-instance-setup.service", "google-instance-setup"),
            ("google-network-daemon.service", "google-network-daemon"),
            ("google-accounts-daemon.service", "google-accounts-daemon"),
            (
                "google-clock-skew-daemon.service",
                "google-clock-skew-daemon",
            ),
            ("gce-workload-cert-refresh.timer", ""),
        ],
        "waits for Google's metadata server and changes the network",
    ),
    idle(
        "Amazon SSM agent",
        &[
            ("amazon-ssm-agent.service", "amazon-ssm-agent"),
            ("snap.amazon-ssm-agent.amazon-ssm-agent.service", ""),
        ],
    ),
    harmful(
        "EC2 network utilities",
        &[
            (
                "elastic-network-interfaces.service",
                "elastic-network-interfaces",
            ),
            ("ec2-ifscan.service", "ec2-ifscan"),
            ("refresh-policy-routes@.timer", ""),
        ],
        "asks Amazon's metadata service how to configure the network",
    ),
    harmful(
        "EC2 Instance Connect",
        &[("ec2-instance-connect.service", "")],
        "asks Amazon's metadata service for host keys",
    ),
    harmful(
        "EC2 hibernation agent",
        &[("hibinit-agent.service", "hibinit-agent")],
        "asks Amazon's metadata service and makes a swap file",
    ),
    idle(
        "DigitalOcean agents",
        &[
            ("do-agent.service", "do-agent"),
            ("droplet-agent.service", ""),
        ],
    ),
    harmful(
        "Alibaba Cloud assistant",
        &[
            ("aliyun.service", ""),
            ("ecs_mq-service.service", "ecs_mq-service"),
            ("cloudmonitor.service", "cloudmonitor"),
        ],
        "waits for Alibaba Cloud's metadata service and tunes interrupts of NICs for it",
    ),
];

impl Rule for IdentityHypervisorTools {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "identity/hypervisor-tools",
            severity: Severity::Warning,
            title: "Guest agents of another platform",
            why: "On OCI they find nobody to talk to, and some delay the boot or change the \
                  network while they look.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut defects = Vec::new();
        for (tools, unit, script, harm) in enabled(guest)? {
            let subject = if units::file(guest, unit)?.is_some() || script.is_empty() {
                unit
            } else {
                script
            };
            let defect = match harm {
                Some(harm) => Defect::of(subject, format!("{}: on OCI this {harm}", tools.name))
                    .hint("disable it; it stays installed"),
                None => Defect::of(subject, format!("{}: on OCI this stays idle", tools.name))
                    .hint("nothing has to be done")
                    .severity(Severity::Note),
            };
            defects.push(defect.evidence("enabled"));
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        for (_, unit, script, harm) in enabled(guest)? {
            if harm.is_some() {
                units::disable(guest, unit, script)?;
            }
        }
        Ok(())
    }
}

type Enabled = (
    &'static Tools,
    &'static str,
    &'static str,
    Option<&'static str>,
);

/// What starts at boot: the unit, the script of the same service, and the harm that it does.
fn enabled(guest: &Guest<'_>) -> Result<Vec<Enabled>, Error> {
    let mut enabled = Vec::new();
    for tools in &TOOLS {
        for (unit, script) in tools.services.iter().copied() {
            if units::is_enabled(guest, unit, script)? {
                let harm = match tools.harm {
                    Some(harm) if !knows_its_place(guest, unit)? => Some(harm),
                    _ => None,
                };
                enabled.push((tools, unit, script, harm));
            }
        }
    }
    Ok(enabled)
}

/// Whether a unit starts on a platform of its choice only, which `kvm` would be on OCI.
fn knows_its_place(guest: &Guest<'_>, unit: &str) -> Result<bool, Error> {
    let Some(file) = units::file(guest, unit)? else {
        return Ok(false);
    };
    let text = guest.text(&file)?;
    Ok(text.is_some_and(|text| {
        unit_file::parse(text.as_str()).iter().any(|entry| {
            let platform = entry.value.trim_start_matches('|');
            entry.key == "ConditionVirtualization"
                && !platform.starts_with('!')
                && !matches!(platform, "" | "yes" | "true" | "vm" | "kvm" | "qemu")
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    const SYSTEMD: (&str, &str) = ("/usr/lib/systemd/systemd", "");

    #[test]
    fn what_disturbs_is_disabled_and_the_rest_is_noted() {
        let wants = "/etc/systemd/system/multi-user.target.wants";
        let links: Vec<(String, String)> = [
            "open-vm-tools.service",
            "vboxadd.service",
            "vboxservice.service",
            "walinuxagent.service",
            "ssh.service",
        ]
        .iter()
        .map(|unit| {
            (
                format!("{wants}/{unit}"),
                format!("-> /lib/systemd/system/{unit}"),
            )
        })
        .collect();
        let mut files = vec![
            SYSTEMD,
            (
                "/lib/systemd/system/open-vm-tools.service",
                "[Unit]\nConditionVirtualization=vmware\n",
            ),
            (
                "/lib/systemd/system/vboxadd.service",
                "[Unit]\nDescription=vboxadd.service\n",
            ),
            (
                "/lib/systemd/system/vboxservice.service",
                "[Unit]\nConditionVirtualization=|oracle\n",
            ),
            (
                "/lib/systemd/system/walinuxagent.service",
                "[Unit]\nAfter=network.target\n",
            ),
            ("/lib/systemd/system/google-guest-agent.service", "[Unit]\n"),
        ];
        files.extend(
            links
                .iter()
                .map(|(path, target)| (path.as_str(), target.as_str())),
        );
        let fixture = Fixture::debian(&files);
        let found: Vec<String> = fixture
            .severities(&IdentityHypervisorTools)
            .into_iter()
            .map(|(subject, severity)| format!("{subject} {severity}"))
            .collect();
        assert_eq!(
            found,
            [
                "open-vm-tools.service note",
                "vboxadd.service warning",
                "vboxservice.service note",
                "walinuxagent.service warning",
            ]
        );
        fixture.fix(&[&IdentityHypervisorTools]);
        let left: Vec<bool> = links.iter().map(|(path, _)| fixture.has(path)).collect();
        assert_eq!(left, [true, false, true, false, true]);
        assert!(fixture.has("/lib/systemd/system/vboxadd.service"));
    }

    #[test]
    fn scripts_and_upstart_jobs_count_where_they_are_init() {
        let fixture = Fixture::debian(&[
            ("/etc/init.d/vmware-tools", "#!/bin/sh\n"),
            (
                "/etc/rc.d/rc3.d/S03vmware-tools",
                "-> ../../init.d/vmware-tools",
            ),
            ("/etc/init/walinuxagent.conf", "start on runlevel [2345]\n"),
            ("/etc/init/walinuxagent.override", "nice 5"),
            ("/etc/init/ssh.conf", "start on runlevel [2345]\n"),
        ]);
        assert_eq!(
            fixture.open(&IdentityHypervisorTools),
            ["vmware-tools", "walinuxagent"]
        );
        fixture.fix(&[&IdentityHypervisorTools]);
        assert!(!fixture.has("/etc/rc.d/rc3.d/S03vmware-tools"));
        assert_eq!(
            fixture.text("/etc/init/walinuxagent.override").unwrap(),
            "nice 5\nmanual\n"
        );
        assert!(!fixture.has("/etc/init/ssh.override"));
    }
}
