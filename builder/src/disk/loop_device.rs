//! One byte range of the working disk as a block device.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use byoi_agent::narration::tell;
use loopdev::LoopControl;
use nix::errno::Errno;

use super::DiskError;
use super::ioctl::loop_configure;
use crate::units::ByteRange;

/// How often another process may snatch the free loop device before we give up.
const ATTACH_TRIES: u32 = 500;
const ATTACH_PAUSE: Duration = Duration::from_millis(10);
/// How long a detached loop device may stay in use, by a udev that looks at it for example.
const DETACH_TRIES: u32 = 50;
const DETACH_PAUSE: Duration = Duration::from_millis(100);

/// What may be done to an attached range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The kernel refuses every write.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

/// A loop device over a part of the working disk; dropping it detaches it.
///
/// [`LoopDevice::detach`] also waits until the device is really free and says so if it is not.
#[derive(Debug)]
#[must_use = "the loop device goes when this is dropped"]
pub struct LoopDevice {
    /// Closed first: that is what clears the device.
    device: Option<loopdev::LoopDevice>,
    path: PathBuf,
    /// `/sys/block/loopN`.
    sysfs: PathBuf,
    /// What sysfs says about our use of the device.
    binding: Option<Binding>,
    _disk: Arc<File>,
}

/// The backing file and offset of a loop device, as sysfs prints them.
type Binding = (String, String);

impl LoopDevice {
    pub(super) fn attach(
        control: &LoopControl,
        disk: &Arc<File>,
        range: ByteRange,
        access: Access,
    ) -> io::Result<Self> {
        let mut tries = 0;
        // The kernel only tells which device is free now. Another process may ask too and be
        // faster (EBUSY), or have been and let go of it just now (ENXIO).
        let device = loop {
            let attached = control
                .next_free()
                .and_then(|device| loop_configure(&device, disk, range, access).map(|()| device));
            match attached {
                Ok(device) => break device,
                Err(error) if tries < ATTACH_TRIES && is_race(&error) => {
                    tries += 1;
                    thread::sleep(ATTACH_PAUSE);
                }
                Err(error) => return Err(error),
            }
        };
        let name = format!("loop{}", device.minor()?);
        let sysfs = Path::new("/sys/block").join(&name);
        Ok(Self {
            device: Some(device),
            path: Path::new("/dev").join(&name),
            binding: binding(&sysfs),
            sysfs,
            _disk: Arc::clone(disk),
        })
    }

    /// The block device's node, `/dev/loopN`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The smallest extent that a discard really frees, in bytes; `None` where it frees none.
    pub fn discard_granularity(&self) -> Option<u64> {
        let text = fs::read_to_string(self.sysfs.join("queue/discard_granularity")).ok()?;
        text.trim().parse().ok().filter(|&bytes| bytes > 0)
    }

    /// Writes back what was written to the device, detaches it and waits until it is free.
    ///
    /// # Errors
    ///
    /// [`DiskError`]: a write failed, or somebody keeps the device open.
    pub fn detach(mut self) -> Result<(), DiskError> {
        self.release().map_err(|source| DiskError::Detach {
            device: self.path.clone(),
            source,
        })?;
        // The kernel clears the device at the last close, which need not be ours.
        for _ in 0..DETACH_TRIES {
            if self.binding.is_none() || binding(&self.sysfs) != self.binding {
                return Ok(());
            }
            thread::sleep(DETACH_PAUSE);
        }
        Err(DiskError::Busy {
            device: self.path.clone(),
        })
    }

    /// Closes the device, which clears it. `LOOP_CLR_FD` is not called: after it the kernel fails
    /// the writes that are still in the device's cache.
    fn release(&mut self) -> io::Result<()> {
        let Some(device) = self.device.take() else {
            return Ok(());
        };
        let written = File::open(&self.path).and_then(|node| node.sync_all());
        drop(device);
        written
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        if let Err(error) = self.release() {
            tell(format_args!("detaching {}: {error}", self.path.display()));
        }
    }
}

fn is_race(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EBUSY | Errno::ENXIO)
    )
}

fn binding(sysfs: &Path) -> Option<Binding> {
    let read = |name: &str| fs::read_to_string(sysfs.join("loop").join(name)).ok();
    Some((read("backing_file")?, read("offset")?))
}
