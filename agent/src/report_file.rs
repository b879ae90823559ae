//! The report as a file of the host: under its name only when it is complete.

#![expect(
    clippy::disallowed_methods,
    reason = "the report is a file of the host"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::failpoint;

/// Writes a report. A regular file is replaced as a whole, or stays as it is; anything else, such
/// as a pipe, is written to.
///
/// # Errors
///
/// The file could not be written.
pub fn write(path: &Path, report: &str) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return OpenOptions::new()
            .write(true)
            .open(path)?
            .write_all(report.as_bytes());
    }
    let temporary = temporary(path);
    let written = fill(&temporary, report).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What could not be made is not there to remove.
        fs::remove_file(&temporary).ok();
    }
    written
}

fn fill(path: &Path, report: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    failpoint::reach("report")?;
    file.write_all(report.as_bytes())?;
    file.sync_all()
}

fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.byoi", std::process::id()))
}

/// Whether two paths lead to one file, by the same or by different names.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    one == other || identity(one).is_some_and(|one| Some(one) == identity(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_replaces_what_had_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        fs::write(&path, "old, and longer than the new one").unwrap();
        write(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write(&dir.path().join("none/report.json"), "new").is_err());
        write(Path::new("/dev/null"), "new").unwrap();
    }

    #[test]
    fn one_file_by_two_names() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        fs::write(&one, "").unwrap();
        fs::hard_link(&one, &other).unwrap();
        let none = dir.path().join("none");
        assert!(is_same_file(&one, &other));
        assert!(is_same_file(&none, &none));
        assert!(!is_same_file(&one, &none));
    }
}
