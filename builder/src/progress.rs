//! Narration on standard error: bars on a terminal, plain lines otherwise.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use byoi_agent::narration::tell;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a task that is not on a terminal says how far it is.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Who tells the user what is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Narrator {
    /// A person at a terminal: bars.
    Terminal,
    /// A log: plain lines.
    Lines,
    /// Nobody.
    Silent,
}

impl Narrator {
    /// Bars where standard error is a terminal, plain lines elsewhere.
    pub fn for_stderr() -> Self {
        if stderr().is_terminal() {
            Self::Terminal
        } else {
            Self::Lines
        }
    }

    /// Says one line.
    pub fn say(self, message: &str) {
        if self != Self::Silent {
            tell(message);
        }
    }

    /// Starts a task of `total` bytes.
    pub fn bytes(self, name: &'static str, total: u64) -> Task {
        Task::new(self, name, Unit::Bytes, total)
    }

    /// Starts a task that lasts up to `limit`; advance it by elapsed seconds.
    pub fn seconds(self, name: &'static str, limit: Duration) -> Task {
        Task::new(self, name, Unit::Seconds, limit.as_secs())
    }
}

/// What a task is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// All of them are done in the end.
    Bytes,
    /// The task may end before they have passed.
    Seconds,
}

impl Unit {
    /// What a bar shows, for indicatif.
    fn template(self) -> &'static str {
        match self {
            Self::Bytes => {
                "{msg:<12} [{bar:30}] {binary_bytes}/{binary_total_bytes} \
                 {binary_bytes_per_sec}, {eta} left"
            }
            Self::Seconds => "{msg:<12} [{bar:30}] {pos}s, at most {len}s",
        }
    }
}

/// A task with a known size.
#[derive(Debug)]
pub struct Task {
    narrator: Narrator,
    name: &'static str,
    unit: Unit,
    bar: ProgressBar,
    last_line: Instant,
}

impl Task {
    fn new(narrator: Narrator, name: &'static str, unit: Unit, total: u64) -> Self {
        let target = match narrator {
            Narrator::Terminal => ProgressDrawTarget::stderr(),
            Narrator::Lines | Narrator::Silent => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_message(name);
        if let Ok(style) = ProgressStyle::with_template(unit.template()) {
            bar.set_style(style.progress_chars("=> "));
        }
        if narrator == Narrator::Lines {
            tell(name);
        }
        Self {
            narrator,
            name,
            unit,
            bar,
            last_line: Instant::now(),
        }
    }

    /// Goes on by `delta`.
    pub fn advance(&mut self, delta: u64) {
        self.bar.inc(delta);
        if self.narrator == Narrator::Lines && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            tell(format_args!("{}", self.line()));
        }
    }

    /// How far it is.
    fn line(&self) -> String {
        let total = self.bar.length().unwrap_or(0).max(1);
        let percent = self.bar.position().saturating_mul(100) / total;
        match self.unit {
            Unit::Bytes => {
                let left = HumanDuration(self.bar.eta());
                format!("{}: {percent} %, {left} left", self.name)
            }
            Unit::Seconds => format!("{}: {percent} %", self.name),
        }
    }

    /// Goes on to `position`.
    pub fn advance_to(&mut self, position: u64) {
        self.advance(position.saturating_sub(self.bar.position()));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn a_line_tells_how_much_time_is_left() {
        let mut task = Narrator::Silent.bytes("Writing", 1 << 40);
        // Slow enough for any machine to see that thousands of years are left, not seconds.
        for _ in 0..20 {
            sleep(Duration::from_millis(2));
            task.advance(1);
        }
        assert!(task.line().starts_with("Writing: 0 %, "), "{}", task.line());
        assert!(task.line().ends_with(" years left"), "{}", task.line());
        task.advance_to(1 << 40);
        assert_eq!(task.line(), "Writing: 100 %, 0 seconds left");
        let task = Narrator::Silent.seconds("boot test", Duration::from_secs(9));
        assert_eq!(task.line(), "boot test: 0 %");
    }
}
