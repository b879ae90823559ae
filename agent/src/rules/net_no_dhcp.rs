//! `net/no-dhcp`: nothing brings up whichever NIC appears by DHCP.

use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::stacks::{self, Aspect};

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct NetNoDhcp;

impl Rule for NetNoDhcp {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "net/no-dhcp",
            severity: Severity::Blocker,
            title: "No DHCP profile for whichever NIC appears",
            why: "Without a lease the instance cannot be reached.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        stacks::check(Aspect::Dhcp, guest)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        stacks::fix(Aspect::Dhcp, guest)
    }
}
