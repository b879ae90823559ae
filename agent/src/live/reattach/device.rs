//! Where the devices of a record are now: their names may be others than before.

use super::super::block::{Devices, Kind};
use super::super::kernel::Kernel;
use super::super::record::Source;
use super::super::session::sessions;
use crate::error::Error;

/// The path of a device now.
pub(super) fn find(kernel: Kernel<'_>, source: &Source) -> Result<Option<String>, Error> {
    let path = match source {
        Source::Path { path } => Some(path.clone()),
        Source::Mapped { name } => Devices::read(kernel)?
            .0
            .values()
            .any(|device| device.mapped_name() == Some(name))
            .then(|| format!("/dev/mapper/{name}")),
        Source::Lun {
            target,
            portal,
            lun,
            partition,
        } => sessions(kernel)?
            .iter()
            .filter(|session| session.target == *target && session.portal == *portal)
            .flat_map(|session| &session.luns)
            .find(|found| found.number == *lun)
            .and_then(|found| part_of(kernel, &found.disk, *partition)),
    };
    Ok(path.filter(|path| kernel.has(&path.as_str().into())))
}

fn part_of(kernel: Kernel<'_>, disk: &str, partition: Option<u32>) -> Option<String> {
    let Some(number) = partition else {
        return Some(format!("/dev/{disk}"));
    };
    let devices = Devices::read(kernel).ok()?;
    let found = devices.0.iter().find(|(_, device)| {
        device.disk.as_deref() == Some(disk) && device.kind == Kind::Partition(number)
    });
    found.map(|(name, _)| format!("/dev/{name}"))
}
