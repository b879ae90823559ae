//! `interfaces(5)`, as ifupdown 0.7 and 0.8 read it.
//!
//! A line is continued by a backslash as its very last character; a comment is a line of its own
//! and is never continued; an option belongs to the stanza above it, however many blank lines and
//! comments lie between. Nothing is interpreted twice: a file that ifupdown refuses is still read
//! to its end, and the lines that make it refuse are [`Kind::Stray`].

use std::ops::Range;

use super::glob;
use super::lines::{content, physical};

/// A file: logical lines that cover all its physical lines, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interfaces {
    /// The logical lines.
    pub lines: Vec<Line>,
}

/// A logical line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its physical lines, from 0.
    pub span: Range<usize>,
    /// Its text with the continuations joined and the white space around it gone.
    pub text: String,
    /// What it says.
    pub kind: Kind,
}

/// What a logical line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Blank,
    /// A comment.
    Comment,
    /// `auto`, `allow-CLASS`, `no-auto-down` or `no-scripts`.
    Select {
        /// The keyword.
        class: String,
        /// The names and patterns.
        names: Vec<String>,
        /// Whether it stands alone inside a stanza and means that stanza's name.
        implied: bool,
    },
    /// `rename CUR=NEW…`.
    Rename {
        /// The pairs.
        names: Vec<String>,
    },
    /// `source` or `source-directory`.
    Source {
        /// The paths, which may be patterns.
        paths: Vec<String>,
        /// Whether they are directories.
        directory: bool,
    },
    /// The first line of an interface definition.
    Iface(Iface),
    /// The first line of a mapping, with its patterns.
    Mapping {
        /// The patterns.
        patterns: Vec<String>,
    },
    /// An option of the stanza that starts at the logical line `of`.
    Option {
        /// The logical line that starts the stanza.
        of: usize,
        /// The name.
        name: String,
        /// The value; may be empty, which ifupdown refuses.
        value: String,
    },
    /// A line that is in no stanza's place: ifupdown refuses the whole file for it.
    Stray,
}

/// `iface NAME [FAMILY METHOD] [inherits NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Iface {
    /// The logical name.
    pub name: String,
    /// The address family.
    pub family: Option<String>,
    /// The method.
    pub method: Option<String>,
    /// The definition whose options, and missing family and method, it takes over.
    pub inherits: Option<String>,
}

impl Interfaces {
    /// Reads a file.
    pub fn parse(text: &str) -> Self {
        let mut lines: Vec<Line> = Vec::new();
        let mut stanza = None;
        for (span, text) in logical(&physical(text)) {
            let kind = kind(&text, &lines, stanza);
            match &kind {
                Kind::Iface(_) | Kind::Mapping { .. } => stanza = Some(lines.len()),
                Kind::Select { implied: true, .. }
                | Kind::Blank
                | Kind::Comment
                | Kind::Option { .. } => {}
                Kind::Select { .. } | Kind::Rename { .. } | Kind::Source { .. } | Kind::Stray => {
                    stanza = None;
                }
            }
            lines.push(Line { span, text, kind });
        }
        Self { lines }
    }

    /// Whether ifupdown finds anything in it.
    pub fn is_effective(&self) -> bool {
        self.lines
            .iter()
            .any(|line| !matches!(line.kind, Kind::Blank | Kind::Comment))
    }

    /// The options of the stanza that starts at a logical line, with their own logical lines.
    pub fn options(&self, header: usize) -> impl Iterator<Item = (usize, &str, &str)> {
        self.stanza(header)
            .filter_map(move |at| match &self.lines[at].kind {
                Kind::Option { name, value, .. } => Some((at, name.as_str(), value.as_str())),
                _ => None,
            })
    }

    /// The logical lines of a stanza, its comments and blank lines between them included.
    pub fn stanza(&self, header: usize) -> Range<usize> {
        let mut end = header + 1;
        for (at, line) in self.lines.iter().enumerate().skip(header + 1) {
            match &line.kind {
                Kind::Option { .. } | Kind::Select { implied: true, .. } => end = at + 1,
                Kind::Blank | Kind::Comment => {}
                _ => break,
            }
        }
        header..end
    }
}

impl Line {
    /// The line anew, each word replaced by what `word` makes of it, or dropped with the white
    /// space before it. Indentation and terminator stay; a continued line becomes a single one.
    /// `physical` are the lines of the whole file.
    pub fn rewrite(
        &self,
        physical: &[&str],
        mut word: impl FnMut(usize, &str) -> Option<String>,
    ) -> String {
        let own = physical.get(self.span.clone()).unwrap_or_default();
        let first = own.first().copied().unwrap_or_default();
        let last = own.last().copied().unwrap_or_default();
        let single = self.span.len() == 1 && !content(first).ends_with('\\');
        let (body, terminator) = if single {
            first.split_at(content(first).trim_end_matches(is_space).len())
        } else {
            (
                self.text.as_str(),
                &last[content(last).trim_end_matches(is_space).len()..],
            )
        };
        let mut anew = String::new();
        if !single {
            let indent = first.len() - first.trim_start_matches(is_space).len();
            anew.push_str(&first[..indent]);
        }
        let mut number = 0;
        for piece in body.split_inclusive(is_space) {
            // A piece is a word with the white space after it, or white space alone.
            let bare = piece.trim_end_matches(is_space);
            if bare.is_empty() {
                anew.push_str(piece);
                continue;
            }
            if let Some(new) = word(number, bare) {
                anew.push_str(&new);
            } else {
                let kept = anew.trim_end_matches(is_space).len();
                anew.truncate(kept);
            }
            anew.push_str(&piece[bare.len()..]);
            number += 1;
        }
        anew.truncate(anew.trim_end_matches(is_space).len());
        anew + terminator
    }
}

/// White space as C's `isspace` has it.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// The words of a line.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// The logical lines: their physical lines and their text.
fn logical(physical: &[&str]) -> Vec<(Range<usize>, String)> {
    let mut lines = Vec::new();
    let mut at = 0;
    while at < physical.len() {
        let start = at;
        let mut text = content(physical[at])
            .trim_start_matches(is_space)
            .to_owned();
        at += 1;
        if !text.starts_with('#') {
            while text.ends_with('\\') && at < physical.len() {
                text.pop();
                text.push_str(content(physical[at]));
                at += 1;
            }
            if text.ends_with('\\') {
                text.pop();
            }
        }
        text.truncate(text.trim_end_matches(is_space).len());
        lines.push((start..at, text));
    }
    lines
}

fn kind(text: &str, lines: &[Line], stanza: Option<usize>) -> Kind {
    let (keyword, rest) = match text.split_once(is_space) {
        Some((keyword, rest)) => (keyword, rest.trim_start_matches(is_space)),
        None => (text, ""),
    };
    let owned = |rest: &str| words(rest).map(str::to_owned).collect::<Vec<String>>();
    match keyword {
        "" => Kind::Blank,
        _ if text.starts_with('#') => Kind::Comment,
        "iface" if !rest.is_empty() => Kind::Iface(iface(rest)),
        "mapping" => Kind::Mapping {
            patterns: owned(rest),
        },
        "source" => Kind::Source {
            paths: owned(rest),
            directory: false,
        },
        _ if keyword.starts_with("source-dir") => Kind::Source {
            paths: owned(rest),
            directory: true,
        },
        "rename" => Kind::Rename { names: owned(rest) },
        _ if selects(keyword) => {
            let current = stanza.and_then(|at| match &lines[at].kind {
                Kind::Iface(iface) => Some(iface.name.clone()),
                _ => None,
            });
            let implied = rest.is_empty() && current.is_some();
            Kind::Select {
                class: keyword.to_owned(),
                names: match current {
                    Some(name) if implied => vec![name],
                    _ => owned(rest),
                },
                implied,
            }
        }
        _ => match stanza {
            Some(of) => match &lines[of].kind {
                Kind::Mapping { .. } if !matches!(keyword, "script" | "map") => Kind::Stray,
                _ => Kind::Option {
                    of,
                    name: keyword.to_owned(),
                    value: rest.to_owned(),
                },
            },
            None => Kind::Stray,
        },
    }
}

fn selects(keyword: &str) -> bool {
    matches!(keyword, "auto" | "no-auto-down" | "no-scripts")
        || keyword
            .strip_prefix("allow-")
            .is_some_and(|class| !class.is_empty())
}

fn iface(rest: &str) -> Iface {
    let mut words = words(rest).map(str::to_owned);
    let mut iface = Iface {
        name: words.next().unwrap_or_default(),
        ..Iface::default()
    };
    let mut word = words.next();
    if word.as_deref() != Some("inherits") {
        iface.family = word;
        word = words.next();
    }
    if word.as_deref() != Some("inherits") {
        iface.method = word;
        word = words.next();
    }
    if word.as_deref() == Some("inherits") {
        iface.inherits = words.next();
    }
    iface
}

/// What a word of `auto`, `allow-*` or `rename` stands for: `NAME[=LOGICAL]`, or a pattern
/// `[VARIABLE]/VALUE[/[NTH]][=LOGICAL]` (since ifupdown 0.8.20).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector<'a> {
    /// An interface by its name.
    Name {
        /// The name.
        name: &'a str,
        /// The definition to apply; the name itself where none is given.
        logical: &'a str,
    },
    /// Whatever interface matches.
    Pattern {
        /// A file of sysfs, or `mac`; the name is matched where none is given.
        variable: Option<&'a str>,
        /// A shell pattern.
        value: &'a str,
        /// Which of the matches, from 1; all of them where none is given.
        nth: Option<&'a str>,
        /// The definition to apply.
        logical: Option<&'a str>,
    },
}

impl<'a> Selector<'a> {
    /// Reads a word.
    pub fn parse(word: &'a str) -> Self {
        let (body, logical) = match word.split_once('=') {
            Some((body, logical)) => (body, Some(logical)),
            None => (word, None),
        };
        match body.split_once('/') {
            Some((variable, rest)) if !body.starts_with("/dev/") => {
                let (value, nth) = match rest.split_once('/') {
                    Some((value, nth)) => (value, Some(nth).filter(|nth| !nth.is_empty())),
                    None => (rest, None),
                };
                Self::Pattern {
                    variable: Some(variable).filter(|variable| !variable.is_empty()),
                    value,
                    nth,
                    logical,
                }
            }
            _ => Self::Name {
                name: body,
                logical: logical.unwrap_or(body),
            },
        }
    }

    /// The definition that it applies to an interface of this name, were it the only one.
    pub fn applies(&self, name: &'a str) -> Option<&'a str> {
        match *self {
            Self::Name { name: own, logical } => (own == name).then_some(logical),
            Self::Pattern {
                variable,
                value,
                nth,
                logical,
            } => {
                let matched = match variable {
                    None => glob::matches(value, name),
                    // ARPHRD_ETHER.
                    Some("type") => glob::matches(value, "1"),
                    Some(_) => false,
                };
                (matched && matches!(nth, None | Some("0" | "1")))
                    .then_some(logical.unwrap_or(name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::lines::LineEdits;
    use proptest::prelude::*;

    fn option(of: usize, name: &str, value: &str) -> Kind {
        Kind::Option {
            of,
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    fn select(class: &str, names: &[&str]) -> Kind {
        Kind::Select {
            class: class.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            implied: false,
        }
    }

    #[test]
    fn every_kind_of_line() {
        let text = "# c \\\nauto lo eth0 \\\n\teth1\n  allow-hotplug /e*=any\n\niface eth0 inet static\n\
             # inside\n  address 10.0.0.1/24 \n\nup ip addr \\\nadd\n auto\nmapping eth*\n script x\n map a b\n \
             bad\nno-scripts lo\naddress 1\nsource-directory d\nsource a b\nrename eth0=lan\niface\niface eth1 inherits eth0\n";
        let iface = |name: &str, family: &str, method: &str| {
            Kind::Iface(Iface {
                name: name.to_owned(),
                family: Some(family.to_owned()),
                method: Some(method.to_owned()),
                inherits: None,
            })
        };
        let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        let kinds: Vec<Kind> = Interfaces::parse(text)
            .lines
            .into_iter()
            .map(|l| l.kind)
            .collect();
        let expected = vec![
            Kind::Comment,
            select("auto", &["lo", "eth0", "eth1"]),
            select("allow-hotplug", &["/e*=any"]),
            Kind::Blank,
            iface("eth0", "inet", "static"),
            Kind::Comment,
            option(4, "address", "10.0.0.1/24"),
            Kind::Blank,
            option(4, "up", "ip addr add"),
            Kind::Select {
                class: "auto".to_owned(),
                names: vec!["eth0".to_owned()],
                implied: true,
            },
            Kind::Mapping {
                patterns: vec!["eth*".to_owned()],
            },
            option(10, "script", "x"),
            option(10, "map", "a b"),
            Kind::Stray,
            select("no-scripts", &["lo"]),
            Kind::Stray,
            Kind::Source {
                paths: paths(&["d"]),
                directory: true,
            },
            Kind::Source {
                paths: paths(&["a", "b"]),
                directory: false,
            },
            Kind::Rename {
                names: paths(&["eth0=lan"]),
            },
            Kind::Stray,
            Kind::Iface(Iface {
                name: "eth1".to_owned(),
                inherits: Some("eth0".to_owned()),
                ..Iface::default()
            }),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn a_stanza_ends_with_its_last_option() {
        let file = Interfaces::parse("iface a inet dhcp\n\n# x\n mtu 9000\n\n# y\nauto b\n");
        assert_eq!(file.stanza(0), 0..4);
        assert_eq!(file.options(0).collect::<Vec<_>>(), [(3, "mtu", "9000")]);
    }

    #[test]
    fn a_rewritten_line_keeps_what_it_can() {
        for (text, expected) in [
            ("\tauto  lo eth0\tens3 \r\n", "\tauto  lo ens3 \r\n"),
            ("auto eth0", "auto"),
            (" auto lo \\\n eth0 \\\n ens3\n", " auto lo  ens3\n"),
        ] {
            let file = Interfaces::parse(text);
            let anew = file.lines[0].rewrite(&physical(text), |_, word| {
                (word != "eth0").then(|| word.to_owned())
            });
            assert_eq!(
                words(&anew).collect::<Vec<_>>(),
                words(expected).collect::<Vec<_>>()
            );
            assert_eq!(anew.ends_with('\n'), expected.ends_with('\n'));
            assert_eq!(
                anew.len() - anew.trim_start().len(),
                expected.len() - expected.trim_start().len()
            );
        }
    }

    #[test]
    fn selectors() {
        for (word, name, expected) in [
            ("eth0", "eth0", Some("eth0")),
            ("eth0=home", "eth0", Some("home")),
            ("eth0", "ens3", None),
            ("/e*=any", "ens3", Some("any")),
            ("/eth*", "eth1", Some("eth1")),
            ("/e*/2=any", "ens3", None),
            ("/e*/1=any", "ens3", Some("any")),
            ("/eth*/=foo", "eth0", Some("foo")),
            ("mac/52:54:00:12:34:56=x", "eth0", None),
            ("type/1/1=bar", "ens3", Some("bar")),
            ("/dev/eth0", "eth0", None),
        ] {
            assert_eq!(
                Selector::parse(word).applies(name),
                expected,
                "{word} {name}"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "(\\PC|[\n\\\\# \t\r]|auto|iface a inet dhcp|mapping|source ){0,60}") {
            let file = Interfaces::parse(&text);
            let spans: Vec<usize> = file.lines.iter().flat_map(|line| line.span.clone()).collect();
            prop_assert_eq!(spans, (0..physical(&text).len()).collect::<Vec<_>>());
            prop_assert_eq!(LineEdits::default().apply(&text), text.clone());
            for line in &file.lines {
                let same = line.rewrite(&physical(&text), |_, word| Some(word.to_owned()));
                let again = words(&line.text).collect::<Vec<_>>();
                prop_assert_eq!(words(&same).collect::<Vec<_>>(), again);
            }
        }
    }
}
