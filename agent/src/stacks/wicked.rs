//! SUSE's ifcfg files, as wicked reads them.

use super::{Aspect, Stack};
use crate::error::Error;
use crate::facts::NetworkStack;
use crate::finding::Defect;
use crate::guest::Guest;

/// The stack.
#[derive(Debug, Clone, Copy)]
pub struct Wicked;

impl Stack for Wicked {
    fn kind(&self) -> NetworkStack {
        NetworkStack::Wicked
    }

    fn has_profile(&self, _guest: &Guest<'_>) -> Result<bool, Error> {
        Ok(false)
    }

    fn check(&self, _aspect: Aspect, _guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        Ok(Vec::new())
    }

    fn fix(&self, _aspect: Aspect, _guest: &mut Guest<'_>) -> Result<(), Error> {
        Ok(())
    }
}
