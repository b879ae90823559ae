//! `byoi-agent restore`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use super::{OutputArgs, confirm, exit, stages};
use crate::bundle::{self, Choice, Machine, Source};
use crate::narration::tell;
use crate::report::Report;
use crate::report_file::is_same_file;
use crate::root::{GuestRoot, GuestRootMut};

/// The arguments of `restore`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code 0: everything is as it was before prepare. 3: refused, and nothing \
                  was changed, or failed, and running it again completes it."
)]
pub(super) struct Args {
    /// The guest's root directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// The bundle that prepare wrote, or standard input (-)
    ///
    /// Of several, made by one prepare after the other, the last one comes first.
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    /// Restore what is of another machine, and overwrite what was changed since
    #[arg(long)]
    force: bool,
    /// Say what would be restored and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before changing the running system
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.output.spare(&[&self.bundle])?;
        let choice = Choice {
            live: is_same_file(&self.root, Path::new("/")),
            force: self.force,
            dry_run: self.dry_run,
        };
        if choice.live && !self.dry_run && !self.yes {
            confirm()?;
        }
        let started = Instant::now();
        let root = GuestRootMut::open(&self.root)?;
        let host = GuestRoot::open(Path::new("/"))?;
        let source = Source::open(&self.bundle)?;
        let machine = Machine::look(root.reader(), &host, choice.live)?;
        let outcome = bundle::restore(&source, &root, &machine, choice)?;
        let report = Report::of_restore(&self.root, outcome.changes, stages(started));
        self.output.print(&report, &report.to_text(false))?;
        if choice.live && !choice.dry_run && !report.changes.is_empty() {
            tell(
                "byoi-agent: addresses and services that are enabled again come back with the next \
                 boot: restart to have them now",
            );
        }
        Ok(ExitCode::from(exit::READY))
    }
}
