//! What OCI refuses in an image before anything on the disk is looked at.

use byoi_agent::finding::{Defect, Finding, Severity, Status};
use byoi_agent::report::Subject;
use byoi_agent::rules::{DOC_IMPORT_LINUX, RuleMeta};

use super::fault::{Reason, Refusal};
use super::probe::Format;
use super::source::SourceImage;

/// The largest disk that OCI imports, in bytes: its "400 GB" are counted in GiB by Oracle's own
/// checker (oci-utils, `migrate_data.py`).
pub(super) const MAX_SIZE: u64 = 400 << 30;
/// The same in decimal units, for those who count so.
const SAFE_SIZE: u64 = 400_000_000_000;

/// What is judged.
const SUBJECT: &str = "image";

const SIZE: RuleMeta = RuleMeta {
    id: "image/size",
    severity: Severity::Blocker,
    title: "A disk larger than the 400 GB that OCI imports",
    why: "OCI refuses it after the upload.",
    doc: DOC_IMPORT_LINUX,
};

const ENCRYPTED: RuleMeta = RuleMeta {
    id: "image/encrypted",
    severity: Severity::Blocker,
    title: "An encrypted image",
    why: "OCI imports no encrypted disk.",
    doc: DOC_IMPORT_LINUX,
};

const BACKING_FILE: RuleMeta = RuleMeta {
    id: "image/backing-file",
    severity: Severity::Blocker,
    title: "An image that is not whole without another file",
    why: "Alone it is a disk with holes in it, and whom it names as its backing file is read.",
    doc: DOC_IMPORT_LINUX,
};

const SNAPSHOT: RuleMeta = RuleMeta {
    id: "image/snapshot",
    severity: Severity::Note,
    title: "Snapshots inside an image",
    why: "Only the present state of the disk is taken.",
    doc: DOC_IMPORT_LINUX,
};

const FORMAT: RuleMeta = RuleMeta {
    id: "image/format",
    severity: Severity::Note,
    title: "A format that OCI does not import as it is",
    why: "OCI imports QCOW2 and VMDK, and nothing packed.",
    doc: DOC_IMPORT_LINUX,
};

impl SourceImage {
    /// What is wrong with the image, its format aside.
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        found.extend(size(self.size()));
        for path in &self.backing {
            let defect = Defect::of(SUBJECT, "the disk was read from this file too")
                .evidence(path.display().to_string())
                .hint("nothing to do: what is made from the image is whole by itself")
                .severity(Severity::Note);
            found.push(Finding::new(&BACKING_FILE, defect, Status::Open));
        }
        if self.snapshots > 0 {
            let defect = Defect::of(SUBJECT, "only the present state of the disk is taken")
                .evidence(format!("snapshots in the file: {}", self.snapshots))
                .hint("to import a snapshot, take it out first (qemu-img convert -l NAME)");
            found.push(Finding::new(&SNAPSHOT, defect, Status::Open));
        }
        found
    }

    /// What is to be said of the format where the image itself is judged.
    pub fn format_finding(&self) -> Option<Finding> {
        let packed = !self.containers().is_empty();
        if !packed && matches!(self.format(), Format::Qcow2 | Format::Vmdk) {
            return None;
        }
        let mut names: Vec<&str> = self.containers().to_vec();
        names.push(self.format().name());
        let defect = Defect::of(SUBJECT, "OCI imports QCOW2 and VMDK, not this format")
            .evidence(names.join(", "))
            .hint("build makes a QCOW2 of it");
        Some(Finding::new(&FORMAT, defect, Status::Open))
    }
}

impl Refusal {
    /// The judgement as the report has it.
    pub fn finding(&self) -> Finding {
        let meta = match self.reason {
            Reason::Encrypted => &ENCRYPTED,
            Reason::OtherFile => &BACKING_FILE,
        };
        let defect = Defect::of(SUBJECT, format!("the image {}", self.what)).hint(self.hint);
        Finding::new(meta, defect, Status::Open)
    }
}

/// The subject of a report on an image of which no more is known.
pub(crate) fn subject_of(image: String, format: Format, refusal: &Refusal) -> Subject {
    Subject::Image {
        image,
        format: format.name(),
        containers: Vec::new(),
        virtual_size: refusal.virtual_size,
        sha256: None,
    }
}

fn size(size: u64) -> Option<Finding> {
    if size <= SAFE_SIZE {
        return None;
    }
    let evidence = format!("{size} bytes");
    let defect = if size > MAX_SIZE {
        Defect::of(
            SUBJECT,
            "the disk is larger than the 400 GB that OCI imports",
        )
        .hint("shrink the file systems and the disk, or move data to a block volume")
    } else {
        Defect::of(
            SUBJECT,
            "the disk has more than 400 GB, though not more than 400 GiB",
        )
        .hint("shrink it if OCI refuses it: the limit is given as 400 GB")
        .severity(Severity::Warning)
    };
    Some(Finding::new(&SIZE, defect.evidence(evidence), Status::Open))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_that_of_oci() {
        for (bytes, expected) in [
            (1 << 30, None),
            (SAFE_SIZE, None),
            (SAFE_SIZE + 512, Some(Severity::Warning)),
            (MAX_SIZE, Some(Severity::Warning)),
            (MAX_SIZE + 512, Some(Severity::Blocker)),
        ] {
            let severity = size(bytes).map(|finding| finding.severity);
            assert_eq!(severity, expected, "{bytes}");
        }
    }
}
