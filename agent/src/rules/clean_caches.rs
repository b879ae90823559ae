//! `clean/caches`: what is fetched or made anew when it is missing. Only on request.
//!
//! Files go, their directories stay: some belong to services. `/var/cache/debconf` is no cache
//! in spite of its name, and is left alone. The running system goes on serving: there the sockets
//! and FIFOs of its services stay, with the directories that they are in, and this program.

use std::collections::BTreeMap;

use super::{DOC_CUSTOM_IMAGES, Rule, RuleMeta};
use crate::access::accounts::accounts;
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::glob;
use crate::root::{FileKind, GuestPath};

/// The rule.
#[derive(Debug, Default)]
pub struct CleanCaches {
    is_running: bool,
}

/// Directories whose files go, however deep.
const CACHES: [&str; 10] = [
    "/var/cache/apt/archives",
    "/var/lib/apt/lists",
    "/var/cache/yum",
    "/var/cache/dnf",
    "/var/cache/libdnf5",
    "/var/cache/zypp",
    "/var/cache/PackageKit",
    "/var/cache/man",
    "/var/cache/fontconfig",
    "/var/cache/snapd",
];
/// Files that go.
const FILES: [&str; 3] = [
    "/var/cache/apt/pkgcache.bin",
    "/var/cache/apt/srcpkgcache.bin",
    "/var/lib/rpm/__db.*",
];
/// Caches in a home directory.
const HOME_CACHES: [&str; 3] = [".cache/pip", ".cache/thumbnails", ".npm/_cacache"];
/// Directories that are emptied altogether.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// What stays in them: the sockets and private directories of running services.
const IN_USE: [&str; 3] = ["systemd-private-*", ".*-unix", "snap-private-tmp"];
/// This program, as the kernel knows it.
const SELF: &str = "/proc/self/exe";

impl CleanCaches {
    /// The rule; whether the guest is the running system.
    pub fn new(is_running: bool) -> Self {
        Self { is_running }
    }

    /// What goes, each with the heap that it lies on.
    fn leftovers(&self, guest: &Guest<'_>) -> Result<Vec<(GuestPath, GuestPath)>, Error> {
        let mut found = Vec::new();
        let mut caches: Vec<GuestPath> = CACHES.map(Into::into).into();
        for account in accounts(guest)?
            .iter()
            .filter(|account| account.is_for_login())
        {
            let home = GuestPath::new(&account.home);
            caches.extend(HOME_CACHES.map(|cache| home.join(cache)));
        }
        for cache in caches {
            for path in guest.walk(&cache)? {
                // Package tools lock a file that they do not make.
                if guest.kind(&path)? == Some(FileKind::Regular) && path.name() != "lock" {
                    found.push((cache.clone(), path));
                }
            }
        }
        for pattern in FILES {
            let pattern = GuestPath::from(pattern);
            let Some(dir) = pattern.parent() else {
                continue;
            };
            let name = pattern.name().to_string_lossy();
            for path in guest.list(&dir)? {
                if glob::matches(&name, &path.name().to_string_lossy()) {
                    found.push((dir.clone(), path));
                }
            }
        }
        for dir in TEMPORARY {
            let dir = GuestPath::from(dir);
            for path in guest.list(&dir)? {
                let name = path.name().to_string_lossy();
                if IN_USE.iter().any(|pattern| glob::matches(pattern, &name)) {
                    continue;
                }
                for path in self.spent(guest, path)? {
                    found.push((dir.clone(), path));
                }
            }
        }
        Ok(found)
    }

    /// A path if nothing of it is in use, else what of it is not: as few paths as say so.
    fn spent(&self, guest: &Guest<'_>, path: GuestPath) -> Result<Vec<GuestPath>, Error> {
        if !self.is_running {
            return Ok(vec![path]);
        }
        let own = guest.root().resolve(&SELF.into())?;
        let is_used = |path: &GuestPath| -> Result<bool, Error> {
            Ok(*path == own || guest.kind(path)? == Some(FileKind::Special))
        };
        let mut spent = Vec::new();
        let mut pending = vec![path];
        while let Some(path) = pending.pop() {
            let mut holds_used = is_used(&path)?;
            let is_directory = guest.kind(&path)? == Some(FileKind::Directory);
            if is_directory {
                for inner in guest.walk(&path)? {
                    holds_used |= is_used(&inner)?;
                }
            }
            match (holds_used, is_directory) {
                (false, _) => spent.push(path),
                (true, true) => pending.extend(guest.list(&path)?),
                (true, false) => {}
            }
        }
        spent.sort();
        Ok(spent)
    }
}

impl Rule for CleanCaches {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "clean/caches",
            severity: Severity::Note,
            title: "Package caches and temporary files (with --clean)",
            why: "Every instance of the image would carry them, and the image is larger by them.",
            doc: DOC_CUSTOM_IMAGES,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut counts: BTreeMap<GuestPath, usize> = BTreeMap::new();
        for (heap, _) in self.leftovers(guest)? {
            *counts.entry(heap).or_default() += 1;
        }
        Ok(counts
            .into_iter()
            .map(|(heap, count)| {
                Defect::in_file(&heap, "what is in it is not needed on an instance")
                    .evidence(format!("{count} entries"))
                    .hint("remove them; what is missing is made anew")
            })
            .collect())
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        for (_, path) in self.leftovers(guest)? {
            guest.discard(&path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn caches_go_and_what_looks_like_one_stays() {
        let gone = [
            "/var/cache/apt/archives/vim_9.deb",
            "/var/cache/apt/pkgcache.bin",
            "/var/lib/apt/lists/deb.debian.org_dists_InRelease",
            "/var/cache/dnf/baseos-1/repodata/repomd.xml",
            "/var/cache/man/index.db",
            "/var/lib/rpm/__db.001",
            "/tmp/script.sh",
            "/var/tmp/dracut.x/a",
            "/home/ann/.cache/pip/http/a",
        ];
        let kept = [
            "/var/cache/apt/archives/lock",
            "/var/lib/apt/lists/lock",
            "/var/cache/debconf/config.dat",
            "/var/lib/rpm/Packages",
            "/tmp/.X11-unix/X0",
            "/var/tmp/systemd-private-1-chrony.service-x/tmp/a",
            "/home/ann/.cache/mozilla/a",
        ];
        let mut files = vec![("/etc/passwd", "ann:x:1000:1000::/home/ann:/bin/bash\n")];
        files.extend(gone.iter().chain(&kept).map(|path| (*path, "x")));
        let fixture = Fixture::debian(&files);
        fixture.fix(&[&CleanCaches::default()]);
        for path in gone {
            assert!(!fixture.has(path), "{path}");
        }
        for path in kept {
            assert!(fixture.has(path), "{path}");
        }
        assert!(fixture.has("/var/cache/dnf/baseos-1/repodata"));
        assert!(!fixture.has("/var/tmp/dracut.x"));
    }

    #[test]
    fn the_running_system_goes_on_serving() {
        let files = [
            ("/proc/self/exe", "-> /tmp/tools/byoi-agent"),
            ("/tmp/tools/byoi-agent", "program"),
            ("/tmp/tools/notes", "x"),
            ("/tmp/script.sh", "x"),
            ("/tmp/tmux-0/log", "x"),
            ("/tmp/old/a/b", "x"),
            ("/var/tmp/x", "x"),
        ];
        let fixture = Fixture::debian(&files);
        let _listening = ["/tmp/.s.PGSQL.5432", "/tmp/tmux-0/default"]
            .map(|path| UnixListener::bind(fixture.host(path)).unwrap());
        mkfifo(&fixture.host("/var/tmp/queue"), Mode::S_IRUSR).unwrap();
        let running = CleanCaches::new(true);
        fixture.fix(&[&running]);
        for path in [
            "/tmp/tools/byoi-agent",
            "/tmp/.s.PGSQL.5432",
            "/tmp/tmux-0/default",
            "/var/tmp/queue",
        ] {
            assert!(fixture.has(path), "{path}");
        }
        for path in [
            "/tmp/tools/notes",
            "/tmp/script.sh",
            "/tmp/tmux-0/log",
            "/tmp/old",
        ] {
            assert!(!fixture.has(path), "{path}");
        }
        // Of a guest on a disk nothing runs.
        fixture.fix(&[&CleanCaches::new(false)]);
        assert!(!fixture.has("/tmp/tools") && !fixture.has("/var/tmp/queue"));
    }
}
