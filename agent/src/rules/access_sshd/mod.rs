//! `access/sshd`: an SSH server runs on OCI, and listens where somebody can reach it.
//!
//! `sshd_config(5)`. An address of the old network in `ListenAddress` goes; a server that is there
//! but not started at boot is enabled. One that is masked, or listens on the loopback interface
//! alone, was set up so on purpose: that is reported and left.

mod boot;
mod listen;

use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct AccessSshd;

impl Rule for AccessSshd {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "access/sshd",
            severity: Severity::Warning,
            title: "An SSH server that is missing, not started, or bound to an old address",
            why: "SSH is the way into an instance on OCI, where nobody sits at the console.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut defects = boot::check(guest)?;
        defects.extend(listen::check(guest)?);
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        boot::fix(guest)?;
        listen::fix(guest)
    }
}
