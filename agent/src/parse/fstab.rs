//! `fstab(5)`.
//!
//! Six columns parted by white space; `\040` and its kind stand for white space within one. What
//! is not edited, columns and comments among it, stays as it is.

use std::ops::Range;
use std::path::Path;

use super::edit::{self, Edit};

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is mounted: `UUID=…`, `/dev/sda1`, `tmpfs`.
    pub source: String,
    /// Where; `none` for swap.
    pub target: String,
    /// The type of the file system; empty where the column is missing.
    pub fs_type: String,
    /// The options; empty where the column is missing.
    pub options: Vec<String>,
    /// Its line, from 1.
    pub line: usize,
    /// The line as it stands, without the line break.
    pub text: String,
    columns: Vec<Range<usize>>,
    range: Range<usize>,
}

/// The entries of a text, in order. A line with fewer than two columns is none.
pub fn entries(text: &str) -> Vec<Entry> {
    edit::lines(text).filter_map(|line| entry(&line)).collect()
}

fn entry(line: &edit::Line<'_>) -> Option<Entry> {
    let found: Vec<(Range<usize>, &str)> = edit::words(line.text)
        .take(6)
        .take_while(|(_, word)| !word.starts_with('#'))
        .collect();
    let column = |at: usize| found.get(at).map(|(_, word)| decode(word));
    Some(Entry {
        source: column(0)?,
        target: column(1)?,
        fs_type: column(2).unwrap_or_default(),
        options: found
            .get(3)
            .map(|(_, word)| word.split(',').map(decode).collect())
            .unwrap_or_default(),
        line: line.number,
        text: line.text.to_owned(),
        columns: found
            .iter()
            .map(|(range, _)| line.range.start + range.start..line.range.start + range.end)
            .collect(),
        range: line.range.clone(),
    })
}

impl Entry {
    /// Whether an option is set, with or without a value.
    pub fn has_option(&self, name: &str) -> bool {
        self.options.iter().any(|option| {
            option
                .split_once('=')
                .map_or(option.as_str(), |(name, _)| name)
                == name
        })
    }

    /// The value of the last option `name=value`.
    pub fn option_value(&self, name: &str) -> Option<&str> {
        self.options
            .iter()
            .rev()
            .find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }

    /// Whether it is swap space.
    pub fn is_swap(&self) -> bool {
        self.fs_type == "swap"
    }

    /// Whether the system does not run without it.
    pub fn is_essential(&self) -> bool {
        is_essential(&self.target)
    }

    /// Whether it mounts a directory that lies on what another entry mounts.
    pub fn is_bound_from(&self, other: &Self) -> bool {
        (self.has_option("bind") || self.has_option("rbind"))
            && other.target != "/"
            && Path::new(&self.source).starts_with(&other.target)
    }

    /// Takes the entry out.
    pub fn remove(&self) -> Edit {
        Edit::remove(self.range.clone())
    }

    /// Mounts something else; the new source holds no white space.
    pub fn set_source(&self, source: &str) -> Edit {
        Edit::replace(self.columns[0].clone(), source)
    }

    /// Takes options out, each given by its name or as `name=value`, and adds another one unless it
    /// is there.
    pub fn change_options(&self, without: &[&str], option: &str) -> Edit {
        let Some(column) = self.columns.get(3) else {
            return self.add_option(option);
        };
        let start = column.start - self.range.start;
        let text = &self.text[start..start + column.len()];
        let mut options: Vec<&str> = text
            .split(',')
            .filter(|option| {
                let name = option.split_once('=').map_or(*option, |(name, _)| name);
                !without.contains(&name) && !without.contains(option)
            })
            .collect();
        if !options.contains(&option) {
            options.push(option);
        }
        Edit::replace(column.clone(), options.join(","))
    }

    /// Adds an option; a column for the options too where there is none.
    pub fn add_option(&self, option: &str) -> Edit {
        let end = self
            .columns
            .last()
            .map_or(self.range.start, |column| column.end);
        match self.columns.len() {
            2 => Edit::replace(end..end, format!(" auto defaults,{option}")),
            3 => Edit::replace(end..end, format!(" defaults,{option}")),
            _ => {
                let end = self.columns[3].end;
                Edit::replace(end..end, format!(",{option}"))
            }
        }
    }
}

/// Whether a system does not run without what is mounted here.
pub fn is_essential(target: &str) -> bool {
    let target = match target.trim_end_matches('/') {
        "" if target.starts_with('/') => "/",
        trimmed => trimmed,
    };
    matches!(
        target,
        "/" | "/usr" | "/boot" | "/var" | "/var/lib" | "/etc"
    )
}

/// Reads the octal escapes of a column (getmntent(3)); one that is none stays.
pub fn decode(column: &str) -> String {
    let mut bytes = Vec::with_capacity(column.len());
    let mut rest = column.as_bytes();
    while let [first, tail @ ..] = rest {
        if let [
            b'\\',
            a @ b'0'..=b'3',
            b @ b'0'..=b'7',
            c @ b'0'..=b'7',
            after @ ..,
        ] = rest
        {
            bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            rest = after;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_are_read() {
        let text = "\
# /etc/fstab: static file system information.
UUID=c1a7 /               ext4    errors=remount-ro 0       1

/dev/sda5\tnone\tswap\tsw\t0\t0\t# old
LABEL=a\\040b /mnt/c\\040d auto
proc /proc
lonely
";
        let found: Vec<_> = entries(text)
            .into_iter()
            .map(|entry| {
                (
                    entry.line,
                    entry.source,
                    entry.target,
                    entry.fs_type,
                    entry.options,
                )
            })
            .collect();
        let row = |line, source: &str, target: &str, fs_type: &str, options: &[&str]| {
            let options = options.iter().map(|option| (*option).to_owned()).collect();
            (
                line,
                source.to_owned(),
                target.to_owned(),
                fs_type.to_owned(),
                options,
            )
        };
        let expected: Vec<(usize, String, String, String, Vec<String>)> = vec![
            row(2, "UUID=c1a7", "/", "ext4", &["errors=remount-ro"]),
            row(4, "/dev/sda5", "none", "swap", &["sw"]),
            row(5, "LABEL=a b", "/mnt/c d", "auto", &[]),
            row(6, "proc", "/proc", "", &[]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_edit_keeps_the_rest_of_the_line() {
        for (text, source, option) in [
            (
                "# a\n/dev/sda1  /  ext4 ro,_netdev 0 1 # b\r\n",
                "# a\nUUID=x  /  ext4 ro,_netdev 0 1 # b\r\n",
                "# a\n/dev/sda1  /  ext4 ro,_netdev,nofail 0 1 # b\r\n",
            ),
            (
                "/dev/sda1 / ext4",
                "UUID=x / ext4",
                "/dev/sda1 / ext4 defaults,nofail",
            ),
            (
                "/dev/sda1 / # b",
                "UUID=x / # b",
                "/dev/sda1 / auto defaults,nofail # b",
            ),
        ] {
            let entry = &entries(text)[0];
            assert_eq!(edit::apply(text, vec![entry.set_source("UUID=x")]), source);
            assert_eq!(edit::apply(text, vec![entry.add_option("nofail")]), option);
        }
        let text = "# a\n/dev/sda1 / ext4\n# b\n";
        assert_eq!(
            edit::apply(text, vec![entries(text)[0].remove()]),
            "# a\n# b\n"
        );
    }

    #[test]
    fn options_are_changed_in_place() {
        for (text, expected) in [
            ("a b c x,auto,y=1\t0 0 # d", "a b c x,noauto\t0 0 # d"),
            ("a b c auto", "a b c noauto"),
            ("a b c noauto,x", "a b c noauto,x"),
            ("a b c", "a b c defaults,noauto"),
        ] {
            let edit = entries(text)[0].change_options(&["auto", "y"], "noauto");
            assert_eq!(edit::apply(text, vec![edit]), expected);
        }
    }

    #[test]
    fn options_have_names() {
        let entry = &entries("a b c x-systemd.requires=iscsi.service,nofail")[0];
        for (name, expected) in [
            ("nofail", true),
            ("x-systemd.requires", true),
            ("no", false),
        ] {
            assert_eq!(entry.has_option(name), expected, "{name}");
        }
        assert_eq!(
            entry.option_value("x-systemd.requires"),
            Some("iscsi.service")
        );
        assert_eq!(entry.option_value("nofail"), None);
        assert_eq!(entry.option_value("x-systemd"), None);
    }

    #[test]
    fn escapes_are_decoded_and_broken_ones_stay() {
        for (column, expected) in [
            ("a\\040b", "a b"),
            ("\\303\\274", "ü"),
            ("a\\04", "a\\04"),
            ("\\777", "\\777"),
            ("\\\\040", "\\ "),
        ] {
            assert_eq!(decode(column), expected, "{column}");
        }
    }

    #[test]
    fn bind_mounts_hang_on_what_they_show() {
        let table = entries(
            "UUID=x /srv ext4\n/srv/a /a none bind\n/srv2/b /b none rw,rbind\n/srv/c /c ext4\n",
        );
        let bound: Vec<bool> = table
            .iter()
            .map(|entry| entry.is_bound_from(&table[0]))
            .collect();
        assert_eq!(bound, [false, true, false, false]);
    }

    #[test]
    fn some_targets_are_essential() {
        for (target, expected) in [("/", true), ("/var/", true), ("/home", false), ("", false)] {
            assert_eq!(is_essential(target), expected, "{target}");
        }
    }

    proptest! {
        #[test]
        fn hostile_text_is_read(text in "[a#,=\\\\0-9 \t\r\nü]{0,80}") {
            for entry in entries(&text) {
                let edited = edit::apply(&text, vec![entry.set_source("x"), entry.add_option("y")]);
                prop_assert!(edited.lines().count() == text.lines().count());
            }
        }
    }
}
