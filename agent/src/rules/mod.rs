//! The catalogue: one file a rule, or a tight family of rules.
//!
//! A rule reads. [`Rule::check`] says what is wrong with the guest as it stands; [`Rule::fix`]
//! drafts the edits that put it right. Both see the guest through [`Guest`], which shows the disk
//! as it would be with the edits drafted so far, so the rules that share a file compose: each fix
//! starts from what the rules before it made. Nothing is written here; `apply` does that.

pub mod access_datasource;
pub mod access_firewall;
pub mod access_login;
pub mod access_selinux_labels;
pub mod access_ssh_key;
pub mod access_sshd;
pub mod boot_grow_root;
pub mod boot_initramfs_pins;
pub mod boot_initramfs_virtio;
pub mod boot_remote_storage;
pub mod clean_caches;
pub mod clean_histories;
pub mod clean_logs;
#[cfg(test)]
pub mod fixture;
#[cfg(test)]
mod generated;
pub mod identity_cloud_init;
pub mod identity_host_id;
pub mod identity_hypervisor_tools;
pub mod identity_lvm_devices;
pub mod identity_machine_id;
pub mod identity_random_seed;
pub mod identity_ssh_host_keys;
pub mod iscsi_credentials;
pub mod iscsi_initiator_name;
pub mod iscsi_mount;
pub mod iscsi_node_records;
pub mod iscsi_other_storage;
pub mod iscsi_root;
pub mod iscsi_session;
pub mod net_cmdline;
pub mod net_dhcp_client;
pub mod net_dhcp_identity;
pub mod net_hosts;
pub mod net_mac;
pub mod net_name_pinned;
pub mod net_no_dhcp;
pub mod net_reserved_address;
pub mod net_resolver;
pub mod net_static;
pub mod net_udev;

use std::rc::Rc;

use serde::Serialize;

use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::initramfs::images::Images;
use crate::live::Record;
use crate::live::kernel::Kernel;
use crate::live::volumes::Volumes;

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
/// OCI's page on addresses that it reserves, and on firewalls in an instance.
pub const DOC_BEST_PRACTICES: &str =
    "https://docs.oracle.com/en-us/iaas/Content/Compute/References/bestpracticescompute.htm";
/// OCI's page on fstab options for volumes.
pub const DOC_FSTAB: &str =
    "https://docs.oracle.com/en-us/iaas/Content/Block/References/fstaboptions.htm";

/// OCI's page on boot volumes: their size, and what has to grow with it.
pub const DOC_BOOT_VOLUMES: &str =
    "https://docs.oracle.com/en-us/iaas/Content/Block/Concepts/bootvolumes.htm";

/// The area of the rules that clean up, which are used on request only.
pub const CLEAN: &str = "clean/";

/// What is known of the guest's disk beside the files on it.
#[derive(Debug, Clone, Default)]
pub struct KnownDisk {
    /// The fstab sources, such as `UUID=…`, that are on it.
    pub local: Vec<String>,
    /// The drivers of its root file system, such as `ext4`.
    pub root_drivers: Vec<&'static str>,
    /// Whether the guest is the running system, whose kernel can be asked as well.
    pub is_running: bool,
    /// What the running system had attached over iSCSI and lets go of by itself, since it stops.
    pub stopped: Option<Record>,
}

impl KnownDisk {
    /// The volumes of data that the guest has from iSCSI, as far as the kernel can be asked.
    ///
    /// # Errors
    ///
    /// The kernel's files could not be read.
    pub fn volumes<'a>(&self, guest: &Guest<'a>) -> Result<Volumes<'a>, Error> {
        let kernel = Kernel(guest.root());
        if !self.is_running {
            return Ok(Volumes::none(kernel));
        }
        Volumes::read(kernel, &self.stopped.clone().unwrap_or_default())
    }
}

/// Every rule of the agent, in the order in which they are applied. Nothing need be known of the
/// disk.
pub fn catalogue(disk: KnownDisk) -> Vec<Box<dyn Rule>> {
    let images = Rc::new(Images::default());
    let disk = Rc::new(disk);
    vec![
        Box::new(net_mac::NetMac),
        Box::new(net_static::NetStatic),
        Box::new(net_name_pinned::NetNamePinned),
        Box::new(net_no_dhcp::NetNoDhcp),
        Box::new(net_udev::NetUdev),
        Box::new(net_cmdline::NetCmdline::new(Rc::clone(&disk))),
        Box::new(net_dhcp_identity::NetDhcpIdentity),
        Box::new(net_dhcp_client::NetDhcpClient),
        Box::new(net_reserved_address::NetReservedAddress),
        Box::new(net_hosts::NetHosts),
        Box::new(net_resolver::NetResolver),
        Box::new(boot_remote_storage::BootRemoteStorage),
        Box::new(iscsi_session::IscsiSession::new(
            disk.is_running && disk.stopped.is_none(),
        )),
        Box::new(iscsi_node_records::IscsiNodeRecords::new(Rc::clone(&disk))),
        Box::new(iscsi_credentials::IscsiCredentials::new(Rc::clone(&disk))),
        Box::new(iscsi_initiator_name::IscsiInitiatorName::new(Rc::clone(
            &disk,
        ))),
        Box::new(iscsi_mount::IscsiMount::new(Rc::clone(&disk))),
        Box::new(iscsi_root::IscsiRoot::new(Rc::clone(&disk))),
        Box::new(iscsi_other_storage::IscsiOtherStorage),
        Box::new(identity_machine_id::IdentityMachineId),
        Box::new(identity_random_seed::IdentityRandomSeed),
        Box::new(identity_host_id::IdentityHostId),
        Box::new(identity_ssh_host_keys::IdentitySshHostKeys),
        Box::new(identity_lvm_devices::IdentityLvmDevices),
        Box::new(identity_hypervisor_tools::IdentityHypervisorTools),
        Box::new(boot_grow_root::BootGrowRoot),
        Box::new(access_sshd::AccessSshd),
        Box::new(access_firewall::AccessFirewall),
        Box::new(identity_cloud_init::IdentityCloudInit),
        Box::new(access_datasource::AccessDatasource),
        Box::new(access_login::AccessLogin),
        // Images are judged by what the rules before make of the files that they hold.
        Box::new(boot_initramfs_virtio::BootInitramfsVirtio::new(
            Rc::clone(&images),
            Rc::clone(&disk),
        )),
        Box::new(boot_initramfs_pins::BootInitramfsPins::new(
            images,
            Rc::clone(&disk),
        )),
        Box::new(clean_logs::CleanLogs),
        Box::new(clean_caches::CleanCaches::new(disk.is_running)),
        Box::new(clean_histories::CleanHistories),
        // Last, for it looks at what all the others drafted.
        Box::new(access_selinux_labels::AccessSelinuxLabels),
    ]
}
