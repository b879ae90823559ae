//! Which rules of the catalogue a run uses.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::rules::{CLEAN, Rule};

/// `--only`, `--skip` and `--clean`, as given.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Selection {
    /// Use these rules alone. Where this is empty, use all of them, but those of the area `clean`
    /// on request only.
    pub only: Vec<String>,
    /// Say what these rules see, but let it decide nothing and change nothing.
    pub skip: Vec<String>,
    /// Use the rules of the area `clean` too.
    pub clean: bool,
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
            .filter(|(id, _)| self.selects(id))
            .map(|(id, rule)| Selected {
                rule: rule.as_ref(),
                skipped: self.skip.iter().any(|skip| skip == id),
            })
            .collect())
    }

    /// Whether a rule of this name may change something.
    pub fn uses(&self, id: &str) -> bool {
        self.selects(id) && !self.skip.iter().any(|skip| skip == id)
    }

    fn selects(&self, id: &str) -> bool {
        if self.only.is_empty() {
            self.clean || !id.starts_with(CLEAN)
        } else {
            self.only.iter().any(|only| only == id)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{KnownDisk, catalogue};

    #[test]
    fn the_old_life_is_cleaned_away_on_request_only() {
        let rules = catalogue(KnownDisk::default());
        let count = |selection: Selection| {
            let selected = selection.of(&rules).unwrap();
            let clean = selected
                .iter()
                .filter(|selected| selected.rule.meta().id.starts_with(CLEAN))
                .count();
            (clean, selected.len() - clean)
        };
        let (_, usual) = count(Selection::default());
        for (clean, only, expected) in [
            (false, None, (0, usual)),
            (true, None, (3, usual)),
            (false, Some("clean/logs"), (1, 0)),
            (true, Some("net/mac"), (0, 1)),
        ] {
            let selection = Selection {
                only: only.map(str::to_owned).into_iter().collect(),
                skip: Vec::new(),
                clean,
            };
            assert_eq!(count(selection), expected, "{only:?}");
        }
        assert!(usual + 3 == rules.len());
    }
}
