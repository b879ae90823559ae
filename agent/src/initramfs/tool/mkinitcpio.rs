//! mkinitcpio: mkinitcpio(8), mkinitcpio.conf(5). Its hook `autodetect` leaves out every module that
//! the present machine does not use.

use super::words;
use crate::error::Error;
use crate::guest::Guest;
use crate::parse::edit::{self, Edit};
use crate::root::GuestPath;

/// The main configuration.
const CONF: &str = "/etc/mkinitcpio.conf";
/// Files that win over it.
const CONF_DIR: &str = "/etc/mkinitcpio.conf.d";
/// The hook.
const AUTODETECT: &str = "autodetect";

pub(super) fn command(program: &GuestPath, version: &str, image: &GuestPath) -> Vec<String> {
    words(&[
        &program.to_string(),
        "-k",
        version,
        "-g",
        &image.to_string(),
        "-S",
        AUTODETECT,
    ])
}

pub(super) fn configure(guest: &mut Guest<'_>) -> Result<(), Error> {
    let mut files = vec![GuestPath::from(CONF)];
    let more = guest.list(&CONF_DIR.into())?;
    files.extend(more.into_iter().filter(|path| path.has_suffix(".conf")));
    for path in files {
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let edits = without_autodetect(text.as_str());
        if !edits.is_empty() {
            guest.write_text(&path, &edit::apply(text.as_str(), edits))?;
        }
    }
    Ok(())
}

/// Takes the hook out of the array `HOOKS`, which may be on several lines.
fn without_autodetect(text: &str) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut inside = false;
    for line in edit::lines(text) {
        inside |= line.text.trim_start().starts_with("HOOKS=");
        if !inside {
            continue;
        }
        for (range, _) in hooks(line.text).filter(|(_, word)| *word == AUTODETECT) {
            let (start, end) = (line.range.start + range.start, line.range.start + range.end);
            let space = usize::from(text[..start].ends_with([' ', '\t']));
            edits.push(Edit::remove(start - space..end));
        }
        inside = !line.text.contains(')');
    }
    edits
}

/// The words of a line, parentheses and quotes apart.
fn hooks(line: &str) -> impl Iterator<Item = (std::ops::Range<usize>, &str)> {
    edit::words(line).map(|(range, word)| {
        let begin = word.find(['(', '"']).map_or(0, |at| at + 1);
        let hook = &word[begin..];
        let length = hook.find([')', '"']).unwrap_or(hook.len());
        let start = range.start + begin;
        (start..start + length, &hook[..length])
    })
}
