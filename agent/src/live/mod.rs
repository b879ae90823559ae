//! The running system: volumes that iSCSI attached, taken off and put back.
//!
//! A [`survey`] asks the kernel which sessions there are, what is stacked on their disks, and which
//! of them the system itself is on; those are never touched. A [`release`] plans from it what to do,
//! in order: stop what attaches again, unmount, switch off swap space, take down mappings, log out.
//! Whatever stands in the way is an [`obstacle`], found before anything is changed; the plan's
//! [`record`] is enough for [`mod@reattach`] to put everything back. Without a session nothing is
//! run, so that a guest needs no iSCSI programs to be prepared. What names these volumes in files is
//! known by the [`volumes`].
//!
//! Each [`operation`] is done by [`detach`], looks first whether it is done already, and writes data
//! out before it lets go of it. A target that does not answer makes calls that never return; those
//! are made by a [`child`] that can be left behind.

pub mod block;
pub mod busy;
pub mod child;
pub mod detach;
pub mod error;
pub mod kernel;
pub mod namespace;
pub mod obstacle;
pub mod operation;
pub mod reattach;
pub mod record;
pub mod release;
pub mod services;
pub mod session;
pub mod survey;
pub mod swap;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod tool;
pub mod volumes;

pub use error::LiveError;
pub use operation::Operation;
pub use reattach::reattach;
pub use record::Record;
pub use release::Release;
