//! The command line of `byoi-builder`.

use std::env::temp_dir;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Context;
use byoi_agent::cli::{OutputArgs, RuleArgs, exit_code};
use byoi_agent::rules::access_ssh_key::{PublicKey, UserName};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::boot::{Accel, Board, Firmware, Profile};
use crate::deflate::Level;
use crate::guest_exec::{GUEST_EXEC, guest_exec};
use crate::image::Input;
use crate::pipeline::{
    self, BootOptions, BuildRequest, ConvertRequest, GptOptions, OutputFormat, WriteOptions,
};
use crate::progress::Narrator;
use crate::qcow2::Compression;
use crate::report::BuildReport;

/// The most threads that compress unless more are asked for: with the memory of each, a disk is
/// written in 128 MiB.
const MAX_THREADS: NonZeroUsize = NonZeroUsize::new(32).expect("it is not 0");

/// Makes any VM disk ready for import into Oracle Cloud Infrastructure, and
/// proves that it boots.
#[derive(Debug, Parser)]
#[command(name = "byoi-builder", version, max_term_width = 80)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge an image; change nothing
    Check(Check),
    /// Tell what is on an image: partitions, file systems, guest
    Inspect(Inspect),
    /// Make an image ready: copy, prepare, write a QCOW2 or VMDK, boot it
    Build(Build),
    /// Write an image as a QCOW2 or VMDK, as it is; judge nothing
    Convert(Convert),
    /// Boot an image as OCI would; change nothing
    BootTest(BootTest),
    #[command(name = GUEST_EXEC, hide = true)]
    GuestExec { root: PathBuf, argv: Vec<String> },
}

#[derive(Debug, Args)]
struct ImageArgs {
    /// The disk image: raw, QCOW2, VMDK, VDI, VHD, VHDX or OVA, also packed by
    /// gzip, xz or zstd; `-` is standard input. It is never written
    image: PathBuf,
    /// Which disk of an OVA with several, from 1
    #[arg(long, value_name = "N")]
    disk: Option<NonZeroUsize>,
    /// Read the files that a QCOW2 names as its backing files
    #[arg(long)]
    allow_backing: bool,
}

impl From<ImageArgs> for Input {
    fn from(args: ImageArgs) -> Self {
        Self {
            path: args.image,
            allow_backing: args.allow_backing,
            disk: args.disk,
        }
    }
}

#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    image: ImageArgs,
    /// Let a GPT be a warning instead of a blocker
    #[arg(long)]
    accept_gpt: bool,
    /// Where temporary files go [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    report: OutputArgs,
}

#[derive(Debug, Args)]
struct Inspect {
    #[command(flatten)]
    image: ImageArgs,
    /// Where temporary files go [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    #[command(flatten)]
    report: OutputArgs,
}

#[derive(Debug, Args)]
struct Convert {
    #[command(flatten)]
    image: ImageArgs,
    /// The image to make: a streamOptimized VMDK where the name ends in .vmdk,
    /// else a QCOW2
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Where temporary files go [default: the directory of OUT]
    #[arg(long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    report: OutputArgs,
}

#[derive(Debug, Args)]
struct WriteArgs {
    /// How clusters are compressed; those of a VMDK are by zlib
    #[arg(long, value_enum, default_value_t = CompressionArg::Zlib)]
    compression: CompressionArg,
    /// How hard it tries: fast (1-3), default (4-7) or best (8-9); for zstd
    /// these are its levels 1, 2 and 15
    #[arg(long, value_name = "N", default_value = "default", value_parser = level)]
    level: Level,
    /// How many threads compress [default: one for each processor, up to 32]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
struct GptArgs {
    /// Let a GPT be a warning instead of a blocker
    #[arg(long, conflicts_with = "convert_gpt")]
    accept_gpt: bool,
    /// Write an MBR in place of a GPT, and GRUB for a BIOS
    #[arg(long)]
    convert_gpt: bool,
}

impl From<GptArgs> for GptOptions {
    fn from(args: GptArgs) -> Self {
        Self {
            accept: args.accept_gpt,
            convert: args.convert_gpt,
        }
    }
}

#[derive(Debug, Args)]
struct Build {
    #[command(flatten)]
    image: ImageArgs,
    /// The image to make: a streamOptimized VMDK where the name ends in .vmdk,
    /// else a QCOW2
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Where temporary files go [default: the directory of OUT]
    #[arg(long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    #[command(flatten)]
    rules: RuleArgs,
    /// Put this public key where the guest's SSH server looks for it
    #[arg(long, value_name = "FILE")]
    ssh_key: Option<PathBuf>,
    /// The key is for this user, who is made if need be [default: root where
    /// root may log in, else the first ordinary user]
    #[arg(long, value_name = "NAME", requires = "ssh_key")]
    user: Option<UserName>,
    #[command(flatten)]
    gpt: GptArgs,
    /// Make the image although blockers remain (and still exit with 1)
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    write: WriteArgs,
    /// Leave out the boot test; the image is then unproved
    #[arg(long)]
    no_boot_test: bool,
    #[command(flatten)]
    boot: BootArgs,
    #[command(flatten)]
    report: OutputArgs,
}

#[derive(Debug, Args)]
struct BootTest {
    #[command(flatten)]
    image: ImageArgs,
    /// Where temporary files go [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    #[command(flatten)]
    boot: BootArgs,
    #[command(flatten)]
    report: OutputArgs,
}

#[derive(Debug, Args)]
struct BootArgs {
    /// The launch mode of OCI
    #[arg(long, value_enum, default_value_t = Profile::Paravirtualized)]
    profile: Profile,
    /// The firmware
    #[arg(long, value_enum, default_value_t = Firmware::Bios)]
    firmware: Firmware,
    /// The main board; it decides the name of the NIC
    #[arg(long, value_enum, default_value_t = Board::Q35)]
    machine: Board,
    /// What runs the guest
    #[arg(long, value_enum, default_value_t = Accel::Auto)]
    accel: Accel,
    /// How long a boot may take, in seconds
    #[arg(long, value_name = "S", default_value_t = 900)]
    timeout: u64,
}

impl BootArgs {
    fn options(&self) -> BootOptions {
        BootOptions {
            board: self.machine,
            profile: self.profile,
            firmware: self.firmware,
            accel: self.accel,
            timeout: Duration::from_secs(self.timeout),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CompressionArg {
    /// Deflate, which every reader knows
    Zlib,
    /// Faster and smaller, for readers of 2020 or later: QEMU 5.1
    Zstd,
    /// No compression
    None,
}

impl WriteArgs {
    fn options(&self, output: &Path) -> WriteOptions {
        let level = self.level;
        let is_vmdk = output
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("vmdk"));
        let format = match self.compression {
            CompressionArg::Zlib if is_vmdk => OutputFormat::Vmdk(level),
            CompressionArg::Zstd | CompressionArg::None if is_vmdk => Cli::command()
                .error(
                    ErrorKind::ArgumentConflict,
                    "a VMDK is compressed by zlib: leave out --compression, or name a .qcow2",
                )
                .exit(),
            CompressionArg::Zlib => OutputFormat::Qcow2(Compression::Zlib { level }),
            CompressionArg::Zstd => OutputFormat::Qcow2(Compression::Zstd { level }),
            CompressionArg::None => OutputFormat::Qcow2(Compression::None),
        };
        WriteOptions {
            format,
            threads: self.threads.unwrap_or_else(|| {
                available_parallelism().map_or(NonZeroUsize::MIN, |cores| cores.min(MAX_THREADS))
            }),
        }
    }
}

fn level(text: &str) -> Result<Level, String> {
    match text {
        "fast" | "1" | "2" | "3" => Ok(Level::Fast),
        "default" | "4" | "5" | "6" | "7" => Ok(Level::Default),
        "best" | "8" | "9" => Ok(Level::Best),
        _ => Err("fast, default, best or a level from 1 to 9 is expected".to_owned()),
    }
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    ///
    /// It could not be done.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let narrator = Narrator::for_stderr();
        let (report, output) = match self.command {
            Command::Check(check) => {
                let input = Input::from(check.image);
                check.report.spare(&[&input.path])?;
                let workdir = check.workdir.unwrap_or_else(temp_dir);
                let report = pipeline::check(
                    &input,
                    &workdir,
                    &check.rules.into(),
                    check.accept_gpt,
                    narrator,
                )?;
                (report, check.report)
            }
            Command::Inspect(inspect) => {
                let input = Input::from(inspect.image);
                inspect.report.spare(&[&input.path])?;
                let workdir = inspect.workdir.unwrap_or_else(temp_dir);
                let report = pipeline::inspect(&input, &workdir, narrator)?;
                (report, inspect.report)
            }
            Command::Convert(convert) => {
                let input = Input::from(convert.image);
                convert.report.spare(&[&input.path, &convert.output])?;
                let request = ConvertRequest {
                    write: convert.write.options(&convert.output),
                    input,
                    workdir: convert
                        .workdir
                        .unwrap_or_else(|| beside(&convert.output).to_owned()),
                    output: convert.output,
                };
                (pipeline::convert(&request, narrator)?, convert.report)
            }
            Command::Build(build) => {
                let (request, output) = build.into_request()?;
                output.spare(&[&request.input.path, &request.output])?;
                (pipeline::build(&request, narrator)?, output)
            }
            Command::GuestExec { root, argv } => match guest_exec(&root, &argv) {
                Ok(never) => match never {},
                Err(error) => {
                    return Err(error).with_context(|| format!("entering {}", root.display()));
                }
            },
            Command::BootTest(test) => {
                let input = Input::from(test.image);
                test.report.spare(&[&input.path])?;
                let workdir = test.workdir.unwrap_or_else(temp_dir);
                let options = test.boot.options();
                let report = pipeline::boot_test(&input, &workdir, &options, narrator)?;
                (report, test.report)
            }
        };
        print(&report, &output)
    }
}

impl Build {
    fn into_request(self) -> anyhow::Result<(BuildRequest, OutputArgs)> {
        let request = BuildRequest {
            workdir: self
                .workdir
                .unwrap_or_else(|| beside(&self.output).to_owned()),
            input: self.image.into(),
            selection: self.rules.into(),
            ssh_key: self.ssh_key.as_deref().map(public_key).transpose()?,
            user: self.user,
            gpt: self.gpt.into(),
            force: self.force,
            write: self.write.options(&self.output),
            boot: (!self.no_boot_test).then(|| self.boot.options()),
            output: self.output,
        };
        Ok((request, self.report))
    }
}

/// The directory of a file.
fn beside(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

fn public_key(path: &Path) -> anyhow::Result<PublicKey> {
    let reading = || format!("reading the public key {}", path.display());
    fs::read_to_string(path)
        .with_context(reading)?
        .parse()
        .with_context(reading)
}

fn print(report: &BuildReport, output: &OutputArgs) -> anyhow::Result<ExitCode> {
    output.print(report, &report.to_text())?;
    Ok(exit_code(report.verdict()))
}
