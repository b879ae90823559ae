//! The command line of `byoi-agent`.

mod prepare;
mod restore;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::apply::GuestShell;
use crate::cmd::Cmd;
use crate::error::Error;
use crate::guest::GuestCommand;
use crate::narration::tell;
use crate::report::{Report, Stage, Verdict};
use crate::report_file::{self, is_same_file};
use crate::root::GuestRoot;
use crate::rules::{self, KnownDisk};
use crate::run;
use crate::selection::Selection;
use crate::text::printable;

/// Exit codes, the same for both programs.
pub mod exit {
    /// No blocker is left.
    pub const READY: u8 = 0;
    /// The work was done; blockers remain.
    pub const BLOCKED: u8 = 1;
    /// The command line makes no sense.
    pub const USAGE: u8 = 2;
    /// It could not run or finish.
    pub const FAILED: u8 = 3;
}

/// Frees a Linux guest of everything that ties it to the machine it ran on.
#[derive(Debug, Parser)]
#[command(name = "byoi-agent", version, max_term_width = 80)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what is wrong with the guest; change nothing
    Check(Target),
    /// Put right what is wrong, then check again
    Prepare(prepare::Args),
    /// Undo a prepare with the bundle that it wrote
    Restore(restore::Args),
    /// What the unit of prepare --at-shutdown runs
    #[command(hide = true)]
    AtShutdown,
    /// List the rules: id, severity, what, why, link
    Rules {
        /// How to print the list
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

#[derive(Debug, Args)]
struct Target {
    /// The guest's root directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// `--only`, `--skip` and `--clean`.
#[derive(Debug, Args)]
pub struct RuleArgs {
    /// Use this rule alone (may be repeated)
    #[arg(long, value_name = "RULE")]
    only: Vec<String>,
    /// Report what this rule sees, but let it decide and change nothing
    #[arg(long, value_name = "RULE")]
    skip: Vec<String>,
    /// Clean away logs, caches and shell histories too (rules clean/...)
    #[arg(long)]
    clean: bool,
}

impl From<RuleArgs> for Selection {
    fn from(args: RuleArgs) -> Self {
        Self {
            only: args.only,
            skip: args.skip,
            clean: args.clean,
        }
    }
}

/// How standard output looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person
    #[default]
    Text,
    /// For a program
    Json,
}

/// `--format` and `--report`.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// How to print the report
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Also write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

impl OutputArgs {
    /// Refuses a `--report` that would be written over a disk image. To be asked before any work.
    ///
    /// # Errors
    ///
    /// The report has the name of one of these, or is the same file.
    pub fn spare(&self, images: &[&Path]) -> anyhow::Result<()> {
        let Some(report) = &self.report else {
            return Ok(());
        };
        match images.iter().find(|image| is_same_file(report, image)) {
            None => Ok(()),
            Some(image) => bail!(
                "{} is the image {}; name another file for the report",
                report.display(),
                image.display()
            ),
        }
    }

    /// Writes a report to `--report`, and prints it to standard output.
    ///
    /// # Errors
    ///
    /// One of the two could not be written.
    pub fn print(&self, report: &impl serde::Serialize, text: &str) -> anyhow::Result<()> {
        self.print_to(&mut io::stdout().lock(), report, text)
    }

    /// As [`OutputArgs::print`], to another stream than standard output.
    ///
    /// # Errors
    ///
    /// One of the two could not be written.
    pub fn print_to(
        &self,
        stream: &mut dyn Write,
        report: &impl serde::Serialize,
        text: &str,
    ) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(report).context("encoding the report")? + "\n";
        // The file first: the stream may have gone with the connection that it went through.
        if let Some(path) = &self.report {
            report_file::write(path, &json)
                .with_context(|| format!("writing the report to {}", path.display()))?;
        }
        stream
            .write_all(match self.format {
                Format::Text => text.as_bytes(),
                Format::Json => json.as_bytes(),
            })
            .and_then(|()| stream.flush())
            .context("printing the report")
    }
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    ///
    /// It could not be done.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Check(target) => target.check(),
            Command::Prepare(args) => args.run(),
            Command::Restore(args) => args.run(),
            Command::AtShutdown => prepare::at_shutdown(),
            Command::Rules { format } => print_rules(format),
        }
    }
}

impl Target {
    fn check(self) -> anyhow::Result<ExitCode> {
        let started = Instant::now();
        let root = GuestRoot::open(&self.root)?;
        let rules = self.catalogue();
        let outcome = run::check(&root, &rules, &self.rules.into())?;
        let report = Report::of_root(&self.root, outcome, stages(started));
        self.output.print(&report, &report.to_text(false))?;
        Ok(exit_code(report.verdict))
    }

    /// The rules for this guest.
    fn catalogue(&self) -> Vec<Box<dyn rules::Rule>> {
        rules::catalogue(KnownDisk {
            is_running: self.is_live(),
            ..KnownDisk::default()
        })
    }

    /// Whether the guest is the running system.
    fn is_live(&self) -> bool {
        is_same_file(&self.root, Path::new("/"))
    }
}

fn stages(started: Instant) -> Vec<Stage> {
    vec![Stage {
        name: "guest",
        seconds: started.elapsed().as_secs_f64(),
    }]
}

/// The exit code of a verdict, or of work that ended in none.
pub fn exit_code(verdict: Option<Verdict>) -> ExitCode {
    ExitCode::from(match verdict {
        Some(Verdict::Blocked) => exit::BLOCKED,
        Some(Verdict::Ready) | None => exit::READY,
    })
}

/// The exit code of a failure, which is also told on standard error.
pub fn failure(program: &str, error: &anyhow::Error) -> ExitCode {
    let text = format!("{error:#}");
    let lines: Vec<_> = text.lines().map(printable).collect();
    tell(format_args!("{program}: {}", lines.join("\n")));
    let usage = matches!(
        error.downcast_ref::<Error>(),
        Some(Error::UnknownRule { .. } | Error::NotLive { .. })
    );
    ExitCode::from(if usage { exit::USAGE } else { exit::FAILED })
}

fn confirm() -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        bail!("this changes the running system; say --yes to go on");
    }
    write!(
        io::stderr(),
        "This changes the running system. Go on? [y/N] "
    )
    .context("asking")?;
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("reading the answer")?;
    if !answer.trim().eq_ignore_ascii_case("y") {
        bail!("nothing was changed");
    }
    Ok(())
}

/// Runs commands on the running system, and none in a directory.
struct Shell {
    live: bool,
}

impl GuestShell for Shell {
    fn is_available(&self) -> bool {
        self.live
    }

    fn run(&self, command: &GuestCommand) -> Result<(), Error> {
        if !self.live {
            return Err(Error::ForeignCommand {
                command: command.argv.join(" "),
            });
        }
        let mut argv = command.argv.iter();
        let Some(program) = argv.next() else {
            return Ok(());
        };
        Cmd::new(program)
            .args(argv)
            .run()
            .map(drop)
            .map_err(Error::Command)
    }
}

fn print_rules(format: Format) -> anyhow::Result<ExitCode> {
    let metas: Vec<_> = rules::catalogue(KnownDisk::default())
        .iter()
        .map(|rule| rule.meta())
        .collect();
    let mut stdout = io::stdout().lock();
    if format == Format::Json {
        serde_json::to_writer_pretty(&mut stdout, &metas).context("printing the rules")?;
        writeln!(stdout)?;
    } else {
        for meta in metas {
            writeln!(
                stdout,
                "{:<24} {:<8} {}",
                meta.id, meta.severity, meta.title
            )?;
            writeln!(stdout, "    {}\n    {}", meta.why, meta.doc)?;
        }
    }
    Ok(ExitCode::from(exit::READY))
}
