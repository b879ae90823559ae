//! Secrets never reach a report.
//!
//! A secret is told by the name that it is given to, whatever the case: `password` and its kin, at
//! the end of a longer name or alone. In a file of `key = value` lines it goes on to the end of the
//! line, blanks among it; among arguments to the next blank, or to the quote that closes it. The
//! credentials in `netroot=iscsi:USER:PASSWORD@…` have no name (dracut.cmdline(7)). Where it cannot
//! be told, rather too much is hidden.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// What stands for a secret.
const HIDDEN: &str = "(redacted)";
/// How the names of kernel arguments that are secrets begin; one may begin a line, and others follow.
const ARGUMENTS: [&str; 2] = ["rd.iscsi.", "iscsi_"];
/// What may stand before the name on its line: quotes, and the mark of a list.
const BEFORE: [char; 6] = [' ', '\t', '"', '\'', '-', '{'];

/// A name, and what is between it and the secret.
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?i)\b((?:[a-z0-9_.-]*[_.-])?(?:password(?:_in)?|passwd|passphrase|psk|secret))["']?[ \t]*[=:][ \t]*"#,
    )
    .ok()
});
/// Credentials before the address of a target; blanks among them only inside quotes.
static USER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?i)("(?:net)?root=iscsi:)[^"\n]*@|(\biscsi:)[^ \t\n]*@"#).ok());

/// The text with every secret replaced by `(redacted)`.
pub fn redact(text: &str) -> Cow<'_, str> {
    let (Some(name), Some(user)) = (&*NAME, &*USER) else {
        return Cow::Borrowed("");
    };
    let hidden = user.replace_all(text, format!("${{1}}${{2}}{HIDDEN}@"));
    if !name.is_match(&hidden) {
        return hidden;
    }
    let lines = hidden.split_inclusive('\n');
    Cow::Owned(lines.map(|line| redact_line(line, name)).collect())
}

fn redact_line(line: &str, name: &Regex) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(found) = name.captures(rest) {
        let start = found.get(0).map_or(0, |all| all.end());
        let begin = found.get(1).map_or(0, |key| key.start());
        let key = found.get(1).map_or("", |key| key.as_str());
        shown.push_str(&rest[..start]);
        let is_first = shown.len() == start && rest[..begin].trim_matches(BEFORE).is_empty();
        let is_argument = ARGUMENTS.iter().any(|argument| key.starts_with(argument));
        let value = &rest[start..];
        let length = if is_first && !is_argument {
            value.trim_end().len()
        } else {
            word(&rest[..begin], value)
        };
        if length > 0 {
            shown.push_str(HIDDEN);
        }
        rest = &value[length..];
    }
    shown.push_str(rest);
    shown
}

/// How long the secret of an argument is, given what stands before the argument.
fn word(before: &str, value: &str) -> usize {
    // Quotes around the argument; those behind a `=` are around a whole command line.
    let around = ['"', '\''].into_iter().find(|quote| {
        let outside = before.strip_suffix(*quote);
        outside.is_some_and(|outside| !outside.ends_with('='))
    });
    let closed = |from: usize, by: &str| {
        let end = value[from..].find(by).map(|at| from + at);
        end.unwrap_or(value.trim_end().len())
    };
    if let Some(quote) = around {
        return closed(0, quote.encode_utf8(&mut [0; 4]));
    }
    for quote in ["\\\"", "\"", "'"] {
        if value.starts_with(quote) {
            let end = closed(quote.len(), quote);
            return (end + quote.len()).min(value.trim_end().len());
        }
    }
    value
        .find([' ', '\t', '"', '\'', '\r', '\n'])
        .unwrap_or(value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        for (text, expected) in [
            (
                "node.session.auth.password = s3cr3t\nnode.startup = automatic\n",
                "node.session.auth.password = (redacted)\nnode.startup = automatic\n",
            ),
            (
                "node.session.auth.password = correct horse battery staple\nx = y\n",
                "node.session.auth.password = (redacted)\nx = y\n",
            ),
            (
                "discovery.sendtargets.auth.password_in=x y",
                "discovery.sendtargets.auth.password_in=(redacted)",
            ),
            (
                "ISCSI_PASSWORD=Quartz-Lantern-4471\r\nISCSI_IN_PASSWORD=\"a b\"\nISCSI_TARGET_IP=x\n",
                "ISCSI_PASSWORD=(redacted)\r\nISCSI_IN_PASSWORD=(redacted)\nISCSI_TARGET_IP=x\n",
            ),
            (
                "rd.iscsi.password=abc ro",
                "rd.iscsi.password=(redacted) ro",
            ),
            (
                "ro iscsi_password=abc ISCSI_IN_PASSWORD=def quiet",
                "ro iscsi_password=(redacted) ISCSI_IN_PASSWORD=(redacted) quiet",
            ),
            (
                "ro rd.iscsi.password=\"a b\" \"rd.iscsi.in.password=c d\" quiet",
                "ro rd.iscsi.password=(redacted) \"rd.iscsi.in.password=(redacted)\" quiet",
            ),
            (
                "GRUB_CMDLINE_LINUX=\"rd.iscsi.password=abc ro rd.iscsi.in.password=\\\"d e\\\"\"",
                "GRUB_CMDLINE_LINUX=\"rd.iscsi.password=(redacted) ro \
                 rd.iscsi.in.password=(redacted)\"",
            ),
            (
                "GRUB_CMDLINE_LINUX=\"ro rd.iscsi.password=abc\"\n",
                "GRUB_CMDLINE_LINUX=\"ro rd.iscsi.password=(redacted)\"\n",
            ),
            (
                "netroot=iscsi:web01:Copper-Falcon-7@192.0.2.5::::iqn.x ro",
                "netroot=iscsi:(redacted)@192.0.2.5::::iqn.x ro",
            ),
            (
                "ro root=iscsi:u:p@q:in:r@192.0.2.5::::iqn.x a@b",
                "ro root=iscsi:(redacted)@192.0.2.5::::iqn.x a@b",
            ),
            (
                "ro \"netroot=iscsi:u:p q@192.0.2.5::::iqn.x\" quiet",
                "ro \"netroot=iscsi:(redacted)@192.0.2.5::::iqn.x\" quiet",
            ),
            (
                "      password: \"a b\"\n      - wpa-psk=c d\n",
                "      password: (redacted)\n      - wpa-psk=(redacted)\n",
            ),
            (
                "//nas/x /srv cifs username=u,password=x 0 0\n",
                "//nas/x /srv cifs username=u,password=(redacted) 0 0\n",
            ),
            (
                "node.session.auth.password = (redacted)\n",
                "node.session.auth.password = (redacted)\n",
            ),
            (
                "opc ALL=(ALL) NOPASSWD:ALL\n",
                "opc ALL=(ALL) NOPASSWD:ALL\n",
            ),
            (
                "# no secret here\nrd.iscsi.password=\n",
                "# no secret here\nrd.iscsi.password=\n",
            ),
        ] {
            assert_eq!(redact(text), expected);
            assert_eq!(redact(expected), expected);
        }
    }
}
