//! The main job on a real disk: the untouched guest fails the boot proof, the built one passes.
//!
//! One test for each boot, and one build for all of them: a boot takes minutes without KVM.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use byoi_tests::{
    LIVED_IN, Leftovers, PATIENCE, Said, fixture_disk, lived_in, program, run, sha256, text,
};
use memchr::memmem::Finder;
use serde_json::Value;
use tempfile::TempDir;

/// The result of the one build.
struct Built {
    image: PathBuf,
    said: Said,
    before: (String, Leftovers),
    after: (String, Leftovers),
}

/// The lived-in bookworm disk, made once.
fn disk() -> &'static Path {
    static DISK: OnceLock<PathBuf> = OnceLock::new();
    DISK.get_or_init(|| fixture_disk("bookworm"))
}

fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let disk = disk();
        // Nothing drops what is static: a place that the next run takes again.
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("built");
        fs::remove_dir_all(&dir).ok();
        fs::create_dir_all(&dir).unwrap();
        let image = dir.join("disk.qcow2");
        let state = || (sha256(disk), Leftovers::look(&dir));
        let before = state();
        let keys = TempDir::with_prefix("byoi-keys-").unwrap();
        let key = keys.path().join("key.pub");
        fs::write(&key, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUr me@there\n").unwrap();
        let args = ["build", text(disk), "-o", text(&image), "--format", "json"];
        let access = ["--ssh-key", text(&key), "--user", "opc"];
        let said = run(
            program("byoi-builder"),
            &[args.as_slice(), access.as_slice(), &PATIENCE].concat(),
        );
        let after = state();
        Built {
            image,
            said,
            before,
            after,
        }
    })
}

#[test]
fn boot_an_untouched_disk_fails_the_proof() {
    let said = run(
        program("byoi-builder"),
        &[
            "boot-test",
            text(disk()),
            PATIENCE[0],
            PATIENCE[1],
            "--format",
            "json",
        ],
    )
    .expect(1);
    let report = said.json();
    assert_eq!(report["verdict"], "blocked", "{}", said.stdout);
    assert_eq!(report["boot_proof"]["verdict"], "refuted");
    said.validate();
}

#[test]
fn boot_the_built_disk_passes_the_proof() {
    let built = built();
    assert_eq!(
        built.said.code, 0,
        "{}\n{}",
        built.said.stdout, built.said.stderr
    );
    let report = built.said.json();
    built.said.validate();
    assert_eq!(report["verdict"], "ready");
    assert_eq!(report["boot_proof"]["verdict"], "proved");
    assert!(
        report["boot_proof"]["lease"]["address"].is_string(),
        "{}",
        report["boot_proof"]
    );
    let open = report["findings"].as_array().unwrap().iter();
    let open: Vec<&Value> = open
        .filter(|finding| finding["status"] == "open" && finding["severity"] != "note")
        .collect();
    assert!(open.is_empty(), "{open:?}");
    let fixed = built.said.rules("fixed");
    for rule in LIVED_IN.iter().chain(&[
        "boot/fstab-device",
        "boot/fstab-missing-volume",
        "boot/initramfs-pins",
        "boot/root-by-device",
        "access/login",
        "access/ssh-key",
    ]) {
        assert!(fixed.contains(&(*rule).to_owned()), "{rule} was not fixed");
    }
    assert_eq!(report["output"]["sha256"], sha256(&built.image));
}

#[test]
#[ignore = "another boot: scripts/test.sh --matrix"]
fn boot_the_built_disk_passes_where_the_nic_has_another_name() {
    let built = built();
    let said = run(
        program("byoi-builder"),
        &[
            "boot-test",
            text(&built.image),
            "--machine",
            "pc",
            PATIENCE[0],
            PATIENCE[1],
            "--format",
            "json",
        ],
    )
    .expect(0);
    assert_eq!(said.json()["boot_proof"]["verdict"], "proved");
}

#[test]
fn privileged_the_source_and_the_machine_are_as_before() {
    let built = built();
    assert_eq!(built.before.0, built.after.0, "the source changed");
    assert!(built.before.1.files().is_empty());
    assert_eq!(built.after.1.files(), std::slice::from_ref(&built.image));
    assert_eq!(built.before.1.devices(), built.after.1.devices());
}

#[test]
fn privileged_the_image_is_sound_and_holds_no_secret() {
    let built = built();
    let _ = run("qemu-img", &["check", text(&built.image)]).expect(0);
    let dir = TempDir::with_prefix("byoi-flat-").unwrap();
    let flat = dir.path().join("flat.raw");
    let _ = run(
        "qemu-img",
        &[
            "convert",
            "-f",
            "qcow2",
            "-O",
            "raw",
            text(&built.image),
            text(&flat),
        ],
    )
    .expect(0);
    let mac = lived_in("OLD_MAC");
    let needles = [
        mac.clone(),
        mac.to_uppercase(),
        mac.replace(':', "-"),
        lived_in("CHAP_SECRET"),
        lived_in("CHAP_SECRET_IN"),
    ];
    assert_eq!(find(&flat, &needles), Vec::new());
    assert_ne!(find(disk(), &needles), Vec::new());

    // A second run on the mounted result finds nothing to do.
    let said = run(
        "unshare",
        &[
            "--mount",
            "sh",
            "-euc",
            "mkdir -p \"$2\" && mount -o loop,offset=1048576 \"$1\" \"$2\" && \
             \"$3\" prepare --root \"$2\" --yes --format json && \"$3\" check --root \"$2\" >&2",
            "sh",
            text(&flat),
            text(&dir.path().join("mnt")),
            text(&program("byoi-agent")),
        ],
    )
    .expect(0);
    assert_eq!(
        said.json()["changes"],
        Value::Array(Vec::new()),
        "{}",
        said.stdout
    );
}

/// Which of the texts are in a file, each with the offset where it is found first.
fn find<'a>(path: &Path, needles: &'a [String]) -> Vec<(&'a str, usize)> {
    let longest = needles.iter().map(String::len).max().unwrap();
    let mut finders: Vec<(&str, Finder<'_>)> = needles
        .iter()
        .map(|needle| (needle.as_str(), Finder::new(needle)))
        .collect();
    let mut found = Vec::new();
    let mut file = File::open(path).unwrap();
    let mut window = vec![0; 4 << 20];
    let (mut kept, mut base) = (0, 0);
    loop {
        let read = file.read(&mut window[kept..]).unwrap();
        if read == 0 {
            return found;
        }
        let filled = kept + read;
        finders.retain(|(needle, finder)| {
            let at = finder.find(&window[..filled]);
            found.extend(at.map(|at| (*needle, base + at)));
            at.is_none()
        });
        kept = (longest - 1).min(filled);
        window.copy_within(filled - kept..filled, 0);
        base += filled - kept;
    }
}

#[test]
fn the_search_itself_finds_what_is_there() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("haystack");
    let needles = ["needle", "absent", "pin"].map(str::to_owned);
    let mut content = vec![0; (4 << 20) + 5];
    content.extend(b"needle");
    fs::write(&path, &content).unwrap();
    assert_eq!(find(&path, &needles), [("needle", (4 << 20) + 5)]);
    content[(4 << 20) - 3..(4 << 20) + 3].copy_from_slice(b"needle");
    content[..3].copy_from_slice(b"pin");
    fs::write(&path, &content).unwrap();
    assert_eq!(
        find(&path, &needles),
        [("pin", 0), ("needle", (4 << 20) - 3)]
    );
}
