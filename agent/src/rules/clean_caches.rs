//! `clean/caches`: what is fetched or made anew when it is missing. Only on request.
//!
//! Files go, their directories stay: some belong to services. `/var/cache/debconf` is no cache
//! in spite of its name, and is left alone.

use std::collections::BTreeMap;

use super::{DOC_CUSTOM_IMAGES, Rule, RuleMeta};
use crate::access::accounts::accounts;
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::glob;
use crate::root::{FileKind, GuestPath};

/// The rule.
#[derive(Debug)]
pub struct CleanCaches;

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
        for (heap, _) in leftovers(guest)? {
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
        for (_, path) in leftovers(guest)? {
            guest.discard(&path)?;
        }
        Ok(())
    }
}

/// What goes, each with the heap that it lies on.
fn leftovers(guest: &Guest<'_>) -> Result<Vec<(GuestPath, GuestPath)>, Error> {
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
            if !IN_USE.iter().any(|pattern| glob::matches(pattern, &name)) {
                found.push((dir.clone(), path));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
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
        fixture.fix(&[&CleanCaches]);
        for path in gone {
            assert!(!fixture.has(path), "{path}");
        }
        for path in kept {
            assert!(fixture.has(path), "{path}");
        }
        assert!(fixture.has("/var/cache/dnf/baseos-1/repodata"));
        assert!(!fixture.has("/var/tmp/dracut.x"));
    }
}
