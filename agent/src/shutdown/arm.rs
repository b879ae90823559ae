//! Arming the unit.

use super::{DIRECTORY, ORDER, Order, ShutdownError, UNIT, UNITS, unit};
use crate::bundle::Manifest;
use crate::cmd::Cmd;
use crate::error::Error;
use crate::guest::Owner;
use crate::root::{Attributes, FileKind, GuestPath, GuestRootMut, LABEL};
use crate::selection::Selection;

/// Where a copy of the program can live in memory.
const IN_MEMORY: [&str; 2] = [DIRECTORY, "/dev/shm/byoi"];
/// This program.
const SELF: &str = "/proc/self/exe";
/// The largest program that is copied, in bytes.
const PROGRAM_LIMIT: u64 = 64 << 20;
/// A program that every guest lets its init run.
const ANY_PROGRAM: &str = "/usr/bin/env";
/// For nobody but root.
const PRIVATE: Owner = Owner {
    uid: 0,
    gid: 0,
    mode: 0o600,
};

/// Lets the running system, whose `/` this is, be prepared at the next stop.
///
/// # Errors
///
/// It cannot be done here, and then nothing is left of it.
pub fn arm(root: &GuestRootMut, selection: Selection, manifest: Manifest) -> Result<(), Error> {
    let reader = root.reader();
    if reader.kind(&UNITS.into())? != Some(FileKind::Directory) {
        return Err(Error::Shutdown(ShutdownError::NoSystemd));
    }
    if reader.kind(&ORDER.into())?.is_some() {
        return Err(Error::Shutdown(ShutdownError::Armed));
    }
    let armed = install(
        root,
        &Order {
            selection,
            manifest,
        },
    );
    if armed.is_err() {
        disarm(root)?;
    }
    armed
}

/// Takes the unit and the order away; what runs already goes on.
pub(super) fn disarm(root: &GuestRootMut) -> Result<(), Error> {
    root.remove(&GuestPath::from(UNITS).join(UNIT))?;
    root.remove(&ORDER.into())
}

fn install(root: &GuestRootMut, order: &Order) -> Result<(), Error> {
    let json = serde_json::to_vec(order)
        .map_err(std::io::Error::other)
        .map_err(Error::io("writing", ORDER))?;
    root.create(&ORDER.into(), &json, Some(PRIVATE))?;
    let program = copy_program(root)?;
    let unit = GuestPath::from(UNITS).join(UNIT);
    root.create(&unit, unit::text(&program).as_bytes(), None)?;
    for args in [&["daemon-reload"][..], &["start", UNIT]] {
        Cmd::new("systemctl")
            .args(args)
            .run()
            .map_err(Error::Command)?;
    }
    Ok(())
}

/// A copy of this program that is there until the machine stops.
fn copy_program(root: &GuestRootMut) -> Result<GuestPath, Error> {
    let reader = root.reader();
    let Some(content) = reader.read(&SELF.into(), PROGRAM_LIMIT)? else {
        return Err(Error::Shutdown(ShutdownError::NoProgram));
    };
    let owner = Owner {
        mode: 0o700,
        ..PRIVATE
    };
    for dir in IN_MEMORY.map(GuestPath::from) {
        let above = dir.parent().unwrap_or_else(|| dir.clone());
        if reader.runs_programs(&above)? {
            let program = dir.join("byoi-agent");
            root.create(&program, &content, Some(owner))?;
            label(root, &program)?;
            return Ok(program);
        }
    }
    Err(Error::Shutdown(ShutdownError::NoExec {
        directories: IN_MEMORY.join(" and "),
    }))
}

/// SELinux lets init run what has the label of a program, wherever it is.
fn label(root: &GuestRootMut, program: &GuestPath) -> Result<(), Error> {
    let label = root.reader().label(&ANY_PROGRAM.into())?;
    if let (Some(label), Some((_, current))) = (label, root.reader().attributes(program)?) {
        let mut wanted = Attributes { ..current };
        wanted.xattrs.insert(LABEL.into(), label);
        root.set_attributes_of(program, &wanted)?;
    }
    Ok(())
}
