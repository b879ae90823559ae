//! Whether cloud-init, where it runs at boot, asks OCI and nobody else.
//!
//! What decides, in this order: `ds=` on the kernel command line and `/etc/cloud/ds-identify.cfg`,
//! which fix one source or none; `datasource_list`, of which the last file that has it counts; and
//! the order in that list, for ds-identify takes every source that it finds and cloud-init the
//! first that answers: a seed for `NoCloud` on the disk comes before OCI.
//!
//! The remedy is a file that sorts behind all others and says `[Oracle, None]`. The guest's other
//! sources are not kept in it: none of their services is there on OCI, and each of them that looks
//! on the disk would come first. With one source and `None`, ds-identify does not search and never
//! turns cloud-init off; `None` brings the network up even where OCI does not answer in time. The
//! list is on one line because ds-identify reads no other. `datasource_list` of the guest's files
//! stays as it is, so that the one file is all there is to take away again.

use super::config::{self, File, OVERRIDES};
use super::{seed, service};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::kernel_cmdline::{self, value_of};
use crate::parse::kargs::ArgEdit;
use crate::parse::lines::{LineEdits, content};
use crate::parse::yaml_keys::Entry;
use crate::root::GuestPath;

/// OCI's data source.
const ORACLE: &str = "Oracle";
/// What `datasource_list` is to say, unless another file comes behind this one.
const NAME: &str = "99-oracle-datasource.cfg";
const TEXT: &str = "\
# The image runs on Oracle Cloud Infrastructure. ds-identify reads the list on one line only.
datasource_list: [Oracle, None]
";
/// What ds-identify is told.
const DS_IDENTIFY: &str = "/etc/cloud/ds-identify.cfg";
/// Arguments of the kernel that fix a data source.
const SOURCE_ARGS: [&str; 3] = ["ds", "ci.ds", "ci.datasource"];
/// The argument of the kernel that is ds-identify's policy.
const POLICY_ARG: &str = "ci.di.policy";

/// What keeps cloud-init from asking OCI; nothing where it does not run at all.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    if !service::runs_at_boot(guest)? {
        return Ok(Vec::new());
    }
    let mut defects = Vec::new();
    if !service::knows_oracle(guest)? {
        defects.push(
            Defect::in_file(
                &config::MAIN.into(),
                "this cloud-init has no data source for OCI",
            )
            .hint("install cloud-init 18.4 or a later version"),
        );
    }
    for copy in kernel_cmdline::copies(guest)? {
        let args = copy.kargs.args.iter().filter(|arg| is_obstacle(&arg.text));
        defects.extend(args.map(|arg| {
            Defect::in_file(
                &copy.path,
                "the kernel command line fixes another data source",
            )
            .at_line(arg.line)
            .evidence(arg.text.split(';').next().unwrap_or_default())
            .hint("remove the argument from every copy of the command line")
        }));
    }
    if let Some(text) = guest.text(&DS_IDENTIFY.into())? {
        defects.extend(obstacles(text.as_str()).into_iter().map(|(number, line)| {
            Defect::in_file(
                &DS_IDENTIFY.into(),
                "ds-identify is told not to look for OCI",
            )
            .at_line(number + 1)
            .evidence(line)
            .hint("remove the line")
        }));
    }
    defects.extend(check_list(guest, &config::read_all(guest)?)?);
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    if !service::runs_at_boot(guest)? {
        return Ok(());
    }
    kernel_cmdline::edit(guest, &mut |arg| {
        if is_obstacle(&arg.text) {
            ArgEdit::Remove
        } else {
            ArgEdit::Keep
        }
    })?;
    fix_ds_identify(guest)?;
    let files = config::read_all(guest)?;
    if check_list(guest, &files)?.is_some() {
        guest.write_text(&last_of(&files), TEXT)?;
    }
    Ok(())
}

/// What the list of data sources does wrong.
fn check_list(guest: &Guest<'_>, files: &[File]) -> Result<Option<Defect>, Error> {
    let set = files
        .iter()
        .rev()
        .find_map(|file| Some((file, file.entry("datasource_list")?)));
    let (sources, defect) = match set {
        Some((file, entry)) => (
            entry.items(),
            Defect::in_file(&file.path, "")
                .at_line(entry.lines.start + 1)
                .evidence(file.line(entry)),
        ),
        // Every data source that there is, those that look on the disk first.
        None => (
            ["NoCloud", "ConfigDrive", ORACLE].map(str::to_owned).into(),
            Defect::in_file(&config::MAIN.into(), ""),
        ),
    };
    let at = |name: &str| sources.iter().position(|source| source == name);
    let message = match (at(ORACLE), at("NoCloud")) {
        (None, _) => "OCI is not among cloud-init's data sources",
        (Some(oracle), Some(seeds)) if seeds < oracle && has_seed(guest, files)? => {
            "cloud-init takes a seed on the disk before it asks OCI"
        }
        _ => return Ok(None),
    };
    let mut defect = defect.hint("add a last file with `datasource_list: [Oracle, None]`");
    message.clone_into(&mut defect.message);
    Ok(Some(defect))
}

/// Whether there is a seed for `NoCloud`: on the disk, or in the configuration itself.
fn has_seed(guest: &Guest<'_>, files: &[File]) -> Result<bool, Error> {
    let configured = files
        .iter()
        .filter_map(|file| file.entry("datasource"))
        .flat_map(Entry::entries)
        .filter(|source| source.key == "NoCloud")
        .any(|source| {
            let keys = source.entries();
            let has = |key: &str| keys.iter().any(|entry| entry.key == key);
            has("seedfrom") || (has("user-data") && has("meta-data"))
        });
    Ok(configured || seed::read_all(guest)?.iter().any(|seed| seed.is_complete))
}

/// Where the file is to be that comes behind all others.
fn last_of(files: &[File]) -> GuestPath {
    let names = files
        .iter()
        .filter(|file| {
            file.path.is_below(&OVERRIDES.into()) && file.entry("datasource_list").is_some()
        })
        .map(|file| file.path.name().to_string_lossy().into_owned());
    let name = match names.max() {
        // What begins with a name sorts behind it.
        Some(last) if last.as_str() > NAME => format!("{last}-oracle.cfg"),
        _ => NAME.to_owned(),
    };
    GuestPath::from(OVERRIDES).join(name)
}

/// Whether an argument of the kernel keeps cloud-init from asking OCI.
fn is_obstacle(arg: &str) -> bool {
    let source = SOURCE_ARGS.iter().find_map(|name| value_of(arg, name));
    let policy = value_of(arg, POLICY_ARG);
    source.is_some_and(|source| !is_oracle(source)) || policy.is_some_and(turns_off)
}

fn is_oracle(source: &str) -> bool {
    let name = source.split(';').next().unwrap_or_default().trim();
    name.is_empty() || name.eq_ignore_ascii_case(ORACLE)
}

/// Whether a policy of ds-identify's turns cloud-init off.
fn turns_off(policy: &str) -> bool {
    policy.split(',').any(|word| word.trim() == "disabled")
}

/// The lines of `ds-identify.cfg` that keep cloud-init from asking OCI, from 0.
fn obstacles(text: &str) -> Vec<(usize, &str)> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| {
            let bare = line.split('#').next().unwrap_or_default();
            let Some((key, value)) = bare.split_once(':') else {
                return false;
            };
            let value = value.trim().trim_matches(['"', '\'']);
            match key.trim() {
                "datasource" => !is_oracle(value),
                "policy" => turns_off(value),
                _ => false,
            }
        })
        .map(|(number, line)| (number, line.trim_end()))
        .collect()
}

fn fix_ds_identify(guest: &mut Guest<'_>) -> Result<(), Error> {
    let path = GuestPath::from(DS_IDENTIFY);
    let Some(text) = guest.text(&path)? else {
        return Ok(());
    };
    let mut edits = LineEdits::default();
    for (number, _) in obstacles(text.as_str()) {
        edits.remove(number..number + 1);
    }
    if edits.is_empty() {
        return Ok(());
    }
    let anew = edits.apply(text.as_str());
    if anew
        .split_inclusive('\n')
        .all(|line| content(line).trim().is_empty())
    {
        guest.remove(&path)
    } else {
        guest.write_text(&path, &anew)
    }
}
