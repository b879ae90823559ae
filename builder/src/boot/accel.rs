//! What runs the guest's code: KVM, or QEMU's translator TCG.

use std::fs::OpenOptions;
use std::io;
use std::time::Duration;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Serialize;

/// The device of KVM.
const KVM: &str = "/dev/kvm";
/// How long KVM may leave the console quiet before the guest's kernel has shown itself. A nested
/// or restricted KVM often runs the firmware and then hangs.
pub const KVM_PATIENCE: Duration = Duration::from_secs(15);

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Accel {
    /// KVM where the guest's kernel really runs under it, else TCG.
    Auto,
    /// KVM only.
    Kvm,
    /// TCG only.
    Tcg,
}

/// What ran the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// The Linux hypervisor.
    Kvm,
    /// The translator: anywhere, at about a tenth of the speed.
    Tcg,
}

impl Accelerator {
    /// Its usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG",
        }
    }
}

/// The accelerator under which the outcome was found, and why that one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Acceleration {
    /// The accelerator.
    pub used: Accelerator,
    /// Why that one.
    pub because: String,
}

/// Whether KVM may be used at all.
///
/// # Errors
///
/// Why [`KVM`] does not open.
pub fn open_kvm() -> io::Result<()> {
    OpenOptions::new().read(true).write(true).open(KVM)?;
    Ok(())
}
