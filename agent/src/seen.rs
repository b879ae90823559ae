//! What a plan saw of a path that goes, so that what somebody puts there meanwhile does not go with
//! it: between the two a bundle is written, which may take long.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::root::{FileKind, GuestPath, GuestRoot, Timestamp};

/// A path and everything below it, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen(BTreeMap<GuestPath, Mark>);

/// What changes when a path is written to. Of a directory no more than that it is one: what is in
/// it is seen by itself, and may be gone already.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    kind: FileKind,
    written: Option<(i64, Timestamp)>,
}

impl Seen {
    /// Looks at a path, the last link not followed.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn look(root: &GuestRoot, path: &GuestPath) -> Result<Self, Error> {
        let mut marks = BTreeMap::new();
        let mut pending = vec![path.clone()];
        while let Some(path) = pending.pop() {
            let Some((stat, attributes)) = root.attributes(&path)? else {
                continue;
            };
            let kind = FileKind::of(&stat);
            if kind == FileKind::Directory {
                let names = root.list(&path)?;
                pending.extend(names.iter().map(|name| path.join(name)));
            }
            let written =
                (kind != FileKind::Directory).then_some((stat.st_size, attributes.modified));
            marks.insert(path, Mark { kind, written });
        }
        Ok(Self(marks))
    }

    /// Refuses what came or was written to since. What is gone is as it shall be.
    ///
    /// # Errors
    ///
    /// Something changed, or the guest could not be read.
    pub fn unchanged(&self, root: &GuestRoot, path: &GuestPath) -> Result<(), Error> {
        let now = Self::look(root, path)?.0;
        match now
            .iter()
            .find(|(path, mark)| self.0.get(*path) != Some(mark))
        {
            None => Ok(()),
            Some((path, _)) => Err(Error::Changed {
                path: path.to_string(),
            }),
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a test's own directory is a host path"
)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_came_or_was_written_is_told_and_what_went_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = GuestRoot::open(dir.path()).unwrap();
        let nodes = GuestPath::from("/nodes");
        let record = dir.path().join("nodes/iqn/record");
        let changed = |seen: &Seen| seen.unchanged(&root, &nodes).err().map(|e| e.to_string());
        assert_eq!(changed(&Seen::look(&root, &nodes).unwrap()), None);
        fs::create_dir_all(record.parent().unwrap()).unwrap();
        fs::write(&record, "a").unwrap();
        let seen = Seen::look(&root, &nodes).unwrap();
        assert_eq!(changed(&seen), None);
        for (name, content) in [("record", "ab"), ("other", "a")] {
            let path = record.with_file_name(name);
            fs::write(&path, content).unwrap();
            let said = changed(&seen).unwrap();
            assert!(
                said.contains(&format!("/nodes/iqn/{name} changed")),
                "{said}"
            );
            fs::remove_file(&path).unwrap();
            assert_eq!(changed(&seen), None);
        }
        fs::remove_dir_all(dir.path().join("nodes")).unwrap();
        assert_eq!(changed(&seen), None);
    }
}
