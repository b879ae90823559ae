//! `byoi-agent prepare`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;

use super::{Shell, Target, confirm, exit, exit_code, stages};
use crate::bundle::{self, Destination, Machine, Manifest};
use crate::cmd::Cmd;
use crate::error::Error;
use crate::finding::Finding;
use crate::narration::tell;
use crate::plan::{Action, Change};
use crate::report::{Report, Verdict};
use crate::root::{GuestRoot, GuestRootMut};
use crate::run;
use crate::selection::Selection;
use crate::shutdown;
use crate::text::printable;

/// The arguments of `prepare`.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
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
    /// Prepare once, as the machine stops the next time
    ///
    /// The network and iSCSI have stopped then. The bundle is written now. Needs systemd; nothing
    /// of it is on disk.
    #[arg(long, conflicts_with = "dry_run")]
    at_shutdown: bool,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let live = self.target.is_live();
        for (asked, option) in [
            (self.poweroff, "--poweroff"),
            (self.at_shutdown, "--at-shutdown"),
        ] {
            if asked && !live {
                return Err(self.not_live(option).into());
            }
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
        let rules = self.target.catalogue();
        let selection: Selection = self.target.rules.into();
        let planned = run::plan(root.reader(), &rules, &selection, &shell)?;
        let manifest = if destination.is_some() || self.at_shutdown {
            let machine = Machine::look(root.reader(), &host, live)?;
            // What detaches a volume at the stop is the stop itself.
            if !self.at_shutdown {
                planned.plan().unobstructed()?;
            }
            Some(Manifest::of(root.reader(), machine, planned.plan())?)
        } else {
            None
        };
        if let (Some(destination), Some(manifest)) = (&destination, &manifest) {
            keep(manifest, root.reader(), destination)?;
        }
        let mut left = Vec::new();
        let outcome = if self.dry_run {
            planned.into_outcome()
        } else if let Some(manifest) = manifest.filter(|_| self.at_shutdown) {
            left = run::foresee(root.reader(), &rules, &selection, &shell)?;
            shutdown::arm(&root, selection, manifest)?;
            tell(format_args!(
                "byoi-agent: this machine is prepared as it stops the next time; remove {} to call \
                 that off",
                shutdown::ORDER
            ));
            planned.into_outcome()
        } else {
            let outcome = planned.apply(&root, &shell)?;
            if live && outcome.changes.iter().any(is_host_key) {
                tell(
                    "byoi-agent: the SSH host keys are gone until the next boot makes new ones: keep \
                     this session open, or reach the machine by its console until then",
                );
            }
            outcome
        };
        let report = Report::of_root(&self.target.root, outcome, stages(started));
        let text = report.to_text(self.dry_run);
        let output = self.target.output;
        let printed = match destination {
            Some(Destination::Stdout) => output.print_to(&mut io::stderr(), &report, &text),
            _ => output.print(&report, &text),
        };
        // What the plan puts right at the stop is not open then.
        let verdict = if self.at_shutdown {
            tell_left(&left, self.poweroff);
            Verdict::of(&left)
        } else {
            Verdict::of(&report.findings)
        };
        if self.poweroff && verdict == Verdict::Ready {
            power_off()?;
        }
        printed.map(|()| exit_code(Some(verdict)))
    }

    fn not_live(&self, option: &'static str) -> Error {
        Error::NotLive {
            option,
            root: self.target.root.display().to_string(),
        }
    }
}

/// Writes a bundle of everything that a plan touches.
fn keep(manifest: &Manifest, root: &GuestRoot, destination: &Destination) -> Result<(), Error> {
    if manifest.paths.is_empty() {
        tell(
            "byoi-agent: nothing is to be changed, so this bundle undoes nothing; keep that of the \
             run that changed this guest",
        );
    }
    destination.write(|out| bundle::write(manifest, root, out))
}

/// What the unit that `--at-shutdown` arms runs.
pub(super) fn at_shutdown() -> anyhow::Result<ExitCode> {
    let path = Path::new("/");
    let started = Instant::now();
    let root = GuestRootMut::open(path)?;
    let Some(outcome) = shutdown::stop(&root, &Shell { live: true })? else {
        tell("byoi-agent: nothing was ordered for this stop");
        return Ok(ExitCode::from(exit::READY));
    };
    let report = Report::of_root(path, outcome, stages(started));
    // The machine stops, whether there is a console or not.
    io::stdout()
        .write_all(report.to_text(false).as_bytes())
        .ok();
    Ok(exit_code(report.verdict))
}

/// Tells which blockers the stop will not put right.
fn tell_left(left: &[Finding], poweroff: bool) {
    for finding in left {
        tell(format_args!(
            "byoi-agent: {} stays, in {}: {}",
            finding.rule,
            printable(&finding.subject),
            printable(&finding.message)
        ));
    }
    if poweroff && !left.is_empty() {
        tell("byoi-agent: the machine is not powered off, since the image would not be ready");
    }
}

/// Whether a change removes a host key, without which sshd takes no connection.
fn is_host_key(change: &Change) -> bool {
    change.action == Action::Remove && change.path.starts_with("/etc/ssh/ssh_host_")
}

fn power_off() -> anyhow::Result<()> {
    // Every init has it; systemd's asks the manager and returns.
    Cmd::new("poweroff")
        .run()
        .map(drop)
        .context("powering off; everything else is done")
}
