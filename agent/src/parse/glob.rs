//! Shell patterns as fnmatch(3) reads them: `*`, `?`, `[a-z]`, `[!a-z]` and `\`.
//!
//! The time is bounded by the product of both lengths: only the last `*` is ever taken up again.

/// Whether the whole text matches the pattern.
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut done) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while done < text.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at + 1, done));
            at += 1;
        } else if let Some(width) = one(&pattern[at..], text[done]) {
            at += width;
            done += 1;
        } else if let Some((after, taken)) = star {
            star = Some((after, taken + 1));
            at = after;
            done = taken + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// Whether a text is a pattern rather than a name.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// How many characters of the pattern match one character; `None` where they do not.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match *pattern.first()? {
        '?' => Some(1),
        '[' => class(pattern, c),
        '\\' if pattern.len() > 1 => (pattern[1] == c).then_some(2),
        literal => (literal == c).then_some(1),
    }
}

fn class(pattern: &[char], c: char) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = if negated { 2 } else { 1 };
    // A `]` that comes first is a member.
    let Some(close) = (first + 1..pattern.len()).find(|at| pattern[*at] == ']') else {
        return (c == '[').then_some(1);
    };
    let members = &pattern[first..close];
    let mut at = 0;
    let mut member = false;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == '-' {
            member |= (members[at]..=members[at + 2]).contains(&c);
            at += 3;
        } else {
            member |= members[at] == c;
            at += 1;
        }
    }
    (member != negated).then_some(close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        for (pattern, text, expected) in [
            ("eth0", "eth0", true),
            ("eth0", "eth01", false),
            ("e*", "ens3", true),
            ("e*", "wlan0", false),
            ("*", "", true),
            ("?*", "", false),
            ("e*3*", "ens3f0", true),
            ("en[opsx]*", "enp0s6", true),
            ("en[!p]*", "enp0s6", false),
            ("eth[0-3]", "eth4", false),
            ("[]a]", "]", true),
            ("a[b", "a[b", true),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        assert!(!matches(&"*a".repeat(5_000), &"a".repeat(4_000)));
    }
}
