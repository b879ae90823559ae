//! `byoi-agent prepare`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;

use super::{Shell, Target, confirm, exit_code, stages};
use crate::bundle::{self, Destination, Machine, Manifest};
use crate::cmd::Cmd;
use crate::error::Error;
use crate::plan::Plan;
use crate::report::{Report, Verdict};
use crate::root::{GuestRoot, GuestRootMut};
use crate::rules;
use crate::run;

/// The arguments of `prepare`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// Show every change as a diff and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before changing the running system
    #[arg(long)]
    yes: bool,
    /// Write what undoes this to a new file, or to standard output (-)
    ///
    /// It is written before anything is changed. FILE must not be inside the guest, nor on the
    /// disk that is captured. With `-` the report goes to standard error.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    bundle: Option<PathBuf>,
    /// Power the machine off afterwards, unless blockers remain
    #[arg(long, conflicts_with = "dry_run")]
    poweroff: bool,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let live = self.target.is_live();
        if self.poweroff && !live {
            return Err(self.not_live("--poweroff").into());
        }
        let host = GuestRoot::open(Path::new("/"))?;
        let destination = self.bundle.as_deref().map(Destination::from);
        if let Some(destination) = &destination {
            destination.check(&self.target.root, &host, live)?;
        }
        if live && !self.dry_run && !self.yes {
            confirm()?;
        }
        let started = Instant::now();
        let root = GuestRootMut::open(&self.target.root)?;
        let shell = Shell { live };
        let rules = rules::catalogue(rules::KnownDisk::default());
        let selection = self.target.rules.into();
        let planned = run::plan(root.reader(), &rules, &selection, &shell)?;
        if let Some(destination) = &destination {
            keep(planned.plan(), root.reader(), &host, live, destination)?;
        }
        let outcome = if self.dry_run {
            planned.into_outcome()
        } else {
            planned.apply(&root, &shell)?
        };
        let report = Report::of_root(&self.target.root, outcome, stages(started));
        let text = report.to_text(self.dry_run);
        let output = self.target.output;
        match destination {
            Some(Destination::Stdout) => output.print_to(&mut io::stderr(), &report, &text)?,
            _ => output.print(&report, &text)?,
        }
        if self.poweroff && report.verdict == Some(Verdict::Ready) {
            power_off()?;
        }
        Ok(exit_code(report.verdict))
    }

    fn not_live(&self, option: &'static str) -> Error {
        Error::NotLive {
            option,
            root: self.target.root.display().to_string(),
        }
    }
}

/// Writes a bundle of everything that a plan touches.
fn keep(
    plan: &Plan,
    root: &GuestRoot,
    host: &GuestRoot,
    live: bool,
    destination: &Destination,
) -> Result<(), Error> {
    if plan.is_empty() {
        eprintln!(
            "byoi-agent: nothing is to be changed, so this bundle undoes nothing; keep that of the \
             run that changed this guest"
        );
    }
    let machine = Machine::look(root, host, live)?;
    let manifest = Manifest::of(root, machine, plan, Vec::new())?;
    destination.write(|out| bundle::write(&manifest, root, out))
}

fn power_off() -> anyhow::Result<()> {
    // Every init has it; systemd's asks the manager and returns.
    Cmd::new("poweroff")
        .run()
        .map(drop)
        .context("powering off; everything else is done")
}
