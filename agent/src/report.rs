//! The report, `byoi.report/1`: a field is never renamed, only added.

use std::cmp::Reverse;
use std::fmt::{self, Write as _};
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use crate::facts::Facts;
use crate::finding::{Finding, Severity, Status};
use crate::plan::{Action, Change};
use crate::run::Outcome;
use crate::text::printable;

/// The name and version of the format.
pub const SCHEMA: &str = "byoi.report/1";

/// Which program wrote a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tool {
    /// `byoi-agent` or `byoi-builder`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// This program.
const AGENT: Tool = Tool {
    name: "byoi-agent",
    version: env!("CARGO_PKG_VERSION"),
};

/// What was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Subject {
    /// A guest root.
    Root {
        /// Where it is.
        root: String,
    },
    /// A disk image.
    Image {
        /// Where it is.
        image: String,
        /// The format of the disk.
        format: &'static str,
        /// In what it is packed, the outermost first.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        containers: Vec<&'static str>,
        /// The size of the disk in it, in bytes.
        virtual_size: u64,
        /// The SHA-256 of the file.
        #[serde(skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
}

/// The judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No blocker is left.
    Ready,
    /// Blockers remain.
    Blocked,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Blocked => "blocked",
        })
    }
}

impl Verdict {
    /// Judges findings.
    pub fn of(findings: &[Finding]) -> Self {
        if findings.iter().any(Finding::blocks) {
            Self::Blocked
        } else {
            Self::Ready
        }
    }
}

/// How long a stage took.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Stage {
    /// The stage.
    pub name: &'static str,
    /// Wall-clock time in seconds.
    pub seconds: f64,
}

/// What both programs report.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Which program wrote it.
    pub tool: Tool,
    /// What was judged.
    pub subject: Subject,
    /// What guest it is; `None` where no guest was reached.
    pub guest: Option<Facts>,
    /// The judgement; `None` where none was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Everything found, with its status.
    pub findings: Vec<Finding>,
    /// Everything changed.
    pub changes: Vec<Change>,
    /// How long each stage took.
    pub stages: Vec<Stage>,
}

impl Report {
    /// The report of a run on a guest root.
    pub fn of_root(root: &Path, outcome: Outcome, stages: Vec<Stage>) -> Self {
        Self {
            schema: SCHEMA,
            tool: AGENT,
            subject: Subject::Root {
                root: root.display().to_string(),
            },
            guest: Some(outcome.facts),
            verdict: Some(Verdict::of(&outcome.findings)),
            findings: outcome.findings,
            changes: outcome.changes,
            stages,
        }
    }

    /// The report of what was put back in a guest root. It judges nothing.
    pub fn of_restore(root: &Path, changes: Vec<Change>, stages: Vec<Stage>) -> Self {
        Self {
            schema: SCHEMA,
            tool: AGENT,
            subject: Subject::Root {
                root: root.display().to_string(),
            },
            guest: None,
            verdict: None,
            findings: Vec::new(),
            changes,
            stages,
        }
    }

    /// The report for a person; with `diffs`, the changes are shown line by line.
    pub fn to_text(&self, diffs: bool) -> String {
        let mut text = String::new();
        self.write_text(&mut text, diffs)
            .map_or_else(|_| String::new(), |()| text)
    }

    fn write_text(&self, text: &mut String, diffs: bool) -> fmt::Result {
        match &self.subject {
            Subject::Root { root } => writeln!(text, "guest root  {root}")?,
            Subject::Image {
                image,
                format,
                containers,
                virtual_size,
                ..
            } => {
                let format = containers
                    .iter()
                    .rev()
                    .fold((*format).to_owned(), |inner, outer| {
                        format!("{inner} in {outer}")
                    });
                writeln!(text, "image       {image} ({format}, {virtual_size} bytes)")?;
            }
        }
        if let Some(guest) = &self.guest {
            let stacks: Vec<String> = guest
                .network_stacks
                .iter()
                .map(|stack| format!("{stack:?}").to_lowercase())
                .collect();
            writeln!(
                text,
                "guest       {} {} {}, network by {}",
                printable(&guest.id),
                printable(&guest.version),
                guest.arch.unwrap_or("(unknown architecture)"),
                if stacks.is_empty() {
                    "nobody".to_owned()
                } else {
                    stacks.join(", ")
                }
            )?;
        }
        for (status, heading) in [
            (Status::Open, "Left to do"),
            (Status::Skipped, "Left out on request"),
            (Status::Fixed, "Done"),
        ] {
            self.write_findings(text, status, heading)?;
        }
        if !self.changes.is_empty() {
            writeln!(text, "\nChanges")?;
        }
        for change in &self.changes {
            write_change(text, change, diffs)?;
        }
        if let Some(verdict) = self.verdict {
            writeln!(text, "\nverdict     {verdict}")?;
        }
        Ok(())
    }

    fn write_findings(&self, text: &mut String, status: Status, heading: &str) -> fmt::Result {
        let mut findings: Vec<&Finding> = self
            .findings
            .iter()
            .filter(|finding| finding.status == status)
            .collect();
        if findings.is_empty() {
            return Ok(());
        }
        // The areas with the worst first; the order of the catalogue among equals.
        findings.sort_by_key(|finding| Reverse(finding.severity));
        let mut areas: Vec<&str> = Vec::new();
        for finding in &findings {
            if !areas.contains(&finding.area()) {
                areas.push(finding.area());
            }
        }
        writeln!(text, "\n{heading}: {}", Counts::of(&findings))?;
        for area in areas {
            writeln!(text, "  {}", area_name(area))?;
            for finding in findings.iter().filter(|finding| finding.area() == area) {
                write_finding(text, finding)?;
            }
        }
        Ok(())
    }
}

/// How many findings there are of each severity.
struct Counts([(Severity, usize); 3]);

impl Counts {
    fn of(findings: &[&Finding]) -> Self {
        Self(
            [Severity::Blocker, Severity::Warning, Severity::Note].map(|severity| {
                let same = |finding: &&&Finding| finding.severity == severity;
                (severity, findings.iter().filter(same).count())
            }),
        )
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (severity, count) in self.0.iter().filter(|(_, count)| *count > 0) {
            let plural = if *count == 1 { "" } else { "s" };
            write!(f, "{separator}{count} {severity}{plural}")?;
            separator = ", ";
        }
        Ok(())
    }
}

/// The area of a rule for a person.
fn area_name(area: &str) -> &str {
    match area {
        "net" => "network",
        "iscsi" => "iSCSI",
        other => other,
    }
}

fn write_finding(text: &mut String, finding: &Finding) -> fmt::Result {
    let place = match finding.line {
        Some(line) => format!("{}:{line}", printable(&finding.subject)),
        None => printable(&finding.subject),
    };
    writeln!(
        text,
        "    {:<8} {:<26} {place}",
        finding.severity, finding.rule
    )?;
    writeln!(text, "             {}", printable(&finding.message))?;
    if !finding.evidence.is_empty() {
        writeln!(text, "             seen: {}", printable(&finding.evidence))?;
    }
    if finding.status != Status::Fixed && !finding.hint.is_empty() {
        writeln!(text, "             next: {}", printable(&finding.hint))?;
    }
    Ok(())
}

fn write_change(text: &mut String, change: &Change, diffs: bool) -> fmt::Result {
    let action = match change.action {
        Action::Edit => "edit",
        Action::Create => "create",
        Action::Remove => "remove",
        Action::Command => "command",
    };
    writeln!(text, "  {action:<8} {}", printable(&change.path))?;
    match &change.diff {
        Some(diff) if diffs || change.action == Action::Command => {
            for line in diff.lines() {
                writeln!(text, "    {}", printable(line))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
