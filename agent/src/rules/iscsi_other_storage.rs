//! `iscsi/other-storage`: what else ties a guest to storage networks, told and left.
//!
//! Targets that the guest itself serves, Fibre Channel over Ethernet, and the identity that
//! `NVMe` over fabrics gives a host. Packages make that identity when they are installed, so nothing
//! in the guest would make it again.

use super::{DOC_CUSTOM_IMAGES, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::edit;
use crate::root::GuestPath;

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct IscsiOtherStorage;

/// Files, or directories of files by the ends of their names: what one holds, and what to do.
const PLACES: [(&str, &str, &str, &str); 9] = [
    (
        "/etc/target/saveconfig.json",
        "",
        "the guest serves targets by the Linux target framework",
        SERVED,
    ),
    (
        "/etc/rtslib-fb-target/saveconfig.json",
        "",
        "the guest serves targets by the Linux target framework",
        SERVED,
    ),
    (
        "/etc/tgt/targets.conf",
        "",
        "the guest serves targets by tgt",
        SERVED,
    ),
    (
        "/etc/tgt/conf.d",
        ".conf",
        "the guest serves targets by tgt",
        SERVED,
    ),
    (
        "/etc/fcoe",
        "",
        "an interface is set up for Fibre Channel over Ethernet",
        "OCI has none: disable the fcoe service",
    ),
    ("/etc/nvme/hostnqn", "", IDENTITY, NEW),
    ("/etc/nvme/hostid", "", IDENTITY, NEW),
    (
        "/etc/nvme/discovery.conf",
        "",
        "NVMe over fabrics asks a controller of the old network",
        "remove the line",
    ),
    (
        "/etc/nvme/config.json",
        "",
        "NVMe over fabrics connects to the old network",
        "remove what is not there on OCI",
    ),
];
const SERVED: &str = "initiators find it at the old address no more";
const IDENTITY: &str = "every instance of the image would have this NVMe host identity";
const NEW: &str = "where NVMe over fabrics is used: nvme gen-hostnqn on each instance";
/// What packages bring in these places.
const SHIPPED: [&str; 3] = ["config", "cfg-ethx", "README"];

impl Rule for IscsiOtherStorage {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "iscsi/other-storage",
            severity: Severity::Note,
            title: "Targets served, Fibre Channel over Ethernet, NVMe over fabrics",
            why: "Storage networks end at the border of the old network.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut defects = Vec::new();
        for (place, suffix, message, hint) in PLACES {
            let place = GuestPath::from(place);
            let mut files = guest.list(&place)?;
            files.push(place);
            for file in files {
                let shipped = SHIPPED.iter().any(|name| file.name() == *name);
                if shipped || !file.has_suffix(suffix) {
                    continue;
                }
                let Some(text) = guest.text(&file)? else {
                    continue;
                };
                let Some((line, first)) = first_line(text.as_str()) else {
                    continue;
                };
                // A file of targets may hold CHAP secrets.
                let evidence = if hint == NEW { first } else { "" };
                defects.push(
                    Defect::in_file(&file, message)
                        .at_line(line)
                        .evidence(evidence)
                        .hint(hint),
                );
            }
        }
        Ok(defects)
    }

    /// Nothing in the guest would make it again.
    fn fix(&self, _guest: &mut Guest<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// The first line that says something; `None` for an empty JSON object too, and where only other
/// files are taken in.
fn first_line(text: &str) -> Option<(usize, &str)> {
    edit::lines(text)
        .map(|line| (line.number, line.text.trim()))
        .find(|(_, line)| {
            !line.is_empty()
                && !line.starts_with('#')
                && !line.starts_with("include ")
                && !matches!(*line, "{}" | "[]" | "default-driver iscsi")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn what_ties_to_storage_networks_is_told() {
        let nqn = "nqn.2014-08.org.nvmexpress:uuid:4c4c4544-0046-3310-8051-b2c04f4e4d32";
        let fixture = Fixture::new(&[
            ("/etc/nvme/hostnqn", &format!("{nqn}\n")),
            ("/etc/nvme/discovery.conf", "# Used for extracting\n#\n"),
            (
                "/etc/tgt/targets.conf",
                "# x\ndefault-driver iscsi\ninclude /etc/tgt/conf.d/*.conf\n",
            ),
            (
                "/etc/tgt/conf.d/disk.conf",
                "<target iqn.x>\n  incominguser web Quartz\n</target>\n",
            ),
            ("/etc/fcoe/cfg-ethx", "FCOE_ENABLE=\"yes\"\n"),
            ("/etc/fcoe/cfg-eth2", "FCOE_ENABLE=\"yes\"\n"),
            ("/etc/target/saveconfig.json", "{}\n"),
        ]);
        let found: Vec<String> = fixture
            .check(&IscsiOtherStorage)
            .into_iter()
            .map(|d| format!("{}:{} {}", d.subject, d.line.unwrap(), d.evidence))
            .collect();
        assert_eq!(
            found,
            [
                "/etc/tgt/conf.d/disk.conf:1 ".to_owned(),
                "/etc/fcoe/cfg-eth2:1 ".to_owned(),
                format!("/etc/nvme/hostnqn:1 {nqn}"),
            ]
        );
    }
}
