//! The workspace's only way to run another program.
//!
//! A [`Cmd`] says what to run; nothing runs before [`Cmd::run`] or [`Cmd::spawn`]. Arguments are
//! never read by a shell, standard input is empty, the locale is C, a program dies with its parent
//! and is killed when a signal arrives (see [`crate::interrupt`]). Every error shows the whole
//! command line and, where the program ran, the end of what it said.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read};
use std::mem;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::Signal;

use crate::interrupt;

/// How much of a failed program's output an error carries, in bytes.
const TAIL: usize = 1024;
/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How long a killed program that took too long is waited for: the kernel may not let go of it.
const LAST: Duration = Duration::from_secs(2);

/// A program to run and its arguments.
#[derive(Debug, Clone)]
pub struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    success: Vec<i32>,
    timeout: Option<Duration>,
}

/// Why a program gave no result.
#[derive(Debug, thiserror::Error)]
pub enum CmdError {
    /// The program is not there or may not be run.
    #[error("starting `{command}`")]
    Start {
        /// The whole command line.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// The program ran and failed.
    #[error("`{command}` failed with {status}: {tail}")]
    Failed {
        /// The whole command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its standard error, or of its output where that is empty.
        tail: String,
    },
    /// The program took too long.
    #[error("`{command}` took more than {seconds} s and was stopped")]
    TimedOut {
        /// The whole command line.
        command: String,
        /// How long it could take.
        seconds: u64,
    },
    /// A signal ended the run.
    #[error("`{command}` was stopped")]
    Interrupted {
        /// The whole command line.
        command: String,
        /// The signal.
        source: interrupt::Interrupted,
    },
}

/// What a successful program said.
#[derive(Debug)]
pub struct Output {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Cmd {
    /// A command line of one word.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            success: vec![0],
            timeout: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Counts these exit codes as success as well: `e2fsck` says 1 for "errors corrected".
    #[must_use]
    pub fn success_codes(mut self, codes: &[i32]) -> Self {
        self.success.extend_from_slice(codes);
        self
    }

    /// Ends the program once it takes longer than this.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    ///
    /// [`CmdError`]: it did not start, it failed, it took too long, or a signal arrived.
    pub fn run(&self) -> Result<Output, CmdError> {
        let started = Instant::now();
        let mut child = self.spawn(Stdio::piped(), Stdio::piped())?;
        let stdout = drain(child.0.stdout.take());
        let stderr = drain(child.0.stderr.take());
        let status = loop {
            match child.0.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {}
                Err(source) => return Err(self.start_error(source)),
            }
            if let Err(source) = interrupt::check() {
                return Err(CmdError::Interrupted {
                    command: self.to_string(),
                    source,
                });
            }
            if let Some(timeout) = self.timeout
                && started.elapsed() > timeout
            {
                child.abandon();
                return Err(CmdError::TimedOut {
                    command: self.to_string(),
                    seconds: timeout.as_secs(),
                });
            }
            thread::sleep(POLL);
        };
        let stdout = stdout.join().unwrap_or_default();
        let stderr = stderr.join().unwrap_or_default();
        match status.code() {
            Some(code) if self.success.contains(&code) => Ok(Output {
                code,
                stdout,
                stderr,
            }),
            _ => Err(CmdError::Failed {
                command: self.to_string(),
                status,
                tail: tail(if stderr.is_empty() { &stdout } else { &stderr }),
            }),
        }
    }

    /// Starts the program and leaves it running; it is killed when the [`Running`] is dropped.
    ///
    /// # Errors
    ///
    /// [`CmdError::Start`].
    pub fn spawn(&self, stdout: Stdio, stderr: Stdio) -> Result<Running, CmdError> {
        self.command()
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .map(Running)
            .map_err(|source| self.start_error(source))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one command runner")]
    #[expect(
        unsafe_code,
        reason = "pre_exec is the only way to set the parent-death signal"
    )]
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env("LC_ALL", "C")
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        // SAFETY: between fork and exec this makes one prctl(2) call, which is async-signal-safe
        // and touches no memory of ours.
        unsafe {
            command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from));
        }
        command
    }

    fn start_error(&self, source: io::Error) -> CmdError {
        CmdError::Start {
            command: self.to_string(),
            source,
        }
    }
}

impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        for arg in &self.args {
            write!(f, " {}", arg.display())?;
        }
        Ok(())
    }
}

/// A program that runs beside us; dropping it kills it.
#[derive(Debug)]
pub struct Running(pub Child);

impl Running {
    /// Kills the program and waits for it.
    pub fn stop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            // A child that has ended in between cannot be killed, which is what we want anyway.
            self.0.kill().ok();
        }
        self.0.wait().ok();
    }

    /// Kills the program, and leaves it to the kernel where that does not let go of it: a call on a
    /// disk that does not answer cannot be ended.
    fn abandon(mut self) {
        self.0.kill().ok();
        let until = Instant::now() + LAST;
        while matches!(self.0.try_wait(), Ok(None)) {
            if Instant::now() > until {
                mem::forget(self);
                return;
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn drain(source: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut source) = source {
            // What was read before an error is still worth showing.
            source.read_to_end(&mut bytes).ok();
        }
        bytes
    })
}

fn tail(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(TAIL);
    String::from_utf8_lossy(&bytes[start..]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_names_the_command_and_what_it_said() {
        let error = Cmd::new("sh")
            .args(["-c", "echo gone wrong >&2; exit 7"])
            .run()
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("sh -c"), "{text}");
        assert!(text.contains("gone wrong"), "{text}");
    }

    #[test]
    fn a_missing_program_is_told_from_a_failing_one() {
        let error = Cmd::new("/nonexistent/program").run().unwrap_err();
        assert!(matches!(error, CmdError::Start { .. }));
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        let started = Instant::now();
        let error = Cmd::new("sleep")
            .arg("60")
            .timeout(Duration::from_millis(100))
            .run()
            .unwrap_err();
        assert!(matches!(error, CmdError::TimedOut { .. }), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn other_success_codes_count() {
        let output = Cmd::new("sh")
            .args(["-c", "exit 1"])
            .success_codes(&[1])
            .run()
            .unwrap();
        assert_eq!(output.code, 1);
    }
}
