//! Attaches again what an earlier run on this machine detached, once its files are as they were.

use std::path::Path;
use std::process::ExitCode;

use byoi_agent::live::{Record, reattach};
use byoi_agent::root::GuestRootMut;

fn main() -> ExitCode {
    let attached = GuestRootMut::open(Path::new("/")).and_then(|root| {
        let record = Record::remembered(root.reader())?;
        reattach(&record, &root)
    });
    match attached {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("byoi-reattach: {error}");
            ExitCode::FAILURE
        }
    }
}
