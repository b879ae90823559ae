//! What the unit does as the machine stops.

use super::arm::disarm;
use super::{ORDER, ORDER_LIMIT, Order, ShutdownError};
use crate::apply::GuestShell;
use crate::bundle::{Machine, Manifest, lacking};
use crate::cmd::Cmd;
use crate::error::Error;
use crate::root::GuestRootMut;
use crate::rules;
use crate::run::{self, Outcome};

/// Does what was ordered when the unit was armed; `None` where nothing was, or it was called off.
///
/// # Errors
///
/// The machine is not stopping, or the bundle would not undo what is to be done, and nothing is
/// changed; or the guest could not be read or written.
pub fn stop(root: &GuestRootMut, shell: &dyn GuestShell) -> Result<Option<Outcome>, Error> {
    let Some(json) = root.reader().read(&ORDER.into(), ORDER_LIMIT)? else {
        return Ok(None);
    };
    let order: Order = serde_json::from_slice(&json)
        .map_err(std::io::Error::from)
        .map_err(Error::io("reading", ORDER))?;
    if !is_stopping()? {
        return Err(Error::Shutdown(ShutdownError::NotStopping));
    }
    disarm(root)?;
    let rules = rules::catalogue(rules::KnownDisk {
        is_running: true,
        stopped: Some(order.manifest.detached.clone()),
        ..rules::KnownDisk::default()
    });
    let planned = run::plan(root.reader(), &rules, &order.selection, shell)?;
    let now = Manifest::of(root.reader(), Machine::default(), planned.plan())?;
    let lacking = lacking(&order.manifest, &now);
    if !lacking.is_empty() {
        return Err(Error::Shutdown(ShutdownError::Changed {
            differences: lacking.join("\n"),
        }));
    }
    planned.apply(root, shell).map(Some)
}

/// Whether the whole machine stops, not this unit alone.
fn is_stopping() -> Result<bool, Error> {
    // Any state but `running` is an exit code other than 0.
    let said = Cmd::new("systemctl")
        .arg("is-system-running")
        .success_codes(&[1, 3, 4])
        .run()
        .map_err(Error::Command)?;
    Ok(said.stdout.trim_ascii() == b"stopping")
}
