//! `net/name-pinned`: profiles that bind a NIC by its name, or are stacked on one.

use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::stacks::{self, Aspect};

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct NetNamePinned;

impl Rule for NetNamePinned {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "net/name-pinned",
            severity: Severity::Blocker,
            title: "Network profiles bound to the old NIC's name",
            why: "The instance gets a new NIC, often with another name, which no profile then fits.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        stacks::check(Aspect::Name, guest)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        stacks::fix(Aspect::Name, guest)
    }
}
