//! What a boot test found: a proof, or a refutation with its causes; both with all evidence.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::accel::Acceleration;
use super::console::Line;
use super::machine::Machine;
use super::milestones::{Milestone, Stage, Trouble};
use super::seconds::Seconds;
use super::traffic::{Lease, Summary, Violation};

/// How many lines of the console a person is shown when a boot failed.
const TAIL: usize = 12;

/// The answer to "does this disk boot in OCI?".
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum BootOutcome {
    /// Yes.
    Proved(BootProof),
    /// No.
    Refuted(BootFailure),
}

/// A boot that happened as it should. Nothing but [`super::run`] makes one.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BootProof {
    #[serde(flatten)]
    record: BootRecord,
}

/// A boot that did not happen as it should.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BootFailure {
    causes: Vec<Cause>,
    #[serde(flatten)]
    record: BootRecord,
}

/// Why a boot proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "cause", content = "detail")]
pub enum Cause {
    /// The guest said that it goes no further.
    Trouble {
        /// What is wrong.
        trouble: Trouble,
        /// The line that said so.
        evidence: String,
    },
    /// The guest reset itself again and again.
    RebootLoop,
    /// The guest switched itself off.
    PoweredOff,
    /// The guest flooded the network.
    Flood,
    /// A stage was not reached in time.
    Missing(Stage),
    /// The new MAC address got no DHCP lease.
    NoLease,
    /// The guest did what only its past explains.
    Violation(Violation),
}

/// The SSH server's greeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SshGreeting {
    /// Its first line.
    pub text: String,
    /// When it came.
    pub seconds: Seconds,
}

/// The evidence.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BootRecord {
    /// The machine.
    pub machine: Machine,
    /// What ran it.
    pub acceleration: Acceleration,
    /// How long it ran.
    pub seconds: Seconds,
    /// How often the guest reset itself.
    pub reboots: u32,
    /// The stages of the last start, in order.
    pub milestones: Vec<Milestone>,
    /// The lease.
    pub lease: Option<Lease>,
    /// The SSH server's greeting.
    pub ssh: Option<SshGreeting>,
    /// What the guest should not have done.
    pub violations: Vec<Violation>,
    /// What is worth knowing and decides nothing.
    pub observations: Vec<String>,
    /// What else happened on the network.
    pub network: Summary,
    /// The console log; very long ones lack their beginning.
    pub console: Vec<Line>,
    /// The packet capture: a pcap file in Base64.
    #[serde(serialize_with = "as_base64")]
    #[schemars(with = "String")]
    pub capture: Vec<u8>,
}

impl BootOutcome {
    /// A proof where nothing speaks against it.
    pub(super) fn judge(causes: Vec<Cause>, record: BootRecord) -> Self {
        if causes.is_empty() {
            Self::Proved(BootProof { record })
        } else {
            Self::Refuted(BootFailure { causes, record })
        }
    }

    /// The evidence.
    pub fn record(&self) -> &BootRecord {
        match self {
            Self::Proved(proof) => &proof.record,
            Self::Refuted(failure) => &failure.record,
        }
    }
}

impl BootProof {
    /// The evidence.
    pub fn record(&self) -> &BootRecord {
        &self.record
    }
}

impl BootFailure {
    /// Why, the most telling cause first; never empty.
    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }

    /// The evidence.
    pub fn record(&self) -> &BootRecord {
        &self.record
    }
}

impl BootRecord {
    /// Whether this stage was reached.
    pub fn reached(&self, stage: Stage) -> bool {
        self.milestones.iter().any(|found| found.stage == stage)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trouble { trouble, evidence } => write!(f, "{}: {evidence}", trouble.name()),
            Self::RebootLoop => f.write_str("the guest resets itself again and again"),
            Self::PoweredOff => f.write_str("the guest switched itself off"),
            Self::Flood => f.write_str("the guest flooded the network"),
            Self::Missing(stage) => write!(f, "not seen in time: {}", stage.name()),
            Self::NoLease => f.write_str("the new MAC address got no DHCP lease"),
            Self::Violation(found) => write!(f, "{}", found.offence),
        }
    }
}

impl fmt::Display for BootOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.record();
        let verdict = match self {
            Self::Proved(_) => "proved",
            Self::Refuted(_) => "refuted",
        };
        let Acceleration { used, because } = &record.acceleration;
        writeln!(
            f,
            "boot {verdict} in {} under {} ({because})",
            record.seconds,
            used.name()
        )?;
        if let Self::Refuted(failure) = self {
            for cause in &failure.causes {
                writeln!(f, "  because {cause}")?;
            }
        }
        write!(f, "{record}")?;
        if let Self::Refuted(_) = self {
            writeln!(f, "  the end of its console:")?;
            let from = record.console.len().saturating_sub(TAIL);
            for line in &record.console[from..] {
                writeln!(f, "    {:>9}  {}", line.seconds, line.text)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for BootRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for found in &self.milestones {
            let name = found.stage.name();
            writeln!(
                f,
                "  {name:<18}{:>9}  {}",
                found.seconds,
                short(&found.evidence)
            )?;
        }
        if let Some(lease) = &self.lease {
            write!(
                f,
                "  {:<18}{:>9}  {}",
                "DHCP lease", lease.seconds, lease.address
            )?;
            if let Some(server) = lease.server {
                write!(f, " from {server}")?;
            }
            writeln!(f, " for {}", self.machine.mac)?;
        }
        if let Some(ssh) = &self.ssh {
            writeln!(
                f,
                "  {:<18}{:>9}  {}",
                "SSH answered",
                ssh.seconds,
                short(&ssh.text)
            )?;
        }
        if self.violations.is_empty() && self.lease.is_some() {
            writeln!(
                f,
                "  nothing was sent from an old address or MAC, no iSCSI portal was called"
            )?;
        }
        for observation in &self.observations {
            writeln!(f, "  note: {observation}")?;
        }
        Ok(())
    }
}

fn as_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
}

/// The beginning of a line.
fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
