//! Becoming a program of the guest.
//!
//! A process that was started for it, in namespaces of its own, leaves the host behind before the
//! guest's code gets a say: the guest becomes the root of the mount namespace and nothing else is
//! mounted there, `/proc` is read-only, every capability goes that reaches beyond files, and none
//! can be gained again. What is left is a root user with nothing but the guest's files.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, execve, pivot_root};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set, set_no_new_privs};

/// The command by which this program is told to do so. Not for people.
pub const GUEST_EXEC: &str = "guest-exec";
/// What root may still do: anything with the guest's files, and be other users.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP);
/// How many capabilities a kernel can have.
const CAPABILITIES: u32 = 64;
/// Gives the program a clean environment.
const ENV: &str = "/usr/bin/env";
const ENVIRONMENT: [&str; 5] = [
    "-i",
    "HOME=/",
    "LC_ALL=C",
    "TMPDIR=/tmp",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
];

/// Runs `argv` of the guest that is mounted on `root`, in place of this program.
///
/// # Errors
///
/// A step of the way out of the host failed, or the guest has no `/usr/bin/env`.
pub fn guest_exec(root: &Path, argv: &[String]) -> io::Result<Infallible> {
    const NONE: Option<&str> = None;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NONE, "/", NONE, private, NONE)?;
    // Both roots on one mount point, then the old one goes: pivot_root(2), "Notes".
    chdir(root)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    mount(Some("proc"), "/proc", Some("proc"), flags, NONE)?;
    drop_capabilities()?;
    set_no_new_privs(true)?;
    let words: Vec<CString> = [ENV]
        .into_iter()
        .chain(ENVIRONMENT)
        .chain(argv.iter().map(String::as_str))
        .map(CString::new)
        .collect::<Result<_, _>>()?;
    Ok(execve::<_, CString>(&words[0], &words, &[])?)
}

/// Takes the others from the bounding set, so that the program that is executed has none of them.
fn drop_capabilities() -> io::Result<()> {
    for number in 0..CAPABILITIES {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if KEPT.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            // This kernel has no more.
            Err(error) if error.raw_os_error() == Errno::EINVAL as i32 => break,
            result => result?,
        }
    }
    Ok(())
}
