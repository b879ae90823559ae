//! `prepare --at-shutdown`: a unit of systemd that prepares as the machine stops.
//!
//! Everything that this needs is below `/run`, which is in memory: the unit, the order, and a copy
//! of this program. It is gone after the next boot and never in the image, so that the unit is armed
//! for one stop only. The bundle is written when it is armed. At the stop a plan is made anew, and
//! done only if the bundle undoes it.
//!
//! The unit stops when the network, its clients and iSCSI have stopped, and before any local file
//! system is unmounted; see [`unit`].

mod arm;
mod stop;
mod unit;

use serde::{Deserialize, Serialize};

use crate::bundle::Manifest;
use crate::selection::Selection;

pub use arm::arm;
pub use stop::stop;

/// The directory of the order, and of the program where its file system lets programs run.
const DIRECTORY: &str = "/run/byoi";
/// What shall be done. Without it nothing is.
pub const ORDER: &str = "/run/byoi/order.json";
/// The largest order that is read, in bytes.
const ORDER_LIMIT: u64 = 256 << 20;
/// What the unit is called.
const UNIT: &str = "byoi-at-shutdown.service";
/// Where units live that are gone after the next boot.
const UNITS: &str = "/run/systemd/system";

/// What shall be done at the stop.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    selection: Selection,
    /// What the bundle holds.
    manifest: Manifest,
}

/// Why nothing can be done at the stop.
#[derive(Debug, thiserror::Error)]
pub enum ShutdownError {
    /// Another init runs the machine.
    #[error(
        "--at-shutdown needs systemd, and another init runs this machine; stop what uses the \
         network and say prepare --poweroff instead"
    )]
    NoSystemd,
    /// It was asked for before.
    #[error("this machine is prepared at the next stop already; remove {ORDER} to call that off")]
    Armed,
    /// No file system in memory runs programs.
    #[error(
        "--at-shutdown needs room in memory for a copy of this program, and {directories} are \
         mounted noexec; say prepare --poweroff instead"
    )]
    NoExec {
        /// Where it was looked for.
        directories: String,
    },
    /// This program's own file is gone.
    #[error("the file of this program cannot be read; start it from a file that stays there")]
    NoProgram,
    /// The unit was stopped by hand.
    #[error("the machine is not stopping; nothing was changed")]
    NotStopping,
    /// The bundle would not undo everything.
    #[error("this was changed since the bundle was made:\n{differences}\nnothing was changed")]
    Changed {
        /// What differs, one a line.
        differences: String,
    },
}
