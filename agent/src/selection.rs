//! Which rules of the catalogue a run uses.

use crate::error::Error;
use crate::rules::Rule;

/// `--only` and `--skip`, as given.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Use these rules alone; all of them where this is empty.
    pub only: Vec<String>,
    /// Say what these rules see, but let it decide nothing and change nothing.
    pub skip: Vec<String>,
}

/// A rule of this run.
#[expect(missing_debug_implementations, reason = "a rule is code")]
pub struct Selected<'a> {
    /// The rule.
    pub rule: &'a dyn Rule,
    /// Whether it only reports.
    pub skipped: bool,
}

impl Selection {
    /// The rules of this run, in the order of the catalogue.
    ///
    /// # Errors
    ///
    /// A name that no rule has.
    pub fn of<'a>(&self, rules: &'a [Box<dyn Rule>]) -> Result<Vec<Selected<'a>>, Error> {
        for id in self.only.iter().chain(&self.skip) {
            if !rules.iter().any(|rule| rule.meta().id == id) {
                return Err(Error::UnknownRule { id: id.clone() });
            }
        }
        Ok(rules
            .iter()
            .map(|rule| (rule.meta().id, rule))
            .filter(|(id, _)| self.only.is_empty() || self.only.iter().any(|only| only == id))
            .map(|(id, rule)| Selected {
                rule: rule.as_ref(),
                skipped: self.skip.iter().any(|skip| skip == id),
            })
            .collect())
    }
}
