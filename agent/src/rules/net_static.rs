//! `net/static`: static addresses on a NIC, or on what is stacked on one.

use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::stacks::{self, Aspect};

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct NetStatic;

impl Rule for NetStatic {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "net/static",
            severity: Severity::Blocker,
            title: "Static addresses on a NIC",
            why: "OCI assigns the address by DHCP, and with the old one the instance is cut off.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        stacks::check(Aspect::Address, guest)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        stacks::fix(Aspect::Address, guest)
    }
}
