//! The catalogue: one file a rule, or a tight family of rules.
//!
//! A rule reads. [`Rule::check`] says what is wrong with the guest as it stands; [`Rule::fix`]
//! drafts the edits that put it right. Both see the guest through [`Guest`], which shows the disk
//! as it would be with the edits drafted so far, so the rules that share a file compose: each fix
//! starts from what the rules before it made. Nothing is written here; `apply` does that.

pub mod access_login;
pub mod access_ssh_key;
#[cfg(test)]
pub mod fixture;
pub mod identity_machine_id;
pub mod identity_random_seed;
pub mod iscsi_credentials;
pub mod iscsi_initiator_name;
pub mod iscsi_mount;
pub mod iscsi_node_records;
pub mod net_cmdline;
pub mod net_dhcp_identity;
pub mod net_mac;
pub mod net_name_pinned;
pub mod net_no_dhcp;
pub mod net_static;
pub mod net_udev;

use serde::Serialize;

use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;

/// What stays the same about a rule.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RuleMeta {
    /// The stable id, `area/name`.
    pub id: &'static str,
    /// How much a finding of this rule matters, at most.
    pub severity: Severity,
    /// What is looked for, without a trailing period.
    pub title: &'static str,
    /// Why it matters on OCI, in one sentence.
    pub why: &'static str,
    /// OCI's own rule.
    pub doc: &'static str,
}

/// A check of the guest and its remedy.
pub trait Rule {
    /// Id, severity and documentation.
    fn meta(&self) -> RuleMeta;

    /// What is wrong, in a stable order. A rule whose subject is absent finds nothing.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error>;

    /// Drafts what puts right everything that [`Rule::check`] finds and that can be put right.
    /// Drafting twice changes nothing the second time.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error>;
}

/// OCI's page on importing Linux images.
pub const DOC_IMPORT_LINUX: &str =
    "https://docs.oracle.com/en-us/iaas/Content/Compute/Tasks/importingcustomimagelinux.htm";
/// OCI's page on custom images: iSCSI attachments and node records.
pub const DOC_CUSTOM_IMAGES: &str =
    "https://docs.oracle.com/en-us/iaas/Content/Compute/Tasks/managingcustomimages.htm";
/// OCI's page on fstab options for volumes.
pub const DOC_FSTAB: &str =
    "https://docs.oracle.com/en-us/iaas/Content/Block/References/fstaboptions.htm";

/// Every rule of the agent, in the order in which they are applied. `local` are the fstab sources,
/// such as `UUID=…`, that are known to be on the guest's own disk; none where nobody knows.
pub fn catalogue(local: Vec<String>) -> Vec<Box<dyn Rule>> {
    vec![
        Box::new(net_mac::NetMac),
        Box::new(net_static::NetStatic),
        Box::new(net_name_pinned::NetNamePinned),
        Box::new(net_no_dhcp::NetNoDhcp),
        Box::new(net_udev::NetUdev),
        Box::new(net_cmdline::NetCmdline),
        Box::new(net_dhcp_identity::NetDhcpIdentity),
        Box::new(iscsi_node_records::IscsiNodeRecords),
        Box::new(iscsi_credentials::IscsiCredentials),
        Box::new(iscsi_initiator_name::IscsiInitiatorName),
        Box::new(iscsi_mount::IscsiMount::new(local)),
        Box::new(identity_machine_id::IdentityMachineId),
        Box::new(identity_random_seed::IdentityRandomSeed),
        Box::new(access_login::AccessLogin),
    ]
}
