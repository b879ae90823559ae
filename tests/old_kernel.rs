//! The running system on a kernel of old: what Linux 3.10 does not have is taken away by strace,
//! and the agent does the same as with it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use byoi_tests::{Said, copy_tree, installed, program, run, text, tree, workspace};
use tempfile::TempDir;

/// Answers ENOSYS to the system calls that came after Linux 3.10.
const OLD: [&str; 5] = [
    "strace",
    "--follow-forks",
    "--output=/dev/null",
    "-e",
    "inject=clone3,close_range,copy_file_range,execveat,faccessat2,getrandom,\
                     memfd_create,openat2,pidfd_open,preadv2,pwritev2,renameat2,rseq,statx:error=ENOSYS",
];

/// Runs a program with the kernel's own file systems in a root, which is its name.
const ENTER: &str = "mount --rbind /dev \"$0/dev\"; mount -t proc proc \"$0/proc\"; exec \"$@\"";

/// A guest root with the agent in it, and a bundle beside it.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::with_prefix("byoi-old-").unwrap();
        let root = dir.path().join("root");
        copy_tree(
            &workspace().join("vm-fixtures/roots/centos-7/before"),
            &root,
        );
        fs::copy(program("byoi-agent"), root.join("byoi-agent")).unwrap();
        for dir in ["proc", "dev", "var/tmp"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        Self { dir }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn bundle(&self) -> PathBuf {
        self.dir.path().join("bundle")
    }

    /// Runs the agent in its root, by way of another program.
    fn run(&self, by: &[&str], args: &[&str], stdin: Stdio) -> Output {
        Command::new("unshare")
            .args(["--mount", "sh", "-euc", ENTER, text(&self.root())])
            .args(by)
            .args(["chroot", text(&self.root()), "/byoi-agent"])
            .args(args)
            .stdin(stdin)
            .output()
            .unwrap()
    }

    fn prepare(&self, by: &[&str]) -> Said {
        let args = ["prepare", "--yes", "--bundle", "-"];
        let output = self.run(by, &args, Stdio::null());
        fs::write(self.bundle(), &output.stdout).unwrap();
        output.into()
    }

    fn restore(&self, by: &[&str]) -> Said {
        let bundle = File::open(self.bundle()).unwrap();
        let args = ["restore", "--yes", "--bundle", "-"];
        self.run(by, &args, bundle.into()).into()
    }
}

#[test]
fn privileged_an_old_kernel_is_enough_for_the_running_system() {
    assert!(
        installed("strace"),
        "strace is missing: run scripts/setup.sh"
    );
    let (new, old) = (Bench::new(), Bench::new());
    let before = tree(&old.root());
    let prepared = new.prepare(&[]);
    let said = old.prepare(&OLD);
    assert_eq!(said.code, prepared.code, "{}", said.stderr);
    let after = tree(&old.root());
    assert!(
        after != before && after == tree(&new.root()),
        "{}",
        said.stderr
    );
    let _ = old.restore(&OLD).expect(0);
    assert!(tree(&old.root()) == before);
}

#[test]
fn privileged_an_old_kernel_confines_no_other_root() {
    let bench = Bench::new();
    let (agent, root) = (program("byoi-agent"), bench.root());
    let args = [text(&agent), "check", "--root", text(&root)];
    let refused = run(OLD[0], &[&OLD[1..], &args].concat()).expect(3);
    assert!(
        refused.stderr.contains("needs openat2"),
        "{}",
        refused.stderr
    );
}
