//! dracut: dracut(8), dracut.conf(5).
//!
//! Versions differ in their options, and what a version knows stands in its own program, which is a
//! shell script. Red Hat 6 has version 004, which builds general images unless told otherwise.

use super::words;
use crate::error::Error;
use crate::guest::{CONFIG_LIMIT, Guest};
use crate::parse::edit::{self, Edit};
use crate::parse::shell_vars::{self, Assignment};
use crate::root::GuestPath;

/// The main configuration.
const CONF: &str = "/etc/dracut.conf";
/// Files that win over it, the last in the order of names most of all.
const CONF_DIR: &str = "/etc/dracut.conf.d";
/// The one that is put there.
const OWN: &str = "/etc/dracut.conf.d/zz-byoi.conf";

/// A version of dracut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dracut {
    program: GuestPath,
    /// Its options, among those that matter here.
    options: Vec<&'static str>,
}

impl Dracut {
    pub(super) fn probe(guest: &Guest<'_>, program: GuestPath) -> Result<Self, Error> {
        let script = guest
            .root()
            .read(&program, CONFIG_LIMIT)?
            .unwrap_or_default();
        let script = String::from_utf8_lossy(&script);
        let options = ["--no-hostonly", "--no-hostonly-cmdline", "--add-drivers"]
            .into_iter()
            .filter(|option| script.contains(option.trim_start_matches('-')))
            .collect();
        Ok(Self { program, options })
    }

    pub(super) fn command(
        &self,
        version: &str,
        image: &GuestPath,
        modules: &[String],
    ) -> Vec<String> {
        let mut argv = words(&[&self.program.to_string(), "--force"]);
        for option in &self.options {
            if *option != "--add-drivers" {
                argv.push((*option).to_owned());
            } else if !modules.is_empty() {
                argv.extend(words(&[option, &modules.join(" ")]));
            }
        }
        argv.extend(words(&[&image.to_string(), version]));
        argv
    }

    /// Old versions take any value of `hostonly` for a yes.
    fn is_general_unless_told(&self) -> bool {
        !self.options.contains(&"--no-hostonly")
    }

    pub(super) fn configure(
        &self,
        guest: &mut Guest<'_>,
        modules: &[String],
        kept: &[String],
    ) -> Result<(), Error> {
        let mut files = vec![GuestPath::from(CONF)];
        let more = guest.list(&CONF_DIR.into())?;
        files.extend(more.into_iter().filter(|path| path.has_suffix(".conf")));
        for path in files {
            let Some(text) = guest.text(&path)? else {
                continue;
            };
            let mut edits = Vec::new();
            for assignment in shell_vars::assignments(text.as_str()) {
                match assignment.name.as_str() {
                    "hostonly" if self.is_general_unless_told() => {
                        edits.push(Edit::remove(assignment.lines));
                    }
                    "omit_drivers" => edits.extend(without_omitted(&assignment, modules)),
                    _ => {}
                }
            }
            if !edits.is_empty() {
                guest.write_text(&path, &edit::apply(text.as_str(), edits))?;
            }
        }
        if self.is_general_unless_told() {
            return Ok(());
        }
        guest.write(&OWN.into(), own_file(kept).into_bytes())
    }
}

fn own_file(kept: &[String]) -> String {
    let mut text = String::from(
        "# Images have to boot on other machines than the one they are built on.\nhostonly=\"no\"\n",
    );
    if !kept.is_empty() {
        text.push_str("kernel_cmdline+=\" ");
        text.push_str(&kept.join(" "));
        text.push_str(" \"\n");
    }
    text
}

/// Takes the drivers that the boot needs from those that are left out. The words may be patterns.
fn without_omitted(assignment: &Assignment, modules: &[String]) -> Vec<Edit> {
    let value = &assignment.value;
    edit::words(value.as_str())
        .filter(|(_, word)| word.contains("virtio") || modules.iter().any(|module| module == word))
        .flat_map(|(range, _)| {
            // The space before a word goes with it.
            let start = range.start.saturating_sub(1);
            value.sources(start..range.end)
        })
        .map(Edit::remove)
        .collect()
}
