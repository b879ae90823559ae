//! What is wrong with a guest, and how much it matters.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::redact::redact;
use crate::root::GuestPath;
use crate::rules::RuleMeta;

/// How much a finding matters. Only a blocker decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing has to be done.
    Note,
    /// Will bother someone on OCI, but the instance boots and answers.
    Warning,
    /// OCI refuses the image, or the instance does not boot or gets no lease.
    Blocker,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Blocker => "blocker",
        })
    }
}

/// What became of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is there.
    Open,
    /// It was there and is gone.
    Fixed,
    /// Its rule was left out on request.
    Skipped,
}

/// One defect, as a rule sees it: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// Overrides the rule's severity, downwards: a MAC in a comment is a note.
    pub severity: Option<Severity>,
    /// The guest file, or the object on the disk.
    pub subject: String,
    /// The line in the file, from 1.
    pub line: Option<usize>,
    /// What was seen there. Whatever [`redact`] knows for a secret is never reported.
    pub evidence: String,
    /// What it means, in one sentence.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Defect {
    /// A defect in a guest file.
    pub fn in_file(path: &GuestPath, message: impl Into<String>) -> Self {
        Self::of(path.to_string(), message)
    }

    /// A defect of an object that is not a file.
    pub fn of(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: None,
            subject: subject.into(),
            line: None,
            evidence: String::new(),
            message: message.into(),
            hint: String::new(),
        }
    }

    /// Names the line, counted from 1.
    #[must_use]
    pub fn at_line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    /// Shows what was seen.
    #[must_use]
    pub fn evidence(mut self, evidence: impl Into<String>) -> Self {
        self.evidence = evidence.into();
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Makes it matter less than its rule usually does.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }
}

/// A defect with its rule, as reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// The rule's id, such as `net/mac`.
    pub rule: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What became of it.
    pub status: Status,
    /// The guest file, or the object on the disk.
    pub subject: String,
    /// The line in the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What was seen there.
    pub evidence: String,
    /// What it means.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// OCI's own rule.
    pub doc: &'static str,
}

impl Finding {
    /// A defect that a rule found, secrets redacted.
    pub fn new(meta: &RuleMeta, defect: Defect, status: Status) -> Self {
        Self {
            rule: meta.id,
            severity: defect.severity.unwrap_or(meta.severity),
            status,
            subject: defect.subject,
            line: defect.line,
            evidence: redact(&defect.evidence).into_owned(),
            message: redact(&defect.message).into_owned(),
            hint: redact(&defect.hint).into_owned(),
            doc: meta.doc,
        }
    }

    /// Whether both say the same of the same thing. Lines do not count: an edit above moves them.
    pub fn is_same_as(&self, other: &Self) -> bool {
        (self.rule, &self.subject, &self.evidence) == (other.rule, &other.subject, &other.evidence)
    }

    /// The area of its rule: what stands before the slash.
    pub fn area(&self) -> &'static str {
        self.rule
            .split_once('/')
            .map_or(self.rule, |(area, _)| area)
    }

    /// Whether it keeps the guest from being ready.
    pub fn blocks(&self) -> bool {
        self.severity == Severity::Blocker && self.status == Status::Open
    }
}
