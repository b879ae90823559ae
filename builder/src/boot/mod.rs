//! The boot proof: runs a finished disk image as OCI would, and judges by what the guest does.
//!
//! A boot is proved when the guest itself shows that its kernel started, that root was mounted,
//! that a login or the multi-user target was reached and that the MAC address it never saw before
//! got a DHCP lease, while nothing was sent from an old address or MAC and no iSCSI portal was
//! called. That QEMU stays alive proves nothing. The image is never written, and the guest reaches
//! no network. UEFI is not supported yet.

mod accel;
mod attempt;
mod capture;
mod console;
mod dhcp;
mod frame;
mod mac;
mod machine;
mod milestones;
mod outcome;
mod pcap;
mod seconds;
mod ssh;
mod state;
mod traffic;
pub mod uefi;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use byoi_agent::cmd::CmdError;
use byoi_agent::interrupt;

pub use self::accel::{Accel, Acceleration, Accelerator};
pub use self::console::Line;
pub use self::mac::Mac;
pub use self::machine::{Board, DiskFormat, Firmware, Machine, Profile, QEMU};
pub use self::milestones::{Milestone, Stage, Trouble};
pub use self::outcome::{BootFailure, BootOutcome, BootProof, BootRecord, Cause, SshGreeting};
pub use self::seconds::Seconds;
pub use self::traffic::{DhcpEvent, Lease, Offence, Summary, Violation};

use self::attempt::Attempt;
use self::capture::CaptureError;
use self::state::Limits;
use crate::progress::Narrator;

/// The guest's memory, in MiB.
const MEMORY_MIB: u32 = 1024;

/// What to boot and how.
#[derive(Debug, Clone, Copy)]
pub struct BootRequest<'a> {
    /// The disk image; opened by name, read-only.
    pub image: &'a Path,
    /// Its format.
    pub format: DiskFormat,
    /// The main board.
    pub board: Board,
    /// Disk and NIC.
    pub profile: Profile,
    /// The firmware.
    pub firmware: Firmware,
    /// What runs the guest.
    pub accel: Accel,
    /// How long one attempt may take to reach everything.
    pub timeout: Duration,
    /// Where temporary files go: the guest's writes and the packet capture.
    pub workdir: &'a Path,
    /// Whether the guest has an SSH server worth waiting for.
    pub ssh_expected: bool,
}

/// Why the boot test could not be run.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// There is no temporary directory.
    #[error("creating a temporary directory in {path}: choose another with --workdir")]
    WorkDir {
        /// The directory for temporary files.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The host lacks what a machine needs.
    #[error("preparing {what} for the boot test")]
    Host {
        /// What is missing.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// KVM was asked for and is not there.
    #[error("opening /dev/kvm: use --accel auto or tcg")]
    Kvm {
        /// What the system said.
        source: io::Error,
    },
    /// QEMU did not start.
    #[error("starting the boot test (--no-boot-test leaves it out)")]
    Start(#[source] CmdError),
    /// QEMU failed.
    #[error(
        "QEMU, of which 7.2 or later with user-mode networking is needed, ended with {status}: {stderr}"
    )]
    Qemu {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// The packet capture.
    #[error("watching the network of the boot test")]
    Capture(#[source] CaptureError),
    /// A signal ended the run.
    #[error("stopping the boot test")]
    Interrupted(#[source] interrupt::Interrupted),
}

/// Boots the image and judges.
///
/// # Errors
///
/// [`BootError`]: the test could not be run. A guest that does not boot is an outcome.
pub fn run(request: &BootRequest<'_>, narrator: Narrator) -> Result<BootOutcome, BootError> {
    let because = match request.accel {
        Accel::Tcg => "it was asked for".to_owned(),
        Accel::Kvm => {
            accel::open_kvm().map_err(|source| BootError::Kvm { source })?;
            return attempt(request, Accelerator::Kvm, "it was asked for", narrator);
        }
        Accel::Auto => match under_kvm(request, narrator)? {
            Ok(outcome) => return Ok(outcome),
            Err(reason) => reason,
        },
    };
    attempt(request, Accelerator::Tcg, &because, narrator)
}

/// Tries KVM; the outcome counts only if userland ran, else the reason why TCG shall decide.
fn under_kvm(
    request: &BootRequest<'_>,
    narrator: Narrator,
) -> Result<Result<BootOutcome, String>, BootError> {
    let reason = match accel::open_kvm() {
        Err(error) => format!("KVM is not available: {error}"),
        Ok(()) => match attempt(
            request,
            Accelerator::Kvm,
            "the guest runs under it",
            narrator,
        ) {
            Ok(outcome) if outcome.record().reached(Stage::Root) => return Ok(Ok(outcome)),
            Ok(outcome) if outcome.record().reached(Stage::Kernel) => {
                "under KVM the guest's kernel started but did not mount root".to_owned()
            }
            Ok(_) => "under KVM the guest's kernel showed no sign of life".to_owned(),
            Err(BootError::Qemu { stderr, .. }) => format!("KVM failed: {stderr}"),
            Err(error) => return Err(error),
        },
    };
    narrator.say(&format!("{reason}; going on with TCG"));
    Ok(Err(reason))
}

fn attempt(
    request: &BootRequest<'_>,
    accelerator: Accelerator,
    because: &str,
    narrator: Narrator,
) -> Result<BootOutcome, BootError> {
    let machine = Machine {
        board: request.board,
        profile: request.profile,
        firmware: request.firmware,
        memory_mib: MEMORY_MIB,
        mac: Mac::fresh().map_err(|source| BootError::Host {
            what: "a MAC address",
            source,
        })?,
    };
    let limits = Limits {
        total: request.timeout,
        kernel_must_speak: request.accel == Accel::Auto && accelerator == Accelerator::Kvm,
        ssh_expected: request.ssh_expected,
    };
    let mut attempt = Attempt::start(request, &machine, accelerator)?;
    let ending = attempt.watch(&limits, narrator)?;
    let acceleration = Acceleration {
        used: accelerator,
        because: because.to_owned(),
    };
    Ok(attempt.judge(ending, machine, acceleration, &limits))
}
