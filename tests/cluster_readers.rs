//! Images read by a program that is not ours, with zlib and a window no larger than the format's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;

use byoi_tests::{program, run, text, workspace};
use tempfile::TempDir;

/// Bytes of a cluster.
const CLUSTER: usize = 64 << 10;

/// Programs, what is compressed already, holes, and an end within a cluster.
fn disk() -> Vec<u8> {
    let mut disk = fs::read(program("byoi-agent")).unwrap();
    disk.truncate(12 * CLUSTER);
    let mut state = 1_u64;
    disk.extend((0..4 * CLUSTER).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    }));
    disk.resize(disk.len() + 5 * CLUSTER, 0);
    disk.extend_from_slice(&[7; 1536]);
    disk
}

#[test]
fn zlib_reads_every_level_with_a_small_window() {
    let dir = TempDir::with_prefix("byoi-readers-").unwrap();
    let [raw, image] = ["disk.raw", "disk.qcow2"].map(|name| dir.path().join(name));
    fs::write(&raw, disk()).unwrap();
    for level in ["fast", "default", "best"] {
        let args = ["convert", text(&raw), "-o", text(&image), "--level", level];
        let _ = run(program("byoi-builder"), &args).expect(0);
        let reader = workspace().join("tests/read_qcow2.py");
        let said = run("python3", &[text(&reader), text(&image), text(&raw)]).expect(0);
        let counts: Vec<u32> = said
            .stdout
            .split_whitespace()
            .map(|count| count.parse().unwrap())
            .collect();
        assert!(counts[0] > 8 && counts[1] >= 4, "{level}: {counts:?}");
        assert_eq!(counts.iter().sum::<u32>(), 17, "{level}");
    }
}
