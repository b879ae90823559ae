//! What the guest's configuration says about the disk it boots from: rules of the builder, which
//! unlike the agent knows what is on the disk.
//!
//! A device name such as `/dev/sda1` depends on the controller and on the order in which disks are
//! found, and both change on OCI; an identifier of the file system does not. RAID arrays and encrypted
//! volumes are not looked into: an entry for one is left alone and noted.

mod fstab_device;
mod fstab_missing_volume;
mod missing_volume;
mod own_disk;
mod root_by_device;
mod table;

#[cfg(test)]
mod testing;

use std::sync::Arc;

use byoi_agent::rules::{KnownDisk, Rule, catalogue};

use crate::layout::Layout;
use crate::volumes::Volumes;
use fstab_device::FstabDevice;
use fstab_missing_volume::FstabMissingVolume;
use missing_volume::MissingVolume;
use root_by_device::RootByDevice;

/// Every rule that `build` applies, in order, to a guest on this disk whose root file system is of
/// this type: the agent's, then those of this module.
pub fn rules(layout: &Layout, root_fs_type: &'static str) -> Vec<Box<dyn Rule>> {
    let volumes = Arc::new(Volumes::on(layout));
    let mut rules = catalogue(KnownDisk {
        local: volumes.sources(),
        root_drivers: vec![root_fs_type],
    });
    let own: [Box<dyn Rule>; 4] = [
        Box::new(MissingVolume::new(Arc::clone(&volumes))),
        Box::new(RootByDevice::new(Arc::clone(&volumes))),
        Box::new(FstabDevice::new(Arc::clone(&volumes))),
        Box::new(FstabMissingVolume::new(volumes)),
    ];
    rules.extend(own);
    rules
}
