//! A whole guest, of configuration alone: a rule judges it and drafts its remedy. This reaches what
//! the parsers of the network stacks and of the rules make of a text.
//!
//! The input is the number of a rule in one byte, and a list of paths and contents, each ended by a
//! NUL.
#![no_main]

use std::fs;
use std::path::{Component, Path};

use byoi_agent::facts::Facts;
use byoi_agent::guest::Guest;
use byoi_agent::plan::Plan;
use byoi_agent::root::GuestRoot;
use byoi_agent::rules::{KnownDisk, catalogue};
use libfuzzer_sys::fuzz_target;

/// Where guests are made, in memory.
const WORKDIR: &str = "/dev/shm";
const MAX_FILES: usize = 48;
const MAX_DEPTH: usize = 8;

fuzz_target!(|input: &[u8]| {
    let Some((&number, files)) = input.split_first() else {
        return;
    };
    let dir = tempfile::tempdir_in(WORKDIR).expect("there is room");
    let mut parts = files.split(|&byte| byte == 0);
    for _ in 0..MAX_FILES {
        let (Some(path), Some(content)) = (parts.next(), parts.next()) else {
            break;
        };
        let _unless_it_is_a_directory = std::str::from_utf8(path)
            .ok()
            .and_then(|path| inside(dir.path(), path))
            .map(|path| fs::write(path, content));
    }
    let root = GuestRoot::open(dir.path()).expect("it is a directory");
    let Ok(facts) = Facts::gather(&root) else {
        return;
    };
    let mut guest = Guest::new(&root, &facts);
    let rules = catalogue(KnownDisk::default());
    let rule = &rules[usize::from(number) % rules.len()];
    if rule.check(&guest).is_ok() && rule.fix(&mut guest).is_ok() {
        let _unreadable = rule.check(&guest);
    }
    if let Ok(plan) = Plan::from_drafts(&guest) {
        plan.changes();
    }
});

/// The path inside of the guest, its directory made. There are no links, so that nothing leads out.
fn inside(dir: &Path, path: &str) -> Option<std::path::PathBuf> {
    let path = Path::new(path.trim_start_matches('/'));
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !plain || path.components().count() > MAX_DEPTH {
        return None;
    }
    let path = dir.join(path);
    fs::create_dir_all(path.parent()?).ok()?;
    Some(path)
}
