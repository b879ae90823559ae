//! Small guests for the tests of rules.

use std::collections::BTreeMap;

use byoi_agent::facts::{Facts, Family};
use byoi_agent::guest::{Drafted, Guest};
use byoi_agent::root::GuestRoot;
use byoi_agent::rules::Rule;
use tempfile::TempDir;

/// A guest root in a temporary directory.
pub(super) struct Fixture {
    root: GuestRoot,
    /// What the guest claims to be.
    pub facts: Facts,
    _dir: TempDir,
}

impl Fixture {
    /// A Debian with these files, each a path and its content.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = dir.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        Self {
            root: GuestRoot::open(dir.path()).unwrap(),
            facts: Facts {
                id: "debian".into(),
                version: "12".into(),
                family: Family::Debian,
                arch: Some("x86_64"),
                network_stacks: Vec::new(),
                systemd: true,
                kernels: Vec::new(),
            },
            _dir: dir,
        }
    }

    /// The guest, nothing drafted.
    pub fn guest(&self) -> Guest<'_> {
        Guest::new(&self.root, &self.facts)
    }

    /// What a rule finds, as `subject:line evidence`.
    pub fn found(&self, rule: &dyn Rule) -> Vec<String> {
        shown(rule, &self.guest())
    }

    /// The files that a rule drafts, and what it still finds then. Checks that drafting again
    /// changes nothing.
    pub fn fixed(&self, rule: &dyn Rule) -> (BTreeMap<String, String>, Vec<String>) {
        let mut guest = self.guest();
        rule.fix(&mut guest).unwrap();
        let drafts = guest.drafts().clone();
        let left = shown(rule, &guest);
        rule.fix(&mut guest).unwrap();
        assert_eq!(guest.drafts(), &drafts, "drafting twice changed something");
        let drafts = drafts
            .into_iter()
            .map(|(path, draft)| match draft {
                Drafted::Content(content) => {
                    (path.to_string(), String::from_utf8(content).unwrap())
                }
                Drafted::Link(target) => unreachable!("a link to {target}"),
                Drafted::Removed => panic!("{path} was removed"),
            })
            .collect();
        (drafts, left)
    }
}

fn shown(rule: &dyn Rule, guest: &Guest<'_>) -> Vec<String> {
    rule.check(guest)
        .unwrap()
        .iter()
        .map(|defect| {
            let line = defect
                .line
                .map(|line| format!(":{line}"))
                .unwrap_or_default();
            format!("{}{line} {}", defect.subject, defect.evidence)
        })
        .collect()
}
