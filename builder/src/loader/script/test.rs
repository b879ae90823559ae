//! The command `test`, also called `[`.

use byoi_agent::error::Error;

use super::machine::Machine;

/// Whether the expression holds. `-o` binds less than `-a`, and `!` most; parentheses, which no
/// generator writes, hold nothing.
pub(super) fn holds(machine: &mut Machine<'_>, args: &[String]) -> Result<bool, Error> {
    for alternative in args.split(|arg| arg == "-o") {
        let mut all = !alternative.is_empty();
        for part in alternative.split(|arg| arg == "-a") {
            all = all && single(machine, part)?;
        }
        if all {
            return Ok(true);
        }
    }
    Ok(false)
}

fn single(machine: &mut Machine<'_>, args: &[String]) -> Result<bool, Error> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    Ok(match words.as_slice() {
        ["!", _, ..] => !single(machine, &args[1..])?,
        ["-z", text] => text.is_empty(),
        ["-e" | "-f" | "-d", file] => machine.is_there(file)?,
        ["-s", file] => machine.read(file)?.is_some_and(|file| !file.is_empty()),
        [left, "=" | "==", right] => left == right,
        [left, "!=", right] => left != right,
        [left, "<", right] => left < right,
        [left, ">", right] => left > right,
        [left, "-eq", right] => number(left) == number(right),
        [left, "-ne", right] => number(left) != number(right),
        [left, "-lt", right] => number(left) < number(right),
        [left, "-le", right] => number(left) <= number(right),
        [left, "-gt", right] => number(left) > number(right),
        [left, "-ge", right] => number(left) >= number(right),
        ["-n", text] | [text] => !text.is_empty(),
        _ => false,
    })
}

fn number(text: &str) -> i64 {
    text.trim().parse().unwrap_or(0)
}
