//! Kernel command lines in the files that hold them.
//!
//! The kernel cuts a command line at white space outside double quotes (`next_arg` in the Linux
//! source, `lib/cmdline.c`). The file around it has a syntax of its own, which is kept: an edit
//! touches the argument and the space before it, nothing else.

use std::ops::Range;

use super::edit::{self, Edit, LineIndex};
use super::grub_cfg::{self, Word};
use super::shell_vars;
use super::spanned::Spanned;

/// What kind of file a command line is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Assignments that a shell sources; the variables whose names start like this.
    ShellVars(&'static str),
    /// GRUB 2's script language.
    GrubScript,
    /// `menu.lst` of GRUB 0.97, with the comments that Debian's old `update-grub` reads.
    GrubLegacy,
    /// `grubenv`: GRUB 2's environment block, of fixed length.
    GrubEnv,
    /// Boot Loader Specification, type 1.
    LoaderEntry,
    /// syslinux and extlinux.
    Syslinux,
    /// Nothing but arguments, and comments.
    Plain,
}

/// A command line, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kargs {
    /// The variable, command or keyword that gives it: `GRUB_CMDLINE_LINUX`, `linux`, `options`.
    pub name: String,
    /// Whether it is added to what the variable held before.
    pub append: bool,
    /// The kernel image where one stands before the arguments.
    pub image: Option<String>,
    /// The arguments.
    pub args: Vec<Arg>,
    /// Whether something stands on the same line before the first argument.
    preceded: bool,
    /// Where further arguments go.
    room: Room,
}

/// Where further arguments go, and what has to be quoted for it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Room {
    /// Here, as they are.
    At(usize),
    /// At the end of a value that gets quotes around it.
    Quoting(Range<usize>),
    /// Behind a value, in quotes of their own.
    Quoted(usize),
    /// Nowhere: a quote is never closed.
    None,
}

/// An argument, such as `root=/dev/sda1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// What the kernel sees.
    pub text: String,
    /// The line it is on, from 1.
    pub line: usize,
    source: Vec<Range<usize>>,
    gap: Vec<Range<usize>>,
}

/// What shall become of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgEdit {
    /// It stays.
    Keep,
    /// It goes.
    Remove,
    /// Another one takes its place; of letters, digits and `=-_.,:/@` alone, which no syntax quotes.
    Replace(String),
}

/// The bytes that `grubenv` is filled up with.
const FILLER: char = '#';

/// The command lines of a text, in order.
pub fn find(format: Format, text: &str) -> Vec<Kargs> {
    let index = LineIndex::new(text);
    match format {
        Format::ShellVars(prefix) => shell_vars(text, prefix, &index),
        Format::GrubScript => grub_script(text, &index),
        Format::GrubLegacy => by_line(text, &index, legacy_head),
        Format::GrubEnv => by_line(text, &index, |line| {
            let (name, value) = line.split_once('=')?;
            is_variable(name).then(|| Head::new(name, value))
        }),
        Format::LoaderEntry => by_line(text, &index, |line| keyword(line, &["options"])),
        Format::Syslinux => by_line(text, &index, |line| keyword(line, &["append"])),
        Format::Plain => by_line(text, &index, |line| {
            (!line.trim_start().starts_with('#')).then(|| Head::new("", line))
        }),
    }
}

/// The text with arguments changed as `decide` says, which is asked for each one in order. `None`
/// where the format leaves no room.
pub fn edit(
    format: Format,
    text: &str,
    decide: &mut dyn FnMut(&Kargs, &Arg) -> ArgEdit,
) -> Option<String> {
    let mut edits = Vec::new();
    for kargs in find(format, text) {
        kargs.edits(decide, &mut edits);
    }
    let made = edit::apply(text, edits);
    if format == Format::GrubEnv {
        refill(&made, text.len())
    } else {
        Some(made)
    }
}

/// The text with the arguments that `wanted` names added at the end of each command line; of
/// letters, digits and `=-_.,:/@` alone. `None` where the format leaves no room.
pub fn add(
    format: Format,
    text: &str,
    wanted: &mut dyn FnMut(&Kargs) -> Vec<String>,
) -> Option<String> {
    let mut edits = Vec::new();
    for kargs in find(format, text) {
        let args = wanted(&kargs);
        if !args.is_empty() {
            kargs.additions(&args.join(" "), &mut edits);
        }
    }
    let made = edit::apply(text, edits);
    if format == Format::GrubEnv {
        refill(&made, text.len())
    } else {
        Some(made)
    }
}

impl Kargs {
    fn additions(&self, args: &str, edits: &mut Vec<Edit>) {
        let first = self.args.is_empty() && !self.preceded;
        let gap = if first { "" } else { " " };
        match self.room.clone() {
            Room::At(at) => edits.push(Edit::replace(at..at, format!("{gap}{args}"))),
            Room::Quoting(value) if first => {
                edits.push(Edit::replace(value, format!("\"{args}\"")));
            }
            Room::Quoting(value) => {
                edits.push(Edit::replace(value.start..value.start, "\""));
                edits.push(Edit::replace(value.end..value.end, format!(" {args}\"")));
            }
            Room::Quoted(at) => edits.push(Edit::replace(at..at, format!("\"{gap}{args}\""))),
            Room::None => {}
        }
    }

    fn edits(&self, decide: &mut dyn FnMut(&Self, &Arg) -> ArgEdit, edits: &mut Vec<Edit>) {
        let mut follows = self.preceded;
        for (at, arg) in self.args.iter().enumerate() {
            match decide(self, arg) {
                ArgEdit::Keep => follows = true,
                ArgEdit::Replace(text) => {
                    follows = true;
                    let mut text = Some(text);
                    for range in &arg.source {
                        edits.push(Edit::replace(
                            range.clone(),
                            text.take().unwrap_or_default(),
                        ));
                    }
                }
                ArgEdit::Remove => {
                    // The first argument takes the space behind it along.
                    let gap = match self.args.get(at + 1) {
                        _ if follows => &arg.gap,
                        Some(next) => &next.gap,
                        None => &arg.gap,
                    };
                    edits.extend(arg.source.iter().chain(gap).cloned().map(Edit::remove));
                }
            }
        }
    }

    /// Cuts a value into arguments as the kernel does. What is added goes behind the last one, or
    /// to `end` where there is none.
    fn split(name: &str, value: &Spanned, end: usize, preceded: bool, index: &LineIndex) -> Self {
        let text = value.as_str();
        let mut args = Vec::new();
        let mut quoted = false;
        let mut start = None;
        let mut gap_start = 0;
        for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
            if c == '"' {
                quoted = !quoted;
            }
            let ends = at == text.len() || (c.is_ascii_whitespace() && !quoted);
            match start {
                None if !ends => start = Some(at),
                Some(from) if ends => {
                    let source = value.sources(from..at);
                    args.push(Arg {
                        text: text[from..at].to_owned(),
                        line: index.line(source.first().map_or(0, |range| range.start)),
                        source,
                        gap: value.sources(gap_start..from),
                    });
                    start = None;
                    gap_start = at;
                }
                _ => {}
            }
        }
        let last = args.last().and_then(|arg: &Arg| arg.source.last());
        Self {
            name: name.to_owned(),
            append: false,
            image: None,
            room: if quoted {
                Room::None
            } else {
                Room::At(last.map_or(end, |range| range.end))
            },
            args,
            preceded,
        }
    }
}

/// What stands before the arguments on a line.
struct Head<'a> {
    name: &'a str,
    image: Option<&'a str>,
    args: &'a str,
    /// Whether a space parts the arguments from it.
    spaced: bool,
}

impl<'a> Head<'a> {
    fn new(name: &'a str, args: &'a str) -> Self {
        Self {
            name,
            image: None,
            args,
            spaced: false,
        }
    }
}

fn by_line(
    text: &str,
    index: &LineIndex,
    head: impl for<'a> Fn(&'a str) -> Option<Head<'a>>,
) -> Vec<Kargs> {
    let mut found = Vec::new();
    for line in edit::lines(text) {
        let Some(head) = head(line.text) else {
            continue;
        };
        let start = line.range.start + line.text.len() - head.args.len();
        let value = Spanned::literal(head.args, start);
        let mut kargs = Kargs::split(head.name, &value, start, head.spaced, index);
        kargs.image = head.image.map(str::to_owned);
        found.push(kargs);
    }
    found
}

/// A line that begins with one of these words, whatever their case.
fn keyword<'a>(line: &'a str, keywords: &[&str]) -> Option<Head<'a>> {
    let (range, word) = edit::words(line).next()?;
    keywords
        .iter()
        .any(|keyword| keyword.eq_ignore_ascii_case(word))
        .then(|| Head {
            name: word,
            image: None,
            args: &line[range.end..],
            spaced: true,
        })
}

/// `kernel IMAGE ARGS…`, or one of the comments that Debian's old `update-grub` reads.
fn legacy_head(line: &str) -> Option<Head<'_>> {
    if let Some(comment) = line.strip_prefix("# ") {
        let (name, value) = comment.split_once('=')?;
        return (matches!(name, "kopt" | "defoptions" | "xenkopt") || name.starts_with("kopt_"))
            .then(|| Head::new(name, value));
    }
    let line = line.trim_start();
    let (name, rest) = line.split_once([' ', '\t', '='])?;
    if name != "kernel" && name != "module" {
        return None;
    }
    let (range, image) = edit::words(rest).find(|(_, word)| !word.starts_with("--"))?;
    Some(Head {
        name,
        image: Some(image),
        args: &rest[range.end..],
        spaced: true,
    })
}

fn shell_vars(text: &str, prefix: &str, index: &LineIndex) -> Vec<Kargs> {
    shell_vars::assignments(text)
        .into_iter()
        .filter(|assignment| assignment.name.starts_with(prefix))
        .map(|assignment| {
            let raw = assignment.raw;
            let end = raw.end.saturating_sub(1);
            let kargs = Kargs::split(&assignment.name, &assignment.value, end, false, index);
            Kargs {
                append: assignment.append,
                room: match written(&text[raw.clone()]) {
                    _ if !assignment.closed || kargs.room == Room::None => Room::None,
                    Written::InQuotes => kargs.room,
                    Written::Bare => Room::Quoting(raw),
                    Written::Mixed => Room::Quoted(raw.end),
                },
                ..kargs
            }
        })
        .collect()
}

/// How a value is written.
enum Written {
    /// Between one pair of quotes.
    InQuotes,
    /// Without quotes and escapes.
    Bare,
    /// In parts.
    Mixed,
}

fn written(raw: &str) -> Written {
    let mut chars = raw.char_indices();
    let quote = match chars.next() {
        Some((_, quote @ ('"' | '\''))) => quote,
        _ if raw.contains(['"', '\'', '\\']) => return Written::Mixed,
        _ => return Written::Bare,
    };
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote == '"' {
            chars.next();
        } else if c == quote && at + 1 == raw.len() {
            return Written::InQuotes;
        } else if c == quote {
            break;
        }
    }
    Written::Mixed
}

/// Whether what follows a word is not taken into it: by an open quote, or by an escape.
fn is_closed(raw: &str) -> bool {
    let mut quote = None;
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('"') | None, '\\') if chars.next().is_none() => return false,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    quote.is_none()
}

fn grub_script(text: &str, index: &LineIndex) -> Vec<Kargs> {
    let mut found = Vec::new();
    for command in grub_cfg::commands(text) {
        match command.name() {
            name @ ("linux" | "linux16" | "linuxefi" | "module" | "module2") => {
                found.extend(loader_command(text, name, &command.words[1..], index));
            }
            "set" => found.extend(
                command
                    .words
                    .get(1)
                    .and_then(|word| variable(text, word, index)),
            ),
            _ => {}
        }
    }
    found
}

fn loader_command(text: &str, name: &str, words: &[Word], index: &LineIndex) -> Option<Kargs> {
    let image = words
        .iter()
        .position(|word| !word.value.as_str().starts_with("--"))?;
    let args = words[image..]
        .windows(2)
        .map(|pair| {
            let (before, word) = (&pair[0], &pair[1]);
            let gap = before.raw.end..word.raw.start;
            Arg {
                text: word.value.as_str().to_owned(),
                line: index.line(word.raw.start),
                source: vec![word.raw.clone()],
                gap: vec![gap],
            }
        })
        .collect();
    let last = words.last()?.raw.clone();
    Some(Kargs {
        name: name.to_owned(),
        append: false,
        image: Some(words[image].value.as_str().to_owned()),
        args,
        preceded: true,
        room: if is_closed(&text[last.clone()]) {
            Room::At(last.end)
        } else {
            Room::None
        },
    })
}

/// `set kernelopts="…"`, as Red Hat's `grub.cfg` has it.
fn variable(text: &str, word: &Word, index: &LineIndex) -> Option<Kargs> {
    let raw = text.get(word.raw.clone())?;
    let (name, rest) = raw.split_once('=')?;
    if !is_variable(name) {
        return None;
    }
    let start = word.raw.end - rest.len();
    let quoted = ['"', '\'']
        .iter()
        .find_map(|quote| rest.strip_prefix(*quote)?.strip_suffix(*quote));
    let (value, start) = match quoted {
        Some(bare) => (bare, start + 1),
        None => (rest, start),
    };
    let value = Spanned::literal(value, start);
    let kargs = Kargs::split(name, &value, start, false, index);
    Some(Kargs {
        room: match written(rest) {
            _ if !is_closed(rest) || kargs.room == Room::None => Room::None,
            Written::InQuotes => kargs.room,
            Written::Bare => Room::Quoting(start..word.raw.end),
            Written::Mixed => Room::None,
        },
        ..kargs
    })
}

/// The GRUB 2 variables that hold kernel arguments.
fn is_variable(name: &str) -> bool {
    matches!(name, "kernelopts" | "default_kernelopts" | "tuned_params")
}

/// An environment block of the length that it had.
fn refill(block: &str, length: usize) -> Option<String> {
    let content = block.trim_end_matches(FILLER);
    let room = length.checked_sub(content.len())?;
    Some(
        content
            .chars()
            .chain(std::iter::repeat_n(FILLER, room))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GRUB_CFG: &str = r#"menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-/dev/sda1' {
	load_video
	insmod gzio
	if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
	set root='hd0,msdos1'
	# linux /old ip=dhcp
	echo	'Loading Linux 6.1.0-42-amd64 ...'
	linux	/boot/vmlinuz-6.1.0-42-amd64 root=/dev/sda1 ro  "dyndbg=file a +p" quiet $vt_handoff
	initrd	/boot/initrd.img-6.1.0-42-amd64
}
submenu 'Advanced' {
	menuentry 'Recovery' { linux16 /boot/vmlinuz root=/dev/sda1 single; }
}
if [ -z "${kernelopts}" ]; then
  set kernelopts="root=/dev/sda1 ro ip=dhcp "
fi
"#;

    const MENU_LST: &str = "\
## ## e.g. kopt=root=/dev/hda1 ro
# kopt=root=/dev/hda1 ro
# altoptions=(single-user mode) single
title\t\tDebian, kernel 2.6
root\t\t(hd0,0)
kernel\t\t/boot/vmlinuz-2.6 root=/dev/hda1 ro quiet
initrd\t\t/boot/initrd.img-2.6
";

    fn texts(format: Format, text: &str) -> Vec<(String, Vec<String>)> {
        find(format, text)
            .into_iter()
            .map(|kargs| {
                (
                    kargs.name,
                    kargs.args.into_iter().map(|arg| arg.text).collect(),
                )
            })
            .collect()
    }

    fn lines(found: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        found
            .iter()
            .map(|(name, args)| {
                (
                    (*name).to_owned(),
                    args.iter().map(|arg| (*arg).to_owned()).collect(),
                )
            })
            .collect()
    }

    #[test]
    fn command_lines_are_found() {
        let defaults = Format::ShellVars("GRUB_CMDLINE_LINUX");
        for (format, text, expected) in [
            (
                defaults,
                "GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX=\"a  b=\\\"c d\\\"\"\nGRUB_CMDLINE_LINUX_DEFAULT=\n#GRUB_CMDLINE_LINUX=x\n",
                lines(&[
                    ("GRUB_CMDLINE_LINUX", &["a", "b=\"c d\""]),
                    ("GRUB_CMDLINE_LINUX_DEFAULT", &[]),
                ]),
            ),
            (
                Format::GrubScript,
                GRUB_CFG,
                lines(&[
                    (
                        "linux",
                        &[
                            "root=/dev/sda1",
                            "ro",
                            "dyndbg=file a +p",
                            "quiet",
                            "$vt_handoff",
                        ],
                    ),
                    ("linux16", &["root=/dev/sda1", "single"]),
                    ("kernelopts", &["root=/dev/sda1", "ro", "ip=dhcp"]),
                ]),
            ),
            (
                Format::GrubLegacy,
                MENU_LST,
                lines(&[
                    ("kopt", &["root=/dev/hda1", "ro"]),
                    ("kernel", &["root=/dev/hda1", "ro", "quiet"]),
                ]),
            ),
            (
                Format::LoaderEntry,
                "title x\nlinux /vmlinuz\noptions root=/dev/sda1 ro\n# options b\n",
                lines(&[("options", &["root=/dev/sda1", "ro"])]),
            ),
            (
                Format::Syslinux,
                "LABEL l0\n  KERNEL /vmlinuz\n  APPEND root=/dev/sda1 ro\n",
                lines(&[("APPEND", &["root=/dev/sda1", "ro"])]),
            ),
            (
                Format::GrubEnv,
                "# GRUB Environment Block\nsaved_entry=0\nkernelopts=root=/dev/sda1 ro \n####",
                lines(&[("kernelopts", &["root=/dev/sda1", "ro"])]),
            ),
            (
                Format::Plain,
                "# a\nroot=/dev/sda1 ro\n",
                lines(&[("", &["root=/dev/sda1", "ro"])]),
            ),
        ] {
            assert_eq!(texts(format, text), expected, "{format:?}");
        }
        let lines: Vec<_> = find(Format::GrubScript, GRUB_CFG)
            .iter()
            .map(|kargs| kargs.args[0].line)
            .collect();
        assert_eq!(lines, [8, 12, 15]);
    }

    #[test]
    fn an_edit_touches_the_argument_alone() {
        let defaults = Format::ShellVars("");
        for (format, text, expected) in [
            (defaults, "A=\"gone b\"", "A=\"b\""),
            (defaults, "A=\"b  gone\" # gone", "A=\"b\" # gone"),
            (defaults, "A=\"b gone c\"", "A=\"b c\""),
            (defaults, "A=\"gone gone b gone\"", "A=\"b\""),
            (defaults, "A=\" gone \"", "A=\" \""),
            (defaults, "A=gone", "A="),
            (defaults, "A=\"b \"'gone'c", "A=\"b \"'gone'c"),
            (defaults, "A='b go'ne", "A='b'"),
            (defaults, "A=\"b \\\n gone\"", "A=\"b\\\n\""),
            (defaults, "A=\"x=1 b\"", "A=\"y b\""),
            (Format::GrubScript, "linux /v gone  b\n", "linux /v  b\n"),
            (
                Format::GrubScript,
                "linux /v b \"gone\" ${c}\n",
                "linux /v b ${c}\n",
            ),
            (
                Format::GrubScript,
                "linux /v b x=1; boot",
                "linux /v b y; boot",
            ),
            (
                Format::GrubScript,
                "set kernelopts='gone b'\n",
                "set kernelopts='b'\n",
            ),
            (
                Format::GrubLegacy,
                "kernel /v gone b\r\n",
                "kernel /v b\r\n",
            ),
            (Format::GrubLegacy, "# kopt=gone b\n", "# kopt=b\n"),
            (Format::LoaderEntry, "options gone b\n", "options b\n"),
            (
                Format::GrubEnv,
                "kernelopts=gone b\n##",
                "kernelopts=b\n#######",
            ),
            (Format::Plain, "gone b\n#gone\n", "b\n#gone\n"),
        ] {
            let edited = edit(format, text, &mut |_, arg| match arg.text.as_str() {
                "gone" => ArgEdit::Remove,
                "x=1" => ArgEdit::Replace("y".into()),
                _ => ArgEdit::Keep,
            });
            assert_eq!(edited.as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn an_environment_block_keeps_its_length() {
        let block = |opts: &str, length: usize| {
            let mut block = format!("# GRUB Environment Block\nkernelopts=root={opts} ro\n");
            block.push_str(&"#".repeat(length - block.len()));
            block
        };
        let longer = |text: &str| {
            edit(Format::GrubEnv, text, &mut |_, arg| {
                if arg.text == "root=/dev/sda1" {
                    ArgEdit::Replace("root=UUID=c1a7e0de".into())
                } else {
                    ArgEdit::Keep
                }
            })
        };
        assert_eq!(
            longer(&block("/dev/sda1", 1024)),
            Some(block("UUID=c1a7e0de", 1024))
        );
        let full = "kernelopts=root=/dev/sda1 ro\n";
        assert_eq!(longer(full), None);
    }

    #[test]
    fn arguments_are_added_behind_the_last() {
        let defaults = Format::ShellVars("");
        for (format, text, expected) in [
            (defaults, "A=\"a b \" # c", "A=\"a b n=0 \" # c"),
            (defaults, "A='a'", "A='a n=0'"),
            (defaults, "A=\"\"\n", "A=\"n=0\"\n"),
            (defaults, "A=\n", "A=\"n=0\"\n"),
            (defaults, "export A=a # c", "export A=\"a n=0\" # c"),
            (defaults, "A=a\\ b", "A=a\\ b\" n=0\""),
            (defaults, "A=\"a\"'b'", "A=\"a\"'b'\" n=0\""),
            (defaults, "A=\"a=\\\"b\\\"\"", "A=\"a=\\\"b\\\" n=0\""),
            (defaults, "A=\"a \\\n b\"", "A=\"a \\\n b n=0\""),
            (defaults, "A=\"a", "A=\"a"),
            (defaults, "A=a\\", "A=a\\"),
            (
                Format::GrubScript,
                "linux /v a \"b\" $c # d\n",
                "linux /v a \"b\" $c n=0 # d\n",
            ),
            (
                Format::GrubScript,
                "linux /v a; boot",
                "linux /v a n=0; boot",
            ),
            (
                Format::GrubScript,
                "set kernelopts=\"a \"\n",
                "set kernelopts=\"a n=0 \"\n",
            ),
            (
                Format::GrubScript,
                "set kernelopts=a\n",
                "set kernelopts=\"a n=0\"\n",
            ),
            (
                Format::GrubLegacy,
                "\tkernel /v a\r\n",
                "\tkernel /v a n=0\r\n",
            ),
            (Format::GrubLegacy, "# kopt=a\n", "# kopt=a n=0\n"),
            (Format::LoaderEntry, "options a \n", "options a n=0 \n"),
            (Format::Syslinux, "  append a", "  append a n=0"),
            (
                Format::GrubEnv,
                "kernelopts=a \n#####",
                "kernelopts=a n=0 \n#",
            ),
            (Format::Plain, "a\n", "a n=0\n"),
        ] {
            let made = add(format, text, &mut |_| vec!["n=0".to_owned()]);
            assert_eq!(made.as_deref(), Some(expected), "{text:?}");
        }
        let full = add(Format::GrubEnv, "kernelopts=a\n##", &mut |_| {
            vec!["n=0".to_owned()]
        });
        assert_eq!(full, None);
    }

    proptest! {
        #[test]
        fn what_is_added_is_found_and_the_rest_stays(
            line in "(linux /v|options|append|kernel /v|# kopt|set kernelopts|A)[ =][ab\"' \\\\]{0,20}",
        ) {
            for format in [
                Format::ShellVars(""),
                Format::GrubScript,
                Format::GrubLegacy,
                Format::LoaderEntry,
                Format::Syslinux,
                Format::Plain,
            ] {
                let before = texts(format, &line);
                let made = add(format, &line, &mut |_| vec!["n=0".to_owned()]).unwrap();
                let after = texts(format, &made);
                prop_assert_eq!(before.len(), after.len());
                for ((_, old), (_, new)) in before.into_iter().zip(after) {
                    let added = new.iter().any(|arg| arg.contains("n=0"));
                    prop_assert!(new.starts_with(&old) || !added, "{:?} {:?}", line, made);
                }
            }
        }

        #[test]
        fn keeping_everything_changes_nothing(
            text in "[ab=#\"'\\\\ \t\n;{}$|-]{0,60}",
            line in "(linux|options|append|kernel|# kopt|set kernelopts|A)[ =][ab\"' \\\\\n]{0,20}",
        ) {
            let text = format!("{text}\n{line}\n{text}");
            for format in [
                Format::ShellVars(""),
                Format::GrubScript,
                Format::GrubLegacy,
                Format::GrubEnv,
                Format::LoaderEntry,
                Format::Syslinux,
                Format::Plain,
            ] {
                let kept = edit(format, &text, &mut |_, _| ArgEdit::Keep);
                prop_assert_eq!(kept.as_deref(), Some(text.as_str()));
                // Whatever goes, nothing is cut within a character or out of order.
                let removed = edit(format, &text, &mut |_, _| ArgEdit::Remove).unwrap();
                prop_assert!(removed.len() <= text.len());
            }
        }
    }
}
