//! Real network configurations from public test suites, where a collection of them lies beside the
//! checkout: `../shared/corpus/network`, or the directory that `BYOI_CORPUS` names.
//!
//! Each case is a small guest root. After `prepare` it must hold what OCI asks of a network, and the
//! stack's own reader must take it, where that reader is installed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use byoi_agent::parse::mac;
use byoi_tests::{Said, copy_tree, installed, program, run, text, tree, workspace};
use serde_json::Value;
use tempfile::TempDir;

fn cases() -> Vec<(String, String, PathBuf)> {
    let corpus = std::env::var_os("BYOI_CORPUS").map_or_else(
        || workspace().join("../shared/corpus/network"),
        PathBuf::from,
    );
    let Ok(entries) = fs::read_dir(&corpus) else {
        println!("skipped: there is no {}", corpus.display());
        return Vec::new();
    };
    let mut cases: Vec<(String, String, PathBuf)> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let case = fs::read_to_string(path.join("CASE.json")).unwrap();
            let case: Value = serde_json::from_str(&case).unwrap();
            let part = |name: &str| case[name].as_str().unwrap().to_owned();
            (part("case"), part("stack"), path)
        })
        .collect();
    cases.sort();
    cases
}

fn agent(arguments: &[&str], root: &Path) -> Said {
    let args = [arguments, &["--root", text(root), "--format", "json"]].concat();
    run(program("byoi-agent"), &args)
}

/// The lines below `/etc` that take effect and name a MAC.
fn macs(files: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<String> {
    files
        .iter()
        .filter(|(path, _)| path.starts_with("etc"))
        .flat_map(|(path, content)| {
            let content = String::from_utf8_lossy(content).into_owned();
            content
                .lines()
                .filter(|line| !line.trim_start().starts_with(['#', ';']))
                .filter(|line| !mac::find(line).is_empty())
                .map(|line| format!("{}: {line}", path.display()))
                .collect::<Vec<String>>()
        })
        .collect()
}

/// What the stack's own reader says against the configuration; `None` where it is not installed.
fn reader(stack: &str, root: &Path) -> Option<Said> {
    match stack {
        "netplan" if installed("netplan") => {
            Some(run("netplan", &["generate", "--root-dir", text(root)]))
        }
        "ifupdown" if installed("ifquery") => {
            let interfaces = root.join("etc/network/interfaces");
            Some(run(
                "ifquery",
                &["--interfaces", text(&interfaces), "--list", "--all"],
            ))
        }
        _ => None,
    }
}

/// One case; what does not hold.
fn broken(stack: &str, case: &Path) -> Vec<String> {
    let dir = TempDir::with_prefix("byoi-test-").unwrap();
    let root = dir.path().join("root");
    copy_tree(case, &root);
    fs::remove_file(root.join("CASE.json")).unwrap();
    let mut broken = Vec::new();
    let mut hold = |holds: bool, what: String| {
        if !holds {
            broken.push(what);
        }
    };

    let prepared = agent(&["prepare", "--yes"], &root);
    hold(
        prepared.code == 0,
        format!("prepare: {} {}", prepared.code, prepared.stderr),
    );
    let after = tree(&root);
    let left = macs(&after);
    hold(left.is_empty(), format!("MACs are left: {left:?}"));
    let again = agent(&["prepare", "--yes"], &root);
    hold(
        tree(&root) == after,
        format!("a second run changed something: {}", again.stdout),
    );
    let checked = agent(&["check"], &root);
    hold(
        checked.code == 0,
        format!("check: {} {}", checked.code, checked.stdout),
    );
    if let Some(said) = reader(stack, &root) {
        hold(
            said.code == 0,
            format!("{stack}'s own reader: {}{}", said.stdout, said.stderr),
        );
    }
    broken
}

#[test]
fn every_case_is_made_ready() {
    let mut failed = String::new();
    for (name, stack, path) in cases() {
        for what in broken(&stack, &path) {
            failed += &format!("{name}: {what}\n");
        }
    }
    assert!(failed.is_empty(), "{failed}");
}
