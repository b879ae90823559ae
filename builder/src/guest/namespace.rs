//! A mount namespace of our own.

use std::marker::PhantomData;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::GuestError;

/// The proof that this thread has a mount namespace of its own.
///
/// Namespaces belong to threads: this one, and the threads and programs that it starts from now on.
/// The proof therefore stays on its thread (it is not [`Send`]), and the pipeline asks for it
/// before it starts any other thread.
#[derive(Debug)]
pub struct PrivateMounts {
    _this_thread: PhantomData<*const ()>,
}

impl PrivateMounts {
    /// Leaves the host's mount namespace for a copy of it from which no mount leads back.
    ///
    /// # Errors
    ///
    /// [`GuestError::Namespace`]: the process lacks the privilege (`CAP_SYS_ADMIN`).
    pub fn enter() -> Result<Self, GuestError> {
        unshare(CloneFlags::CLONE_NEWNS).map_err(|errno| GuestError::Namespace {
            action: "leaving the host's mount namespace",
            source: errno.into(),
        })?;
        // Where the host shares its mounts (systemd does), so would the copy.
        mount(
            None::<&str>,
            "/",
            None::<&str>,
            MsFlags::MS_REC | MsFlags::MS_PRIVATE,
            None::<&str>,
        )
        .map_err(|errno| GuestError::Namespace {
            action: "making the mounts private",
            source: errno.into(),
        })?;
        Ok(Self {
            _this_thread: PhantomData,
        })
    }
}
