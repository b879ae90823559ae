//! The disk as a script sees it: files on devices.

use std::fmt;

use byoi_agent::error::Error;

/// A file as GRUB names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName {
    /// The device without its parentheses, such as `hd0,msdos1`; what comes before the comma may be
    /// missing.
    pub device: String,
    /// The path on it.
    pub path: String,
}

impl FileName {
    /// Reads `(hd0,msdos1)/boot`; a path alone is on the device `root`.
    pub fn parse(name: &str, root: &str) -> Self {
        let (device, path) = match name.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            Some((device, path)) => (device, path),
            None => (root, name),
        };
        let device = device.trim();
        Self {
            device: device
                .strip_prefix('(')
                .and_then(|device| device.strip_suffix(')'))
                .unwrap_or(device)
                .to_owned(),
            path: path.to_owned(),
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}){}", self.device, self.path)
    }
}

/// What a file system is searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Its UUID.
    Uuid,
    /// Its label.
    Label,
    /// A file in it.
    File,
}

/// The disk, as GRUB sees it.
pub trait World {
    /// The content of a file; `None` where there is none.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    fn read(&self, file: &FileName) -> Result<Option<Vec<u8>>, Error>;

    /// Whether a path leads to something.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    fn is_there(&self, file: &FileName) -> Result<bool, Error>;

    /// The names in a directory; those that are not UTF-8 with replacement characters.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    fn list(&self, dir: &FileName) -> Result<Vec<String>, Error>;

    /// The device that a search finds.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    fn search(&self, by: By, what: &str) -> Result<Option<String>, Error>;
}
