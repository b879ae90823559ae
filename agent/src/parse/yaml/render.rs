//! A node in flow style, on one line.

use std::collections::BTreeSet;

use super::tree::{Entry, NodeId, Value, Yaml};

/// The most that is written, in bytes: aliases in aliases grow without end.
const LIMIT: usize = 64 << 10;
/// How deep aliases are followed.
const MAX_DEPTH: usize = 200;

/// What a node says, in flow style and with its aliases replaced by what they name, entries left
/// out. What would be too long becomes null.
pub fn flow(yaml: &Yaml, id: NodeId, left_out: &BTreeSet<Entry>) -> String {
    let mut text = String::new();
    if write(yaml, id, left_out, 0, &mut text).is_none() {
        "~".clone_into(&mut text);
    }
    text
}

fn write(
    yaml: &Yaml,
    id: NodeId,
    left_out: &BTreeSet<Entry>,
    depth: usize,
    out: &mut String,
) -> Option<()> {
    if depth > MAX_DEPTH || out.len() > LIMIT {
        return None;
    }
    let id = yaml.resolve(id);
    match &yaml.node(id).value {
        Value::Scalar { text, plain, .. } => scalar(text, *plain, out),
        Value::Sequence(items) => {
            out.push('[');
            let begin = out.len();
            for (number, item) in items.iter().enumerate() {
                if !left_out.contains(&(id, number)) {
                    separate(begin, out);
                    write(yaml, *item, left_out, depth + 1, out)?;
                }
            }
            out.push(']');
        }
        Value::Mapping(pairs) => {
            out.push('{');
            let begin = out.len();
            for (number, (key, value)) in pairs.iter().enumerate() {
                if !left_out.contains(&(id, number)) {
                    separate(begin, out);
                    write(yaml, *key, left_out, depth + 1, out)?;
                    out.push_str(": ");
                    write(yaml, *value, left_out, depth + 1, out)?;
                }
            }
            out.push('}');
        }
        Value::Alias(_) => out.push('~'),
    }
    Some(())
}

fn separate(begin: usize, out: &mut String) {
    if out.len() > begin {
        out.push_str(", ");
    }
}

fn scalar(text: &str, plain: bool, out: &mut String) {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '+');
    if plain && text.is_empty() {
        out.push('~');
    } else if plain
        && (text == "~" || text.chars().all(|c| bare(c) || c == '-') && !text.starts_with('-'))
    {
        out.push_str(text);
    } else {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                c if c.is_control() || c == '\u{feff}' => {
                    let escape = format!("\\U{:08x}", u32::from(c));
                    out.push_str(&escape);
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}
