//! Small guest roots for the tests of the rules.
#![allow(
    clippy::disallowed_methods,
    reason = "a test's own directory is a host path"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::Rule;
use crate::facts::Facts;
use crate::finding::{Defect, Severity};
use crate::guest::{Drafted, Guest};
use crate::root::GuestRoot;

/// A guest root in a temporary directory.
#[derive(Debug)]
pub struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    /// A root with these files; a content `-> TARGET` makes a link.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let fixture = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for (path, content) in files {
            let path = fixture.host(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match content.strip_prefix("-> ") {
                Some(target) => symlink(target, path).unwrap(),
                None => fs::write(path, content).unwrap(),
            }
        }
        fixture
    }

    /// A Debian 12 without unit state, with these files.
    pub fn debian(files: &[(&str, &str)]) -> Self {
        let release = ("/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
        Self::new(&[&[release], files].concat())
    }

    /// A guest in which packages are installed, with these files.
    pub fn packaged(files: &[(&str, &str)]) -> Self {
        Self::new(&[&[("/var/lib/dpkg/status", "")], files].concat())
    }

    /// Where a path is on the host.
    pub fn host(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path.trim_start_matches('/'))
    }

    /// Gives a file other permissions.
    pub fn set_mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.host(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Runs something with the guest.
    pub fn with<T>(&self, run: impl FnOnce(&mut Guest<'_>) -> T) -> T {
        let root = GuestRoot::open(self.dir.path()).unwrap();
        let facts = Facts::gather(&root).unwrap();
        run(&mut Guest::new(&root, &facts))
    }

    /// What a rule finds.
    pub fn check(&self, rule: &dyn Rule) -> Vec<Defect> {
        self.with(|guest| rule.check(guest).unwrap())
    }

    /// What a rule finds that matters as much as the rule can: `FILE:LINE`.
    pub fn open(&self, rule: &dyn Rule) -> Vec<String> {
        self.check(rule)
            .into_iter()
            .filter(|defect| defect.severity.is_none_or(|s| s == rule.meta().severity))
            .map(|defect| match defect.line {
                Some(line) => format!("{}:{line}", defect.subject),
                None => defect.subject,
            })
            .collect()
    }

    /// How much a rule's findings matter, with their lines.
    pub fn severities(&self, rule: &dyn Rule) -> Vec<(String, Severity)> {
        self.check(rule)
            .into_iter()
            .map(|d| (d.subject, d.severity.unwrap_or(rule.meta().severity)))
            .collect()
    }

    /// Fixes, and sees that the rules then find nothing open and change nothing more.
    pub fn fix(&self, rules: &[&dyn Rule]) {
        self.fix_once(rules);
        let once = self.files();
        for rule in rules {
            assert_eq!(self.open(*rule), Vec::<String>::new(), "{}", rule.meta().id);
        }
        self.fix_once(rules);
        assert_eq!(self.files(), once, "fixing twice");
    }

    /// Fixes.
    pub fn fix_once(&self, rules: &[&dyn Rule]) {
        let drafts = self.with(|guest| {
            for rule in rules {
                rule.fix(guest).unwrap();
            }
            let drafts = guest.drafts().clone().into_iter();
            drafts
                .map(|(path, draft)| (guest.owner(&path), path, draft))
                .collect::<Vec<_>>()
        });
        for (owner, guest_path, draft) in drafts {
            let path = self.host(&guest_path.to_string());
            match draft {
                Drafted::Content(content) => {
                    let made = owner.filter(|_| !path.exists());
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, content).unwrap();
                    if let Some(owner) = made {
                        self.set_mode(&guest_path.to_string(), owner.mode);
                    }
                }
                Drafted::Link(target) => {
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::remove_file(&path).ok();
                    symlink(target, path).unwrap();
                }
                Drafted::Removed if path.is_dir() => fs::remove_dir_all(path).unwrap(),
                Drafted::Removed => fs::remove_file(path).unwrap(),
            }
        }
    }

    /// A file's text; `None` where there is none.
    pub fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.host(path)).ok()
    }

    /// Whether there is something of that name.
    pub fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.host(path)).is_ok()
    }

    /// Every regular file with its content.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(self.dir.path(), &mut files);
        files
    }
}

fn collect(dir: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            collect(&path, files);
        } else if kind.is_file() {
            files.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
}
