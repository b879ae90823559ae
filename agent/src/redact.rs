//! Secrets never reach a report.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// CHAP secrets in iSCSI records, passwords on kernel command lines.
static SECRET: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?m)((?:password(?:_in)?|passwd|psk|secret)[ \t]*[=:][ \t]*)[^\s]+").ok()
});

/// The text with every secret replaced by `(redacted)`.
pub fn redact(text: &str) -> Cow<'_, str> {
    match &*SECRET {
        Some(secret) => secret.replace_all(text, "${1}(redacted)"),
        None => Cow::Borrowed(""),
    }
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
                "discovery.sendtargets.auth.password_in=x y",
                "discovery.sendtargets.auth.password_in=(redacted) y",
            ),
            (
                "rd.iscsi.password=abc ro",
                "rd.iscsi.password=(redacted) ro",
            ),
            ("# no secret here\n", "# no secret here\n"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }
}
