//! Small guests for the tests of rules.

#![expect(
    clippy::disallowed_methods,
    reason = "a test makes the guest that the code under test then opens"
)]

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::facts::{Facts, Family, NetworkStack};
use crate::finding::Defect;
use crate::guest::{Drafted, Guest};
use crate::root::GuestRoot;
use crate::rules::Rule;

/// A guest root in a temporary directory.
pub struct Fixture {
    dir: TempDir,
    root: GuestRoot,
    /// What the guest claims to be.
    pub facts: Facts,
}

impl Fixture {
    /// A Debian with systemd and these files, each a path and its content.
    pub fn debian(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = GuestRoot::open(dir.path()).unwrap();
        let fixture = Self {
            dir,
            root,
            facts: Facts {
                id: "debian".into(),
                version: "12".into(),
                family: Family::Debian,
                arch: Some("x86_64"),
                network_stacks: vec![NetworkStack::Ifupdown],
                systemd: true,
                kernels: Vec::new(),
            },
        };
        for (path, content) in files {
            let path = fixture.host_path(path);
            std::fs::write(path, content).unwrap();
        }
        fixture
    }

    /// Makes a symbolic link.
    pub fn link(&self, path: &str, target: &str) {
        symlink(target, self.host_path(path)).unwrap();
    }

    /// The path on the host, its directory made.
    fn host_path(&self, path: &str) -> PathBuf {
        let path = self.dir.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// The guest, nothing drafted.
    pub fn guest(&self) -> Guest<'_> {
        Guest::new(&self.root, &self.facts)
    }

    /// What a rule finds, as `subject:line evidence`.
    pub fn found(&self, rule: &dyn Rule) -> Vec<String> {
        shown(&rule.check(&self.guest()).unwrap())
    }

    /// What a rule drafts, by path, `None` for what is removed; and what it still finds then.
    /// Checks that drafting again changes nothing.
    pub fn fixed(&self, rule: &dyn Rule) -> (BTreeMap<String, Option<String>>, Vec<String>) {
        let mut guest = self.guest();
        rule.fix(&mut guest).unwrap();
        let drafts = guest.drafts().clone();
        let left = rule.check(&guest).unwrap();
        rule.fix(&mut guest).unwrap();
        assert_eq!(guest.drafts(), &drafts, "drafting twice changed something");
        let drafts = drafts
            .into_iter()
            .map(|(path, draft)| {
                let content = match draft {
                    Drafted::Content(content) => Some(String::from_utf8(content).unwrap()),
                    Drafted::Link(target) => Some(format!("-> {target}")),
                    Drafted::Removed => None,
                };
                (path.to_string(), content)
            })
            .collect();
        (drafts, shown(&left))
    }
}

fn shown(defects: &[Defect]) -> Vec<String> {
    defects
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
