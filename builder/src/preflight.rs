//! What the host must have, asked before anything is touched.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::unistd::geteuid;

use crate::boot::{Firmware, uefi};

/// A program that a stage needs, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    name: &'static str,
    package: &'static str,
}

/// Checks ext2, ext3 and ext4.
pub const E2FSCK: Tool = Tool {
    name: "e2fsck",
    package: "e2fsprogs",
};
/// Enters the guest.
pub const UNSHARE: Tool = Tool {
    name: "unshare",
    package: "util-linux",
};
/// Boots the image.
pub const QEMU: Tool = Tool {
    name: "qemu-system-x86_64",
    package: "qemu-system-x86",
};

/// Why the host cannot do the work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreflightError {
    /// Loop devices, mounts and chroot need root.
    #[error("loop devices and mounts need root; run this as root or with sudo")]
    NotRoot,
    /// A program is missing.
    #[error("`{tool}` is missing; install the package {package}")]
    Missing {
        /// The program or firmware.
        tool: &'static str,
        /// Its package in Debian and Ubuntu.
        package: &'static str,
    },
}

/// Asks for root.
///
/// # Errors
///
/// [`PreflightError::NotRoot`].
pub fn require_root() -> Result<(), PreflightError> {
    if geteuid().is_root() {
        Ok(())
    } else {
        Err(PreflightError::NotRoot)
    }
}

/// Asks for programs.
///
/// # Errors
///
/// [`PreflightError::Missing`], for the first that is not there.
pub fn require_tools(tools: &[Tool]) -> Result<(), PreflightError> {
    for tool in tools {
        if find(tool.name).is_none() {
            return Err(PreflightError::Missing {
                tool: tool.name,
                package: tool.package,
            });
        }
    }
    Ok(())
}

/// Asks for what a boot needs.
///
/// # Errors
///
/// [`PreflightError::Missing`]: QEMU or its firmware is not there.
pub fn require_machine(firmware: Firmware) -> Result<(), PreflightError> {
    require_tools(&[QEMU])?;
    if firmware == Firmware::Uefi && !uefi::is_there() {
        return Err(PreflightError::Missing {
            tool: "OVMF",
            package: "ovmf",
        });
    }
    Ok(())
}

fn find(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|dir| dir.join(name))
        .find(|path| {
            fs::metadata(path).is_ok_and(|metadata| {
                metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
            })
        })
}
