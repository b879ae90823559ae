//! `iscsi/session`: volumes that iSCSI attached to the running system.
//!
//! Only the running system has sessions; of a guest on a disk this says nothing. OCI's boot volume
//! and what the firmware booted from is told as a note and stays. A system on a target elsewhere is
//! the subject of `iscsi/root`, and stays too.

use super::{DOC_CUSTOM_IMAGES, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::live::Release;
use crate::live::kernel::Kernel;
use crate::live::obstacle;
use crate::live::survey::{Role, Survey};

/// The rule's id.
pub const ID: &str = "iscsi/session";

/// The rule.
#[derive(Debug, Default)]
pub struct IscsiSession {
    is_running: bool,
}

impl IscsiSession {
    /// The rule; whether the guest is the running system.
    pub fn new(is_running: bool) -> Self {
        Self { is_running }
    }
}

impl Rule for IscsiSession {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: ID,
            severity: Severity::Blocker,
            title: "Volumes that iSCSI attached to the running system",
            why: "OCI asks for every attachment but the boot volume to be disconnected before an \
                  image is made: what is written to one meanwhile is in no image.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let kernel = Kernel(guest.root());
        let survey = if self.is_running {
            Survey::read(kernel)?
        } else {
            None
        };
        let Some(survey) = survey else {
            return Ok(Vec::new());
        };
        let obstacles = if survey.data().next().is_some() {
            obstacle::find(kernel, &survey)?
        } else {
            Vec::new()
        };
        let hint = match obstacles.as_slice() {
            [] => "prepare unmounts it and logs out of the target".to_owned(),
            some => format!("before prepare can detach it: {}", some.join("; ")),
        };
        let mut defects = Vec::new();
        for attached in &survey.sessions {
            let subject = attached.session.to_string();
            let defect = match attached.role {
                Role::Data => Defect::of(
                    subject,
                    "the running system has volumes of this target attached",
                )
                .hint(&hint),
                Role::BootVolume => {
                    Defect::of(subject, "this is the boot volume, which stays attached")
                        .severity(Severity::Note)
                }
                Role::System => continue,
            };
            defects.push(defect.evidence(survey.uses(attached)));
        }
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        if self.is_running {
            guest.detach(Release::plan(guest.root())?);
        }
        Ok(())
    }
}
