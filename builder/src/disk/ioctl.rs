//! The ioctls that no crate offers.
//!
//! Layouts and numbers: `linux/loop.h` (`LOOP_CONFIGURE`, Linux 5.8), `linux/fs.h` (`FITRIM`) and
//! `linux/ext4.h` (`EXT4_IOC_CHECKPOINT`, Linux 5.14).
//! `LOOP_SET_FD` with `LOOP_SET_STATUS64` would do too, but between the two calls the loop device
//! covers the whole disk and does not clear itself: a SIGKILL there would leave it behind.
#![expect(unsafe_code, reason = "ioctl(2) is untyped")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::loop_device::Access;
use crate::units::{ByteRange, SECTOR_SIZE};

const LOOP_CONFIGURE: u16 = 0x4c0a;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `struct loop_info64`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct LoopInfo64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

/// `struct fstrim_range`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct FstrimRange {
    start: u64,
    len: u64,
    min_len: u64,
}

const _: () = assert!(size_of::<LoopInfo64>() == 232 && size_of::<LoopConfig>() == 304);

nix::ioctl_write_ptr_bad!(loop_configure_ioctl, LOOP_CONFIGURE, LoopConfig);
nix::ioctl_readwrite!(fitrim_ioctl, b'X', 121, FstrimRange);
nix::ioctl_write_ptr!(ext4_checkpoint_ioctl, b'f', 43, u32);

/// Binds the loop device `device` to `range` of `backing`, to clear itself when its last user goes.
///
/// # Errors
///
/// What ioctl(2) says; EBUSY where another process was faster.
pub(super) fn loop_configure(
    device: &impl AsRawFd,
    backing: &File,
    range: ByteRange,
    access: Access,
) -> io::Result<()> {
    let sector_size = u32::try_from(SECTOR_SIZE).map_err(io::Error::other)?;
    let config = LoopConfig {
        fd: u32::try_from(backing.as_raw_fd()).map_err(io::Error::other)?,
        block_size: sector_size,
        info: LoopInfo64 {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: range.start(),
            size_limit: range.len(),
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: match access {
                Access::ReadOnly => LO_FLAGS_AUTOCLEAR | LO_FLAGS_READ_ONLY,
                Access::ReadWrite => LO_FLAGS_AUTOCLEAR,
            },
            file_name: [0; 64],
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: the pointer is that of a live `struct loop_config` of the size asserted above, which
    // the kernel only reads; both descriptors are open for the duration of the call.
    unsafe { loop_configure_ioctl(device.as_raw_fd(), &raw const config) }?;
    Ok(())
}

/// Discards the free space of the mounted file system that `fd` is on; gives the bytes discarded.
///
/// # Errors
///
/// What ioctl(2) says: EOPNOTSUPP or ENOTTY where the file system or the device cannot.
pub(crate) fn fitrim(fd: &impl AsFd) -> io::Result<u64> {
    let mut range = FstrimRange {
        start: 0,
        len: u64::MAX,
        min_len: 0,
    };
    // SAFETY: the pointer is that of a live `struct fstrim_range`, which the kernel reads and whose
    // `len` it writes; the descriptor is open for the duration of the call.
    unsafe { fitrim_ioctl(fd.as_fd().as_raw_fd(), &raw mut range) }?;
    Ok(range.len)
}

/// Brings everything in the journal of the mounted ext file system that `fd` is on to its place.
///
/// # Errors
///
/// What ioctl(2) says: ENOTTY on another file system or before Linux 5.14, ENODEV without a
/// journal.
pub(crate) fn ext4_checkpoint(fd: &impl AsFd) -> io::Result<()> {
    let flags = 0;
    // SAFETY: the pointer is that of a live `u32`, which the kernel only reads; the descriptor is
    // open for the duration of the call.
    unsafe { ext4_checkpoint_ioctl(fd.as_fd().as_raw_fd(), &raw const flags) }?;
    Ok(())
}
