//! The network that a guest and the servers beside it are in.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{run, text};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A network namespace, and the server in it.
#[derive(Debug)]
pub struct Network {
    server: Option<Child>,
}

impl Network {
    /// The one that the tests run in.
    pub const OURS: Self = Self { server: None };

    /// One of its own, with a storage server: the `tgtd` of a disk of the stack `iscsi`, which
    /// serves what that disk's configuration says. It answers at `address`, which a guest reaches
    /// through its gateway. `dir` is an empty directory to mount the disk at.
    pub fn with_storage(disk: &Path, dir: &Path, address: &str) -> Self {
        let server = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-euc"])
            .arg(
                "ip link set lo up
                 ip address add \"$3/32\" dev lo
                 mount -o loop,offset=1048576 \"$1\" \"$2\"
                 mount --rbind /dev \"$2/dev\"
                 mount -t proc proc \"$2/proc\"
                 mkdir -p \"$2/var/lib/storage\" \"$2/run/tgtd\"
                 truncate -s 128M \"$2/var/lib/storage/data.img\"
                 truncate -s 600M \"$2/var/lib/storage/volumes.img\"
                 truncate -s 64M \"$2/var/lib/storage/boot.img\"
                 exec chroot \"$2\" tgtd --foreground",
            )
            .args(["sh", text(disk), text(dir), address])
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare");
        let network = Self {
            server: Some(server),
        };
        let started = Instant::now();
        loop {
            let said = network
                .command("chroot")
                .args([text(dir), "tgt-admin", "--execute"])
                .output()
                .expect("nsenter");
            if said.status.success() {
                return network;
            }
            assert!(started.elapsed() < PATIENCE, "{said:?}");
            thread::sleep(Duration::from_secs(1));
        }
    }

    /// A command that runs in it.
    pub fn command(&self, program: &str) -> Command {
        let Some(server) = &self.server else {
            return Command::new(program);
        };
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", server.id()))
            .args(["--net", "--mount", "--", program]);
        command
    }

    /// A TCP port of the loopback interface that nobody listens at.
    pub fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // tgtd leaves at no signal but this while sessions are there.
            server.kill().ok();
            server.wait().ok();
        }
    }
}

/// A copy of a disk, as sparse as it is.
pub fn copy_disk(from: &Path, to: &Path) {
    let _ = run("cp", &["--sparse=always", text(from), text(to)]).expect(0);
}
