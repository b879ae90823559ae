//! What the kernel says of itself below `/sys` and `/proc`.

use crate::error::Error;
use crate::root::{GuestPath, GuestRoot};

/// The most that is read of a file, in bytes: a mount table may be long.
const LIMIT: u64 = 16 << 20;

/// The kernel, seen through the file system root of the machine that it runs.
#[derive(Debug, Clone, Copy)]
pub struct Kernel<'a>(pub &'a GuestRoot);

impl Kernel<'_> {
    /// The value in a file, without the line break; `None` where there is no such file.
    ///
    /// # Errors
    ///
    /// The file could not be read.
    pub fn value(self, path: &GuestPath) -> Result<Option<String>, Error> {
        let content = self.0.read(path, LIMIT)?;
        Ok(content.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned()))
    }

    /// As [`Kernel::value`], of what may end or go away at any moment: a process, a device.
    pub fn fleeting(self, path: &GuestPath) -> Option<String> {
        self.value(path).ok().flatten()
    }

    /// The names in a directory, sorted; empty where there is none, or not any more.
    pub fn names(self, dir: &GuestPath) -> Vec<String> {
        let names = self.0.resolve(dir).and_then(|dir| self.0.list(&dir));
        names
            .unwrap_or_default()
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .collect()
    }

    /// Where a directory of `/sys/class` or `/sys/block` really is.
    ///
    /// # Errors
    ///
    /// The links form a loop.
    pub fn place(self, path: &GuestPath) -> Result<GuestPath, Error> {
        self.0.resolve(path)
    }

    /// Where a link leads; `None` where there is none, or not any more.
    pub fn link(self, path: &GuestPath) -> Option<String> {
        let target = self.0.read_link(path).ok().flatten()?;
        target.into_os_string().into_string().ok()
    }

    /// Whether there is something of that name, links followed.
    pub fn has(self, path: &GuestPath) -> bool {
        let found = self.0.resolve(path).and_then(|path| self.0.kind(&path));
        matches!(found, Ok(Some(_)))
    }
}
