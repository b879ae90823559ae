//! Guest roots shaped like the distributions that people bring: what `prepare` makes of each is kept
//! beside it as a reviewed snapshot, `prepared.diff` and `findings.txt`.
//!
//! `BYOI_WRITE_SNAPSHOTS=1 cargo test --test guest_roots` writes the snapshots anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use byoi_tests::{Said, copy_tree, program, run, text, workspace};
use serde_json::Value;
use tempfile::TempDir;

fn agent(arguments: &[&str], root: &Path) -> Said {
    let args = [arguments, &["--root", text(root), "--format", "json"]].concat();
    run(program("byoi-agent"), &args)
}

/// What changed between two trees, links and modes among it, without times and hashes.
fn diff(dir: &Path) -> String {
    let output = Command::new("git")
        .current_dir(dir)
        .args([
            "-c",
            "core.quotePath=true",
            "diff",
            "--no-index",
            "--no-color",
            "--no-renames",
        ])
        .args(["--no-ext-diff", "--no-prefix", "before", "after"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| !line.starts_with("index "))
        .fold(String::new(), |all, line| all + line + "\n")
}

/// The findings, one a line.
fn findings(report: &Value) -> String {
    let mut lines = String::new();
    for finding in report["findings"].as_array().unwrap() {
        let part = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let line = finding["line"].as_u64().map(|line| format!(":{line}"));
        writeln!(
            lines,
            "{:7} {:7} {} {}{}",
            part("severity"),
            part("status"),
            part("rule"),
            part("subject"),
            line.unwrap_or_default()
        )
        .unwrap();
    }
    lines
}

fn compare(path: &Path, made: &str) {
    if std::env::var_os("BYOI_WRITE_SNAPSHOTS").is_some() {
        fs::write(path, made).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(made, kept, "{} is another", path.display());
}

fn prepared_as_reviewed(name: &str) {
    let kept = workspace().join("vm-fixtures/roots").join(name);
    let dir = TempDir::with_prefix("byoi-test-").unwrap();
    copy_tree(&kept.join("before"), &dir.path().join("before"));
    let root = dir.path().join("after");
    copy_tree(&kept.join("before"), &root);

    let _ = agent(&["check"], &root).expect(1);
    let prepared = agent(&["prepare", "--yes"], &root).expect(0);
    compare(&kept.join("findings.txt"), &findings(&prepared.json()));
    compare(&kept.join("prepared.diff"), &diff(dir.path()));

    let again = agent(&["prepare", "--yes"], &root).expect(0);
    assert_eq!(again.json()["changes"].as_array().unwrap().len(), 0);
    let _ = agent(&["check"], &root).expect(0);
}

macro_rules! roots {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            prepared_as_reviewed($name);
        })*

        #[test]
        fn no_root_is_left_out() {
            let mut there: Vec<String> = fs::read_dir(workspace().join("vm-fixtures/roots"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            there.sort();
            assert_eq!(there, [$($name),*]);
        }
    };
}

roots! {
    centos_7: "centos-7",
    oracle_linux_6: "oracle-linux-6",
    oracle_linux_7: "oracle-linux-7",
    oracle_linux_8: "oracle-linux-8",
    oracle_linux_8_cloud_developer: "oracle-linux-8-cloud-developer",
    rocky_9: "rocky-9",
    sles_12: "sles-12",
    ubuntu_18_04: "ubuntu-18.04",
    ubuntu_20_04: "ubuntu-20.04",
}
