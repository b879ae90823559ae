//! Taking entries out of a text of YAML.
//!
//! Of a block, whole lines go: those of the entry, the comment directly above it, and comments
//! below that are indented more than it is. A collection that loses its last entry becomes `{}` or
//! `[]`. Where something with an anchor goes and an alias still names it, the first such alias is
//! replaced by what it named.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::super::edit::{self, Edit};
use super::extent::Extents;
use super::render;
use super::tree::{Entry, NodeId, Value, Yaml};

/// The text without these entries.
pub fn without(text: &str, yaml: &Yaml, entries: &BTreeSet<Entry>) -> String {
    let removal = Removal::new(text, yaml, entries);
    let mut ranges = Vec::new();
    let mut edits = Vec::new();
    for (parent, numbers) in &removal.numbers {
        if removal.gone[*parent] {
            continue;
        }
        if numbers.len() == yaml.len(*parent) {
            removal.empty(*parent, &mut ranges, &mut edits);
            continue;
        }
        for run in runs(numbers) {
            if yaml.node(*parent).flow {
                ranges.push(removal.extents.flow_run(*parent, &run));
            } else if let Some(range) = removal.extents.block_run(*parent, &run) {
                ranges.push(range);
            } else {
                edits.extend(run.map(|number| {
                    let (_, item) = yaml.entry((*parent, number));
                    let node = yaml.node(item);
                    Edit::replace(node.header.start..node.end, "~")
                }));
            }
        }
    }
    removal.replace_aliases(&mut edits);
    edits.extend(merged(ranges).into_iter().map(Edit::remove));
    edit::apply(text, edits)
}

/// Neighbouring numbers, together.
fn runs(numbers: &BTreeSet<usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some(run) if run.end == *number => run.end += 1,
            _ => runs.push(*number..number + 1),
        }
    }
    runs
}

/// Ranges that overlap or touch, together.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

struct Removal<'a> {
    text: &'a str,
    yaml: &'a Yaml,
    extents: Extents<'a>,
    entries: &'a BTreeSet<Entry>,
    /// The entries that go, by collection.
    numbers: BTreeMap<NodeId, BTreeSet<usize>>,
    /// Which nodes go.
    gone: Vec<bool>,
    /// The key of each value in a mapping.
    keys: Vec<Option<NodeId>>,
}

impl<'a> Removal<'a> {
    fn new(text: &'a str, yaml: &'a Yaml, entries: &'a BTreeSet<Entry>) -> Self {
        let mut numbers: BTreeMap<NodeId, BTreeSet<usize>> = BTreeMap::new();
        let mut pending = Vec::new();
        for entry in entries {
            numbers.entry(entry.0).or_default().insert(entry.1);
            let (key, value) = yaml.entry(*entry);
            pending.extend([key, value]);
        }
        let mut gone = vec![false; yaml.nodes.len()];
        while let Some(id) = pending.pop() {
            if !gone[id] {
                gone[id] = true;
                pending.extend(yaml.children(id));
            }
        }
        let mut keys = vec![None; yaml.nodes.len()];
        for node in &yaml.nodes {
            if let Value::Mapping(pairs) = &node.value {
                for (key, value) in pairs {
                    keys[*value] = Some(*key);
                }
            }
        }
        Self {
            text,
            yaml,
            extents: Extents { text, yaml },
            entries,
            numbers,
            gone,
            keys,
        }
    }

    /// Makes a collection empty.
    fn empty(&self, id: NodeId, ranges: &mut Vec<Range<usize>>, edits: &mut Vec<Edit>) {
        let node = self.yaml.node(id);
        let (brackets, number) = match &node.value {
            Value::Mapping(pairs) => ("{}", pairs.len()),
            Value::Sequence(items) => ("[]", items.len()),
            _ => return,
        };
        if node.flow {
            ranges.push(node.header.end..node.end - 1);
            return;
        }
        let behind = if node.header.is_empty() {
            self.keys[id].and_then(|key| {
                let end = self.yaml.node(key).end;
                self.text[end..].find(':').map(|at| end + at + 1)
            })
        } else {
            Some(node.header.end)
        };
        let lines = self
            .extents
            .block_run(id, &(0..number))
            .filter(|lines| behind.is_some_and(|behind| behind <= lines.start));
        if let (Some(behind), Some(lines)) = (behind, lines) {
            edits.push(Edit::replace(behind..behind, format!(" {brackets}")));
            ranges.push(lines);
        } else {
            let end = self.extents.end(id);
            edits.push(Edit::replace(node.header.start..end, brackets));
        }
    }

    /// Writes what goes to where an alias still names it.
    fn replace_aliases(&self, edits: &mut Vec<Edit>) {
        let mut written = BTreeSet::new();
        for (id, node) in self.yaml.nodes.iter().enumerate() {
            if let Value::Alias(Some(target)) = node.value
                && !self.gone[id]
                && self.gone[target]
                && written.insert(target)
            {
                let name = self.text[node.header.clone()].trim_start_matches('*');
                let value = render::flow(self.yaml, target, self.entries);
                edits.push(Edit::replace(
                    node.header.clone(),
                    format!("&{name} {value}"),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes out every entry whose key or item begins with `x`.
    fn without_x(text: &str) -> String {
        let yaml = Yaml::parse(text).unwrap();
        let mut entries = BTreeSet::new();
        for id in 0..yaml.nodes.len() {
            for number in 0..yaml.len(id) {
                let (key, _) = yaml.entry((id, number));
                if !matches!(yaml.node(key).value, Value::Alias(_))
                    && yaml.scalar(key).is_some_and(|key| key.starts_with('x'))
                {
                    entries.insert((id, number));
                }
            }
        }
        without(text, &yaml, &entries)
    }

    #[test]
    fn entries_go_and_every_other_byte_stays() {
        for (before, after) in [
            ("a: 1\nx: 2\nb: 3\n", "a: 1\nb: 3\n"),
            ("a: 1\r\nx:\r\n  c: 2\r\nb: 3", "a: 1\r\nb: 3"),
            // The comment above, and those below that are indented more.
            (
                "# top\n\n# about x\n# more\nx: # here\n  c: 1\n  # of c\n\n  # tail\n# about b\nb: 2\n",
                "# top\n\n# about b\nb: 2\n",
            ),
            ("n:\n    # x\n    x: 1\n    b: 2\n", "n:\n    b: 2\n"),
            ("a: 1\n\nx: 2\n\nb: 3\n", "a: 1\n\nb: 3\n"),
            ("a: 1\n\nx: 2\n", "a: 1\n"),
            // Values of several lines.
            ("x: |\n  # no comment\n\n  y\nb: 2\n", "b: 2\n"),
            ("x: >-\nb: 2\n", "b: 2\n"),
            ("x: y\n  z # c\nb: 2\n", "b: 2\n"),
            ("x: 'y\n\n  z'\nb: 2\n", "b: 2\n"),
            ("x:\n- 1\n# c\n- 2\nb: 2\n", "b: 2\n"),
            ("x: {c: 1, # c\n}\nb: 2\n", "b: 2\n"),
            ("x:\nb: 2\n", "b: 2\n"),
            ("x: &n\nb: 2\n", "b: 2\n"),
            ("? x\n: 1\n? b\n: 2\n", "? b\n: 2\n"),
            ("\"x\": 1\n'b': 2\n", "'b': 2\n"),
            // Items.
            ("- a\n# x\n- x\n- b\n", "- a\n- b\n"),
            ("- x: 1\n  b: 2\n  c: 3\n", "- b: 2\n  c: 3\n"),
            ("- x: 1\n  xx: 2\n  c: 3\n", "- c: 3\n"),
            ("- a\n-\n  x\n- b\n", "- a\n-\n  ~\n- b\n"),
            // In brackets.
            ("{x: 1, b: 2}", "{b: 2}"),
            ("{a: 1, x: 2}", "{a: 1}"),
            ("{a: 1, x: 2, xx, b: [x, 3, x], x: }", "{a: 1, b: [3] }"),
            ("{a: 1, x: , b}", "{a: 1, b}"),
            (
                "{\n  a: 1, # a\n  x: 2, # x\n}",
                "{\n  a: 1, # a\n   # x\n}",
            ),
            ("{\n  \"x\":1, # x\n  \"b\":2\n}", "{\n  \"b\":2\n}"),
            // Nothing left.
            ("a:\n  # c\n  x: 1\nb: 2\n", "a: {}\nb: 2\n"),
            ("a: # c\n  x: 1\nb: 2\n", "a: {} # c\nb: 2\n"),
            ("a: &n\n  x: 1\nb: *n\n", "a: &n {}\nb: *n\n"),
            ("a:\n- x\nb: 2\n", "a: []\nb: 2\n"),
            ("a: { x: 1 }\n", "a: {}\n"),
            ("- x: 1\n- 2\n", "- {}\n- 2\n"),
            // Aliases of what goes.
            (
                "x: &n\n  c: [1, \"a b\", 'y']\n  x: 2\n  d: \"\\n\"\n  e:\na: *n\nb: *n\n",
                "a: &n {c: [1, \"a b\", \"y\"], d: \"\\n\", e: ~}\nb: *n\n",
            ),
            ("x: &n {c: *n}\na: *n\n", "a: &n ~\n"),
            ("a: &n 1\nx: *n\nb: *n\n", "a: &n 1\nb: *n\n"),
            // Documents.
            (
                "---\nx: 1\na: 1\n---\nx: 2\n...\n",
                "---\na: 1\n---\n{}\n...\n",
            ),
        ] {
            assert_eq!(without_x(before), after, "{before}");
        }
    }

    /// A mapping with and without what is taken out, in one style or the other.
    fn block() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just(" 1".to_owned()),
            Just(String::new()),
            Just(" 'q # r'  # c".to_owned()),
            Just(" {a: 1, x: [2, x], b: }".to_owned()),
            Just(" |\n        # t\n\n        u".to_owned()),
            Just("\n        - x\n        # c\n        - y".to_owned()),
        ];
        let pair = |indent: &'static str, value: BoxedStrategy<String>| {
            ("[abx]", value, "(\n|)", "(# above\n|)").prop_map(move |(key, value, gap, above)| {
                let above = if above.is_empty() {
                    String::new()
                } else {
                    format!("{indent}# above\n")
                };
                format!("{gap}{above}{indent}{key}:{value}\n")
            })
        };
        let inner = proptest::collection::vec(pair("    ", leaf.clone().boxed()), 1..4)
            .prop_map(|pairs| format!("\n{}", pairs.concat().trim_end_matches('\n')));
        let value = prop_oneof![leaf, inner].boxed();
        proptest::collection::vec(pair("", value), 1..5).prop_map(|pairs| pairs.concat())
    }

    fn says(yaml: &Yaml, id: NodeId, all: bool) -> String {
        let node = yaml.node(id);
        match &node.value {
            Value::Mapping(pairs) => {
                pairs
                    .iter()
                    .filter(|(key, _)| all || yaml.scalar(*key) != Some("x"))
                    .map(|(key, value)| {
                        format!("{}={},", says(yaml, *key, all), says(yaml, *value, all))
                    })
                    .collect::<Vec<_>>()
                    .concat()
                    + "}"
            }
            Value::Sequence(items) => {
                items
                    .iter()
                    .filter(|item| all || yaml.scalar(**item) != Some("x"))
                    .map(|item| format!("{},", says(yaml, *item, all)))
                    .collect::<Vec<_>>()
                    .concat()
                    + "]"
            }
            Value::Scalar { text, .. } => text.trim_end().to_owned(),
            Value::Alias(_) => "*".to_owned(),
        }
    }

    proptest! {
        #[test]
        fn what_is_left_says_the_same(text in block()) {
            let before = Yaml::parse(&text).unwrap();
            let left = without_x(&text);
            let after = Yaml::parse(&left);
            prop_assert!(after.is_ok(), "{}\n{}", text, left);
            let after = after.unwrap();
            let said = after.roots.first().map_or("}".to_owned(), |root| says(&after, *root, true));
            prop_assert_eq!(said, says(&before, before.roots[0], false), "{}\n{}", text, left);
        }

        #[test]
        fn nothing_taken_out_is_nothing_changed(text in "\\PC{0,60}|([a-c:{}\\[\\], \n#&*'-]{0,40})") {
            if let Ok(yaml) = Yaml::parse(&text) {
                prop_assert_eq!(without(&text, &yaml, &BTreeSet::new()), text.clone());
                let entries: BTreeSet<Entry> = (0..yaml.nodes.len())
                    .flat_map(|id| (0..yaml.len(id)).map(move |number| (id, number)))
                    .filter(|(id, number)| (id + number) % 2 == 0)
                    .collect();
                without(&text, &yaml, &entries);
            }
        }
    }
}
