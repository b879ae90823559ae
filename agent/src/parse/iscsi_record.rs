//! open-iscsi's `key = value` files: `iscsid.conf`, `initiatorname.iscsi`, and the records of
//! nodes, discoveries and interfaces.

use std::ops::Range;

use super::edit;

/// A setting that is in force: not a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<'a> {
    /// The key, such as `node.startup`.
    pub key: &'a str,
    /// The value; may be a secret.
    pub value: &'a str,
    /// Its line, from 1.
    pub line: usize,
    /// The bytes of its line, the line break among them.
    pub range: Range<usize>,
}

/// The settings of a text, in order.
pub fn settings(text: &str) -> impl Iterator<Item = Setting<'_>> {
    edit::lines(text).filter_map(|line| {
        let (key, value) = line.text.split_once('=')?;
        let key = key.trim();
        (!key.is_empty() && !key.starts_with('#')).then(|| Setting {
            key,
            value: value.trim(),
            line: line.number,
            range: line.range,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_no_settings() {
        let text = "# BEGIN RECORD 2.1.8\nnode.name = iqn.x:y=z\n#a = b\n\n  c=\nd\n";
        let found: Vec<_> = settings(text)
            .map(|setting| (setting.key, setting.value, setting.line))
            .collect();
        assert_eq!(found, [("node.name", "iqn.x:y=z", 2), ("c", "", 5)]);
    }
}
