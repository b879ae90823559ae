//! The builder's part of the report `byoi.report/1`; the agent owns the rest.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use byoi_agent::facts::Facts;
use byoi_agent::failpoint;
use byoi_agent::finding::{Defect, Finding, Severity, Status};
use byoi_agent::plan::Change;
use byoi_agent::report::{Report, SCHEMA, Stage, Subject, Tool, Verdict};
use byoi_agent::rules::{DOC_IMPORT_LINUX, RuleMeta};
use byoi_agent::run::Outcome;
use schemars::JsonSchema;
use serde::Serialize;

use crate::boot::BootOutcome;
use crate::bootchain::DataDisk;
use crate::guest::{Emptied, GuestError, GuestMount, MountedGuest};
use crate::layout::{Layout, findings};

/// The rule that a boot test judges by.
const BOOT_PROOF: RuleMeta = RuleMeta {
    id: "boot/proof",
    severity: Severity::Blocker,
    title: "An image that does not come up as OCI boots it",
    why: "OCI imports such an image without error, shows the instance as running, and nothing \
          answers.",
    doc: DOC_IMPORT_LINUX,
};

/// The report of `build` and `boot-test`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BuildReport {
    /// What both programs report.
    #[serde(flatten)]
    pub report: Report,
    /// What is on the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// The guest's file systems, where `inspect` looked for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<GuestMount>,
    /// The volumes of other disks that the guest used: they are not part of the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_disks: Vec<DataDisk>,
    /// What of the disk was emptied.
    #[serde(flatten)]
    pub emptied: Emptied,
    /// The file that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputReport>,
    /// What happened when it was booted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_proof: Option<BootOutcome>,
}

/// The file that was made.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OutputReport {
    /// Where it is.
    pub path: PathBuf,
    /// Its format.
    pub format: &'static str,
    /// The SHA-256 of the file.
    pub sha256: String,
    /// The size of the disk in it, in bytes.
    pub virtual_size: u64,
    /// The size of the file, in bytes.
    pub file_size: u64,
}

impl BuildReport {
    /// A judgement in which nothing is found and nothing done yet.
    pub fn new(subject: Subject, layout: Option<Layout>) -> Self {
        let mut report = Self::unjudged(subject, layout);
        report.judge();
        report
    }

    /// A report that judges nothing.
    pub fn unjudged(subject: Subject, layout: Option<Layout>) -> Self {
        Self {
            report: Report {
                schema: SCHEMA,
                tool: Tool {
                    name: "byoi-builder",
                    version: env!("CARGO_PKG_VERSION"),
                },
                subject,
                guest: None,
                verdict: None,
                findings: Vec::new(),
                changes: Vec::new(),
                stages: Vec::new(),
            },
            layout,
            mounts: Vec::new(),
            data_disks: Vec::new(),
            emptied: Emptied::default(),
            output: None,
            boot_proof: None,
        }
    }

    /// The judgement on what is found so far.
    pub fn verdict(&self) -> Option<Verdict> {
        self.report.verdict
    }

    /// Whether nothing blocks it so far.
    pub fn is_ready(&self) -> bool {
        self.verdict() == Some(Verdict::Ready)
    }

    /// Passes a mounted guest on. One that cannot be mounted is an error, unless what is wrong with
    /// the disk explains it: then that is the judgement.
    ///
    /// # Errors
    ///
    /// There is no guest, and no blocker so far.
    pub fn or_blocked(
        &mut self,
        mounted: Result<MountedGuest, GuestError>,
    ) -> Result<Option<MountedGuest>, GuestError> {
        if let (Err(GuestError::NoRoot { .. }), Some(layout)) = (&mounted, &self.layout) {
            // What holds the root may be on a disk that was not exported.
            let found = findings::partial_volumes(layout);
            self.add_findings(found);
        }
        match mounted {
            Err(error) if self.is_ready() => Err(error),
            mounted => Ok(mounted.ok()),
        }
    }

    /// Adds what guest it is and where its file systems are.
    pub fn add_guest(&mut self, facts: Facts, mounts: Vec<GuestMount>) {
        self.report.guest = Some(facts);
        self.mounts = mounts;
    }

    /// Adds what the image file and the bytes of the disk tell.
    pub fn add_findings(&mut self, findings: Vec<Finding>) {
        self.report.findings.extend(findings);
        self.judge();
    }

    /// Adds what was done to the disk outside of its file systems.
    pub fn add_changes(&mut self, changes: Vec<Change>) {
        self.report.changes.extend(changes);
    }

    /// Judges anew what was found `before`: what is not there `after` was fixed.
    pub fn settle(&mut self, before: &[Finding], after: Vec<Finding>) {
        let among = |findings: &[Finding], one: &Finding| {
            findings.iter().any(|finding| finding.is_same_as(one))
        };
        for finding in &mut self.report.findings {
            if among(before, finding) && !among(&after, finding) {
                finding.status = Status::Fixed;
            }
        }
        let new = after.into_iter().filter(|one| !among(before, one));
        self.report.findings.extend(new);
        self.judge();
    }

    /// Adds what the rules found in the guest and did to it.
    pub fn add_outcome(&mut self, outcome: Outcome) {
        self.report.guest = Some(outcome.facts);
        self.report.findings.extend(outcome.findings);
        self.report.changes.extend(outcome.changes);
        self.judge();
    }

    /// Adds a boot; one that proves nothing is a blocker.
    pub fn add_boot(&mut self, outcome: BootOutcome) {
        if let BootOutcome::Refuted(failure) = &outcome {
            for cause in failure.causes() {
                let defect = Defect::of("boot test", cause.to_string())
                    .hint("read the console log in the JSON report");
                self.report
                    .findings
                    .push(Finding::new(&BOOT_PROOF, defect, Status::Open));
            }
        }
        self.boot_proof = Some(outcome);
        self.judge();
    }

    /// Adds the times of the stages, which is the last thing.
    #[must_use]
    pub fn finished(mut self, stages: Stages) -> Self {
        self.report.stages = stages.0;
        self
    }

    fn judge(&mut self) {
        self.report.verdict = Some(Verdict::of(&self.report.findings));
    }

    /// The report for a person.
    pub fn to_text(&self) -> String {
        let mut text = self.report.to_text(false);
        // Writing to a string cannot fail.
        self.write_text(&mut text).ok();
        text
    }

    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        if self.report.verdict.is_none()
            && let Some(layout) = &self.layout
        {
            write!(text, "\n{layout}")?;
        }
        for mount in &self.mounts {
            write!(text, "mount       {} from ", mount.point)?;
            match &mount.logical_volume {
                Some(name) => write!(text, "logical volume {name}")?,
                None => write!(text, "partition {}", mount.partition)?,
            }
            match &mount.skipped {
                Some(reason) => writeln!(text, ", left out: {reason}")?,
                None => writeln!(text)?,
            }
        }
        if !self.data_disks.is_empty() {
            writeln!(
                text,
                "\nData disks that are not part of the image. Once their volumes are attached on OCI,\n\
                 these lines of /etc/fstab bring them back:"
            )?;
            for disk in &self.data_disks {
                writeln!(text, "  {}", disk.line)?;
            }
        }
        if let Some(proof) = &self.boot_proof {
            writeln!(text, "\n{proof}")?;
        }
        if let Some(output) = &self.output {
            writeln!(
                text,
                "output      {} ({}, {} of {} MiB)\n            sha256 {}",
                output.path.display(),
                output.format,
                output.file_size.div_ceil(1 << 20),
                output.virtual_size >> 20,
                output.sha256
            )?;
        }
        Ok(())
    }
}

/// The stages done so far, with their times.
#[derive(Debug, Default)]
pub struct Stages(Vec<Stage>);

impl Stages {
    /// Does a stage and notes how long it took.
    pub fn time<T>(&mut self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        // Of what can be ordered for the end of a stage, only a signal matters.
        failpoint::reach(name).ok();
        self.0.push(Stage {
            name,
            seconds: started.elapsed().as_secs_f64(),
        });
        result
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::path::Path;

    use schemars::generate::SchemaSettings;

    use super::*;

    /// `BYOI_WRITE_SCHEMA=1 cargo test schema` writes it anew.
    #[test]
    fn the_committed_schema_is_that_of_the_types() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/byoi.report.1.json");
        let schema = SchemaSettings::draft2020_12()
            .for_serialize()
            .into_generator()
            .into_root_schema_for::<BuildReport>();
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if env::var_os("BYOI_WRITE_SCHEMA").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{} is stale: BYOI_WRITE_SCHEMA=1 cargo test schema",
            path.display()
        );
    }
}
