//! Seeds: data that an installer or a hypervisor left for cloud-init on the disk, in place of a
//! service that it could ask.

use super::config::File;
use crate::error::Error;
use crate::guest::Guest;
use crate::root::GuestPath;

/// Where the seeds of the data source `NoCloud` are.
const NO_CLOUD: [&str; 2] = [
    "/var/lib/cloud/seed/nocloud",
    "/var/lib/cloud/seed/nocloud-net",
];

/// A seed of `NoCloud`.
#[derive(Debug)]
pub struct Seed {
    /// Its directory.
    pub dir: GuestPath,
    /// What tells about the instance.
    pub meta_data: Option<File>,
    /// The configuration of its network.
    pub network_config: Option<File>,
    /// Whether cloud-init takes it, which needs both of `meta-data` and `user-data`.
    pub is_complete: bool,
}

impl Seed {
    /// Whether it tells who the instance is, or how its network was.
    pub fn is_of_one_machine(&self) -> bool {
        let names_instance = self
            .meta_data
            .as_ref()
            .is_some_and(|meta_data| meta_data.entry("instance-id").is_some());
        names_instance || self.network_config.is_some()
    }
}

/// The seeds that are there.
///
/// # Errors
///
/// The guest could not be read.
pub fn read_all(guest: &Guest<'_>) -> Result<Vec<Seed>, Error> {
    let mut seeds = Vec::new();
    for dir in NO_CLOUD.map(GuestPath::from) {
        if guest.list(&dir)?.is_empty() {
            continue;
        }
        let meta_data = File::read(guest, dir.join("meta-data"))?;
        seeds.push(Seed {
            network_config: File::read(guest, dir.join("network-config"))?,
            is_complete: meta_data.is_some() && guest.exists(&dir.join("user-data"))?,
            meta_data,
            dir,
        });
    }
    Ok(seeds)
}
