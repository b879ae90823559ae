//! What the end-to-end tests share: the programs, the fixture disk, and the search for leftovers.

pub mod disk;
pub mod guest;
pub mod network;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// The agent's rules that find something in a lived-in guest, in the order of their names.
pub const LIVED_IN: [&str; 14] = [
    "identity/machine-id",
    "identity/random-seed",
    "iscsi/credentials",
    "iscsi/initiator-name",
    "iscsi/mount",
    "iscsi/node-records",
    "net/cmdline",
    "net/dhcp-identity",
    "net/hosts",
    "net/mac",
    "net/name-pinned",
    "net/no-dhcp",
    "net/static",
    "net/udev",
];

/// Without KVM, on a machine that does other work too, a boot may take long.
pub const PATIENCE: [&str; 2] = ["--timeout", "2400"];

/// What a program said.
#[derive(Debug)]
pub struct Said {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Said {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    /// Asks a validator that is not ours whether the report is as its JSON Schema says.
    pub fn validate(&self) {
        let dir = TempDir::with_prefix("byoi-report-").expect("a temporary directory");
        let report = dir.path().join("report.json");
        fs::write(&report, &self.stdout).expect("a report");
        let schema = workspace().join("schema/byoi.report.1.json");
        let _ = run(
            "/usr/bin/python3",
            &["-m", "jsonschema", "-i", text(&report), text(&schema)],
        )
        .expect(0);
    }

    /// The rules that have a finding with this status in the JSON report, each once.
    pub fn rules(&self, status: &str) -> Vec<String> {
        let report = self.json();
        let findings = report["findings"].as_array().into_iter().flatten();
        let rules: BTreeSet<String> = findings
            .filter(|finding| finding["status"] == status)
            .filter_map(|finding| finding["rule"].as_str().map(str::to_owned))
            .collect();
        rules.into_iter().collect()
    }

    /// Asks for an exit code and shows everything where it is another.
    #[must_use]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a program to its end.
pub fn run(program: impl AsRef<Path>, args: &[&str]) -> Said {
    Command::new(program.as_ref())
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.as_ref().display()))
        .into()
}

/// A program of this workspace, as `cargo build --workspace` leaves it.
pub fn program(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap_or_default();
    let path = test
        .ancestors()
        .nth(2)
        .map(|dir| dir.join(name))
        .unwrap_or_default();
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build --workspace` first",
        path.display()
    );
    path
}

/// The workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(1)
        .map(Path::to_owned)
        .unwrap_or_default()
}

/// The lived-in disk of a Debian suite.
pub fn fixture_disk(suite: &str) -> PathBuf {
    let workspace = workspace();
    let disk = workspace.join(format!("target/vm-fixtures/test-{suite}.raw"));
    let _ = run(
        workspace.join("vm-fixtures/debian/build.sh"),
        &[suite, text(&disk)],
    )
    .expect(0);
    disk
}

/// The disk of a guest whose network a stack of `vm-fixtures/stacks` brings up, made in `dir`.
pub fn stack_disk(suite: &str, stack: &str, dir: &Path) -> PathBuf {
    let disk = dir.join("disk.raw");
    let _ = run(
        workspace().join("vm-fixtures/debian/build.sh"),
        &[suite, text(&disk), stack],
    )
    .expect(0);
    disk
}

/// The disk of a guest that is laid out as `vm-fixtures/layouts` says, made in `dir`.
pub fn layout_disk(suite: &str, layout: &str, dir: &Path) -> PathBuf {
    let disk = dir.join("disk.raw");
    let _ = run(
        workspace().join("vm-fixtures/debian/build.sh"),
        &[suite, text(&disk), "--layout", layout],
    )
    .expect(0);
    disk
}

/// Copies a directory with all that is below it, links as links.
pub fn copy_tree(from: &Path, to: &Path) {
    let _ = run("cp", &["--archive", text(from), text(to)]).expect(0);
}

/// Every regular file below a directory with its content, and every link with its target.
pub fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let below = path
                .strip_prefix(root)
                .map(Path::to_owned)
                .unwrap_or_default();
            if let Ok(target) = fs::read_link(&path) {
                found.insert(below, target.into_os_string().into_encoded_bytes());
            } else if path.is_dir() {
                pending.push(path);
            } else if let Ok(content) = fs::read(&path) {
                found.insert(below, content);
            }
        }
    }
    found
}

/// Whether a program is installed.
pub fn installed(program: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .any(|dir| dir.join(program).is_file())
}

/// A path as a command line argument.
pub fn text(path: &Path) -> &str {
    path.to_str()
        .unwrap_or_else(|| panic!("{}", path.display()))
}

/// A constant of the fixture, from its documented list.
pub fn lived_in(name: &str) -> String {
    let path = workspace().join("vm-fixtures/debian/lived-in.env");
    let list =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let value = list
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    match value {
        Some(value) => value.trim_matches(['"', '\'']).to_owned(),
        None => panic!("{} has no {name}", path.display()),
    }
}

/// The SHA-256 of a file, by a program that is not ours.
pub fn sha256(path: &Path) -> String {
    let said = run("sha256sum", &[text(path)]).expect(0);
    said.stdout.split(' ').next().unwrap_or_default().to_owned()
}

/// Loop devices and mounts that have to do with a directory, and the files in it: what must be the
/// same before and after a run that works there.
#[derive(Debug, PartialEq, Eq)]
pub struct Leftovers {
    loops: Vec<String>,
    mounts: Vec<String>,
    files: Vec<PathBuf>,
}

impl Leftovers {
    /// Looks at the machine and at `workdir`.
    pub fn look(workdir: &Path) -> Self {
        let mut loops: Vec<String> = fs::read_dir("/sys/block")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| fs::read_to_string(entry.path().join("loop/backing_file")).ok())
            .filter(|backing| backing.contains(text(workdir)))
            .collect();
        loops.sort();
        let mounts = fs::read_to_string("/proc/self/mounts")
            .unwrap_or_default()
            .lines()
            .filter(|line| line.contains(text(workdir)))
            .map(str::to_owned)
            .collect();
        let mut files: Vec<PathBuf> = fs::read_dir(workdir)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        files.sort();
        Self {
            loops,
            mounts,
            files,
        }
    }

    /// The loop devices and mounts.
    pub fn devices(&self) -> (&[String], &[String]) {
        (&self.loops, &self.mounts)
    }

    /// The files in the directory.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}
