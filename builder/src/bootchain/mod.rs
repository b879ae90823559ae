//! What the guest's configuration says about the disk it boots from: rules of the builder, which
//! unlike the agent knows what is on the disk.
//!
//! A device name such as `/dev/sda1` depends on the controller and on the order in which disks are
//! found, and both change on OCI; an identifier of the file system does not. RAID arrays and encrypted
//! volumes are not looked into: an entry for one is left alone and noted.

mod chain;
mod config;
mod core_image;
mod data_disks;
pub mod efi_fallback;
mod fstab_device;
mod fstab_missing_volume;
mod kernel_missing;
mod kernel_version;
mod loader;
mod missing_volume;
mod named_volumes;
mod own_disk;
mod places;
mod resume;
mod root_by_device;
mod serial_console;
mod table;

#[cfg(test)]
mod testing;

pub use data_disks::DataDisk;

use std::rc::Rc;
use std::sync::Arc;

use byoi_agent::error::Error;
use byoi_agent::guest::Guest;
use byoi_agent::rules::{KnownDisk, Rule, catalogue};

use crate::guest::GuestMount;
use crate::layout::Layout;
use crate::loader::Loader;
use crate::volumes::Volumes;
use chain::Chain;
use config::BootConfig;
use core_image::BootCoreImage;
use efi_fallback::BootEfiFallback;
use fstab_device::FstabDevice;
use fstab_missing_volume::FstabMissingVolume;
use kernel_missing::BootKernelMissing;
use kernel_version::BootKernelVersion;
use loader::BootLoader;
use missing_volume::MissingVolume;
use resume::BootResume;
use root_by_device::RootByDevice;
use serial_console::BootSerialConsole;

/// Every rule that `build` applies, in order, to a guest on this disk of which these file systems
/// are mounted: the agent's, then those of this module.
pub fn rules(layout: &Layout, mounts: &[GuestMount], loader: Loader) -> Vec<Box<dyn Rule>> {
    let volumes = Arc::new(Volumes::on(layout));
    let root = mounts
        .iter()
        .find(|mount| mount.point == "/" && mount.skipped.is_none());
    let mut rules = catalogue(KnownDisk {
        local: volumes.sources(),
        root_drivers: vec![root.map_or("", |mount| mount.file_system)],
        ..KnownDisk::default()
    });
    let chain = Rc::new(Chain::new(loader, layout, mounts));
    let own: [Box<dyn Rule>; 12] = [
        Box::new(MissingVolume::new(Arc::clone(&volumes))),
        Box::new(BootLoader::new(Rc::clone(&chain))),
        Box::new(BootCoreImage::new(Rc::clone(&chain))),
        Box::new(BootConfig::new(Rc::clone(&chain))),
        Box::new(BootKernelMissing::new(Rc::clone(&chain))),
        Box::new(BootKernelVersion::new(Rc::clone(&chain))),
        Box::new(RootByDevice::new(Arc::clone(&volumes))),
        Box::new(BootResume::new(Arc::clone(&volumes))),
        Box::new(BootSerialConsole::new(Rc::clone(&chain))),
        Box::new(BootEfiFallback::new(chain)),
        Box::new(FstabDevice::new(Arc::clone(&volumes))),
        Box::new(FstabMissingVolume::new(volumes)),
    ];
    rules.extend(own);
    rules
}

/// The rules of what a BIOS starts, up to where it finds the files of its boot loader.
pub fn loader_rules(layout: &Layout, mounts: &[GuestMount], loader: Loader) -> Vec<Box<dyn Rule>> {
    let chain = Rc::new(Chain::new(loader, layout, mounts));
    vec![
        Box::new(BootLoader::new(Rc::clone(&chain))),
        Box::new(BootCoreImage::new(chain)),
    ]
}

/// The volumes that the guest names and that are on no disk with this layout.
///
/// # Errors
///
/// The guest could not be read.
pub fn data_disks(guest: &Guest<'_>, layout: &Layout) -> Result<Vec<DataDisk>, Error> {
    data_disks::data_disks(guest, &Volumes::on(layout))
}
