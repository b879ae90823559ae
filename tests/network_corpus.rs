//! Real network configurations from public test suites, where a collection of them lies beside the
//! checkout: `../shared/corpus/network`, or the directory that `BYOI_CORPUS` names.
//!
//! Each case is a small guest root. After `prepare` it must hold what OCI asks of a network, and the
//! stack's own reader must take it, where that reader is installed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use byoi_agent::parse::mac;
use byoi_tests::{Said, copy_tree, installed, program, run, text, tree, workspace};
use serde_json::Value;
use tempfile::TempDir;

/// The program of systemd-networkd.
const NETWORKD: &str = "/lib/systemd/systemd-networkd";

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

/// What the stack's own reader says against each file of the configuration, and whether that
/// reader is at hand.
fn complaints(stack: &str, root: &Path) -> Option<Vec<String>> {
    let readers = readers();
    let refused = |said: Said| (said.code != 0).then(|| said.stdout + &said.stderr);
    match stack {
        "netplan" if installed("netplan") => {
            let said = run("netplan", &["generate", "--root-dir", text(root)]);
            Some(refused(said).into_iter().collect())
        }
        "ifupdown" => {
            let ifquery = readers?.join("sbin/ifquery");
            let interfaces = root.join("etc/network/interfaces");
            let said = run(
                ifquery,
                &["--interfaces", text(&interfaces), "--list", "--all"],
            );
            Some(refused(said).into_iter().collect())
        }
        "keyfile" => {
            let profiles = root.join("etc/NetworkManager/system-connections");
            let files = tree(&profiles);
            let said = files.values().map(|profile| nmcli(readers?, profile));
            said.collect::<Option<Vec<Said>>>()
                .map(|said| said.into_iter().filter_map(refused).collect())
        }
        "networkd" if Path::new(NETWORKD).exists() => Some(networkd(root)),
        _ => None,
    }
}

/// The readers that are unpacked for tests; `None` where there is no way to get them.
fn readers() -> Option<&'static Path> {
    static READERS: OnceLock<Option<PathBuf>> = OnceLock::new();
    READERS
        .get_or_init(|| {
            let dir = workspace().join("target/vm-fixtures/readers");
            let said = run(workspace().join("vm-fixtures/readers.sh"), &[text(&dir)]);
            (said.code == 0).then_some(dir)
        })
        .as_deref()
}

/// Lets `NetworkManager`'s own library read a profile, without a running `NetworkManager`.
fn nmcli(readers: &Path, profile: &[u8]) -> Option<Said> {
    let mut nmcli = Command::new(readers.join("usr/bin/nmcli"))
        .args([
            "--offline",
            "connection",
            "modify",
            "connection.autoconnect",
            "yes",
        ])
        .env("LD_LIBRARY_PATH", readers.join("usr/lib/x86_64-linux-gnu"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    nmcli.stdin.take()?.write_all(profile).ok()?;
    Some(nmcli.wait_with_output().ok()?.into())
}

/// What systemd-networkd says of the files, in a network namespace without a NIC.
fn networkd(root: &Path) -> Vec<String> {
    let script = format!(
        "mkdir -p /etc/systemd/network && mount -t tmpfs tmpfs /run \
         && mount --bind {} /etc/systemd/network \
         && SYSTEMD_LOG_TARGET=console exec {NETWORKD}",
        text(&root.join("etc/systemd/network"))
    );
    let namespaces = ["--net", "--mount", "--propagation", "private"];
    let mut networkd = Command::new("unshare")
        .args(namespaces)
        .args(["sh", "-c", &script])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It goes on until it is ended; by then it has read its files.
    let mut said = Vec::new();
    let mut enumerated = false;
    for line in BufReader::new(networkd.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        enumerated = line.contains("Enumeration completed");
        said.push(line);
        if enumerated {
            break;
        }
    }
    networkd.kill().unwrap();
    networkd.wait().unwrap();
    assert!(enumerated, "{said:?}");
    said.retain(|line| line.starts_with("/etc/systemd/network/"));
    said
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
    // What a reader said of the original is not ours.
    let original = dir.path().join("original");
    copy_tree(case, &original);
    let before = complaints(stack, &original).unwrap_or_default();
    match complaints(stack, &root) {
        Some(mut after) => {
            after.retain(|complaint| !before.contains(complaint));
            hold(after.is_empty(), format!("{stack}'s own reader: {after:?}"));
        }
        None => println!("{}: no reader of {stack} is at hand", case.display()),
    }
    broken
}

#[test]
fn every_case_is_made_ready() {
    let mut failed = Vec::new();
    for (name, stack, path) in cases() {
        let broken = broken(&stack, &path);
        failed.extend(broken.iter().map(|what| format!("{name}: {what}")));
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
