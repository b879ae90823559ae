//! A path inside a guest root.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use serde::{Serialize, Serializer};

/// An absolute path as the guest sees it: it starts at the guest's `/`, holds no `.` and no `..`,
/// and may be any bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestPath(PathBuf);

impl GuestPath {
    /// Reads a path. `..` goes up, and stays at the root there, as it does in a chroot; links are
    /// not looked at.
    pub fn new(path: impl AsRef<Path>) -> Self {
        let mut absolute = PathBuf::from("/");
        for component in path.as_ref().components() {
            match component {
                Component::Normal(name) => absolute.push(name),
                Component::ParentDir => {
                    absolute.pop();
                }
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Self(absolute)
    }

    /// The path of an entry, or of a path that starts at this directory unless it is absolute.
    #[must_use]
    pub fn join(&self, path: impl AsRef<Path>) -> Self {
        Self::new(self.0.join(path))
    }

    /// The directory that holds it; `None` for `/`.
    pub fn parent(&self) -> Option<Self> {
        self.0.parent().map(|parent| Self(parent.to_owned()))
    }

    /// The last component; empty for `/`.
    pub fn name(&self) -> &OsStr {
        self.0.file_name().unwrap_or_default()
    }

    /// Whether it lies below a directory.
    pub fn is_below(&self, dir: &Self) -> bool {
        self != dir && self.0.starts_with(&dir.0)
    }

    /// Whether the last component ends like this.
    pub fn has_suffix(&self, suffix: &str) -> bool {
        self.name().as_bytes().ends_with(suffix.as_bytes())
    }

    /// The path as the guest sees it, with the leading `/`.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The path without the leading `/`, `.` for the root itself.
    pub(super) fn relative(&self) -> &Path {
        match self.0.strip_prefix("/") {
            Ok(path) if !path.as_os_str().is_empty() => path,
            _ => Path::new("."),
        }
    }
}

impl From<&str> for GuestPath {
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

impl fmt::Display for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Serialize for GuestPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root() {
        for (given, expected) in [
            ("etc/fstab", "/etc/fstab"),
            ("/etc//./fstab/", "/etc/fstab"),
            ("../../etc", "/etc"),
            ("/a/../../../b", "/b"),
            ("", "/"),
        ] {
            assert_eq!(GuestPath::new(given).to_string(), expected, "{given}");
        }
        let etc = GuestPath::from("/etc");
        assert_eq!(etc.join("/run/x").to_string(), "/run/x");
        assert_eq!(etc.join("../run").to_string(), "/run");
        assert!(etc.join("a").is_below(&etc));
        assert!(!GuestPath::from("/etcetera").is_below(&etc));
    }
}
