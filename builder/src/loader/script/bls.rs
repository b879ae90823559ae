//! Entries of the Boot Loader Specification, type 1, as Fedora's `blscfg` makes a menu of them.

use std::cmp::Ordering;

/// An entry file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Snippet {
    /// The name of the file without `.conf`.
    pub id: String,
    /// What the menu shows.
    pub title: String,
    /// The kernel.
    pub linux: Option<(String, usize)>,
    /// The initial ramdisks.
    pub initrd: Vec<String>,
    /// The arguments, variables not put in; `None` where the file has none.
    pub options: Option<String>,
}

impl Snippet {
    /// Reads an entry file.
    pub fn parse(id: &str, text: &str) -> Self {
        let mut entry = Self {
            id: id.to_owned(),
            ..Self::default()
        };
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            let (key, value) = line
                .split_once([' ', '\t'])
                .map_or((line, ""), |(key, value)| (key, value.trim()));
            match key {
                "title" => value.clone_into(&mut entry.title),
                "linux" => entry.linux = Some((value.to_owned(), number)),
                "initrd" => entry
                    .initrd
                    .extend(value.split_whitespace().map(str::to_owned)),
                "options" => {
                    let options = entry.options.get_or_insert_default();
                    if !options.is_empty() {
                        options.push(' ');
                    }
                    options.push_str(value);
                }
                _ => {}
            }
        }
        entry
    }
}

/// Compares two versions as `rpm` does: runs of digits as numbers, runs of letters as text, `~`
/// before everything.
pub(super) fn version_cmp(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        let skip = |text: &mut &[u8]| {
            while let [first, rest @ ..] = *text {
                if first.is_ascii_alphanumeric() || *first == b'~' {
                    break;
                }
                *text = rest;
            }
        };
        skip(&mut left);
        skip(&mut right);
        match (left.first(), right.first()) {
            (Some(b'~'), Some(b'~')) => {
                left = &left[1..];
                right = &right[1..];
            }
            (Some(b'~'), _) => return Ordering::Less,
            (_, Some(b'~')) => return Ordering::Greater,
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => {
                let order = match (a.is_ascii_digit(), b.is_ascii_digit()) {
                    (true, false) => return Ordering::Greater,
                    (false, true) => return Ordering::Less,
                    (true, true) => {
                        let number = |text: &mut &[u8]| {
                            let run = take(text, u8::is_ascii_digit);
                            let zeros = run.iter().take_while(|byte| **byte == b'0').count();
                            run[zeros..].to_vec()
                        };
                        let (a, b) = (number(&mut left), number(&mut right));
                        a.len().cmp(&b.len()).then_with(|| a.cmp(&b))
                    }
                    (false, false) => take(&mut left, u8::is_ascii_alphabetic)
                        .cmp(take(&mut right, u8::is_ascii_alphabetic)),
                };
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}

fn take<'a>(text: &mut &'a [u8], of: impl Fn(&u8) -> bool) -> &'a [u8] {
    let end = text.iter().position(|byte| !of(byte));
    let (run, rest) = text.split_at(end.unwrap_or(text.len()));
    *text = rest;
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_rpm_does() {
        for (left, right, expected) in [
            ("5.14.0-362.8.1", "5.14.0-362.13.1", Ordering::Less),
            ("m-5.14.0-70.el9", "m-5.14.0-7.el9", Ordering::Greater),
            ("6.1", "6.1~rc1", Ordering::Greater),
            ("6.1", "6.01", Ordering::Equal),
            ("6.1a", "6.1", Ordering::Greater),
            ("6.1a", "6.1.1", Ordering::Less),
            ("0-rescue", "5.14", Ordering::Less),
            ("", "", Ordering::Equal),
        ] {
            assert_eq!(version_cmp(left, right), expected, "{left} {right}");
            assert_eq!(version_cmp(right, left), expected.reverse());
        }
    }

    #[test]
    fn an_entry_is_read() {
        let entry = Snippet::parse(
            "8d0a-5.14",
            "title Oracle Linux\n# x\nversion 5.14\nlinux /vmlinuz-5.14\n\
             initrd /a.img $tuned_initrd\noptions root=x\noptions\tro\n",
        );
        assert_eq!(entry.title, "Oracle Linux");
        assert_eq!(entry.linux, Some(("/vmlinuz-5.14".into(), 4)));
        assert_eq!(entry.initrd, ["/a.img", "$tuned_initrd"]);
        assert_eq!(entry.options.as_deref(), Some("root=x ro"));
    }
}
