//! SIGINT and SIGTERM as a flag that long work asks for.
//!
//! A signal only sets the flag. Loops and [`crate::cmd`] ask for it and return an error, so that
//! every guard on the way out is dropped in order and nothing is left behind. A hangup that whoever
//! started the program wants ignored, as nohup(1) does, stays ignored.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::live::kernel::Kernel;
use crate::root::GuestRoot;

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The run was ended by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted by a signal")]
pub struct Interrupted;

impl From<Interrupted> for io::Error {
    fn from(_: Interrupted) -> Self {
        // Not ErrorKind::Interrupted: the standard library repeats those.
        io::Error::other(Interrupted)
    }
}

fn flag() -> &'static Arc<AtomicBool> {
    FLAG.get_or_init(|| Arc::new(AtomicBool::new(false)))
}

/// Whether SIGHUP is ignored; not, where the kernel does not say.
fn is_hangup_ignored() -> bool {
    let status = GuestRoot::open(Path::new("/"))
        .ok()
        .and_then(|root| Kernel(&root).fleeting(&"/proc/self/status".into()))
        .unwrap_or_default();
    // Each signal is a bit, from the lowest on that of signal 1 (proc(5)).
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (SIGHUP - 1) & 1 == 1)
}

/// Turns SIGINT, SIGTERM and SIGHUP into the flag. Called once, by `main`.
///
/// # Errors
///
/// The handler could not be registered.
pub fn install() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(flag()))?;
    }
    if !is_hangup_ignored() {
        signal_hook::flag::register(SIGHUP, Arc::clone(flag()))?;
    }
    Ok(())
}

/// Whether a signal has arrived.
pub fn requested() -> bool {
    flag().load(Ordering::Relaxed)
}

/// An error once a signal has arrived.
///
/// # Errors
///
/// [`Interrupted`], from the first signal on.
pub fn check() -> Result<(), Interrupted> {
    if requested() {
        Err(Interrupted)
    } else {
        Ok(())
    }
}
