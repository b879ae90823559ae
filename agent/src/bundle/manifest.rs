//! The first member of a bundle: what the rest is, and of what.

use std::ffi::OsStr;
use std::path::{Component, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::BundleError;
use super::machine::Machine;
use super::name;
use super::scope::scope;
use super::state::State;
use crate::error::Error;
use crate::live::Record;
use crate::plan::Plan;
use crate::root::{GuestPath, GuestRoot};

/// The name and version of the format.
pub const SCHEMA: &str = "byoi.bundle/1";
/// The longest path that is taken, in bytes.
const MAX_PATH: usize = 4096;

/// Which program wrote a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A path that `prepare` touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The guest path.
    #[serde(with = "name")]
    pub path: PathBuf,
    /// What was there.
    pub before: State,
    /// What `prepare` puts there. A directory that is one before and after only lends its times.
    pub after: State,
}

impl Entry {
    /// The guest path.
    pub fn guest_path(&self) -> GuestPath {
        GuestPath::new(&self.path)
    }

    /// Whether it is a directory in which something is changed, and which itself is not.
    pub fn surrounds(&self) -> bool {
        self.before == State::Directory && self.after == State::Directory
    }
}

/// What a bundle holds, and of which machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// Which program wrote it.
    pub tool: Tool,
    /// When, in seconds since 1970.
    pub time: u64,
    /// Which machine it undoes a `prepare` of.
    pub machine: Machine,
    /// Every path that is touched, in their order; directories come before what is in them.
    pub paths: Vec<Entry>,
    /// What is stopped or detached on the running system beside its files.
    #[serde(default, skip_serializing_if = "Record::is_empty")]
    pub detached: Record,
}

impl Manifest {
    /// What a plan will touch, as it stands.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn of(root: &GuestRoot, machine: Machine, plan: &Plan) -> Result<Self, Error> {
        let paths = scope(plan, root)?
            .into_iter()
            .map(|(path, after)| {
                Ok(Entry {
                    before: State::of(root, &path)?,
                    path: path.as_path().to_owned(),
                    after,
                })
            })
            .collect::<Result<_, Error>>()?;
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(Self {
            schema: SCHEMA.to_owned(),
            tool: Tool {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            time: time.map_or(0, |time| time.as_secs()),
            machine,
            paths,
            detached: plan.detached().clone(),
        })
    }

    /// Reads a manifest and refuses what no honest one holds.
    ///
    /// # Errors
    ///
    /// It is damaged, or of another version.
    pub fn parse(json: &[u8]) -> Result<Self, BundleError> {
        let damaged = |reason: String| BundleError::Damaged { reason };
        let any: serde_json::Value = serde_json::from_slice(json)
            .map_err(|error| damaged(format!("its manifest is no JSON ({error})")))?;
        match any["schema"].as_str() {
            Some(SCHEMA) => {}
            Some(schema) => {
                return Err(BundleError::Schema {
                    schema: schema.to_owned(),
                });
            }
            None => return Err(damaged("its manifest names no schema".into())),
        }
        let manifest: Self = serde_json::from_value(any)
            .map_err(|error| damaged(format!("its manifest cannot be read ({error})")))?;
        let mut last: Option<GuestPath> = None;
        for entry in &manifest.paths {
            let path = entry.guest_path();
            if !is_plain(entry) {
                let shown = entry.path.display();
                return Err(damaged(format!("`{shown}` is no path of a guest")));
            }
            if last.is_some_and(|last| last >= path) {
                return Err(damaged(format!("{path} is out of order")));
            }
            last = Some(path);
        }
        Ok(manifest)
    }
}

/// Whether a path is absolute, holds no `..` and no `.`, and is the root only as a directory that
/// stays.
fn is_plain(entry: &Entry) -> bool {
    let path = entry.path.as_os_str();
    let plain = entry.guest_path().as_path().as_os_str() == path
        && path.len() <= MAX_PATH
        && !path.as_encoded_bytes().contains(&0)
        && entry.path.components().all(|component| {
            matches!(component, Component::Normal(_)) || component.as_os_str() == OsStr::new("/")
        });
    plain && (entry.path.as_os_str() != "/" || entry.surrounds())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(paths: &[&str]) -> Vec<u8> {
        let paths: Vec<_> = paths
            .iter()
            .map(|path| {
                serde_json::json!({
                    "path": path,
                    "before": {"kind": "absent"},
                    "after": {"kind": "file", "size": 0, "sha256": ""},
                })
            })
            .collect();
        let manifest = serde_json::json!({
            "schema": SCHEMA,
            "tool": {"name": "byoi-agent", "version": "0"},
            "time": 0,
            "machine": {"hostname": "web01"},
            "paths": paths,
        });
        manifest.to_string().into_bytes()
    }

    #[test]
    fn honest_paths_are_taken_and_no_others() {
        let refusal = |paths: &[&str]| {
            Manifest::parse(&manifest(paths))
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(refusal(&["/etc", "/etc/fstab", "/etc-x"]), None);
        for hostile in [
            "etc/fstab",
            "/etc/../../root/.profile",
            "/..",
            "/",
            "//etc",
            "/etc/",
            "/etc/./fstab",
            "",
            "/a%00b",
        ] {
            let said = refusal(&[hostile]).unwrap();
            assert!(said.contains("no path of a guest"), "{hostile}: {said}");
        }
        for paths in [["/b", "/a"], ["/a", "/a"], ["/a/b", "/a"]] {
            let said = refusal(&paths).unwrap();
            assert!(said.contains("out of order"), "{paths:?}: {said}");
        }
    }

    #[test]
    fn other_schemas_are_told_apart_from_damage() {
        for (json, words) in [
            (&b"{"[..], "no JSON"),
            (b"{}", "names no schema"),
            (br#"{"schema": "byoi.bundle/2"}"#, "use the newer one"),
            (br#"{"schema": "byoi.bundle/1"}"#, "cannot be read"),
        ] {
            let said = Manifest::parse(json).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
    }
}
