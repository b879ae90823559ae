//! One run of QEMU, watched to its end.

use std::fs;
use std::io::{self, Read};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use byoi_agent::cmd::{Cmd, Running};
use byoi_agent::interrupt;
use tempfile::TempDir;

use super::accel::{Acceleration, Accelerator};
use super::capture::Capture;
use super::console::{self, Console};
use super::machine::{Firmware, Machine, QEMU, Wiring};
use super::milestones::Milestone;
use super::outcome::{BootOutcome, BootRecord, SshGreeting};
use super::seconds::Seconds;
use super::ssh::{self, Probe};
use super::state::{Ending, Limits, State};
use super::traffic::Traffic;
use super::uefi;
use super::{BootError, BootRequest};
use crate::progress::Narrator;

/// How often the network is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How much QEMU may complain, in bytes.
const MAX_STDERR: u64 = 4096;

/// What to tell the user: what was reached, and when.
type News = Vec<(&'static str, Seconds)>;

/// A running guest.
#[derive(Debug)]
pub struct Attempt {
    // Dropped first: QEMU writes into the directory below.
    qemu: Running,
    started: Instant,
    serial: Receiver<(Instant, Vec<u8>)>,
    complaints: Receiver<String>,
    console: Console,
    capture: Capture,
    ssh_port: u16,
    probe: Option<Probe>,
    state: State,
    _files: TempDir,
}

impl Attempt {
    /// Starts QEMU.
    ///
    /// # Errors
    ///
    /// [`BootError`].
    pub fn start(
        request: &BootRequest<'_>,
        machine: &Machine,
        accelerator: Accelerator,
    ) -> Result<Self, BootError> {
        let files = fs::canonicalize(request.workdir)
            .and_then(|path| TempDir::with_prefix_in("boot-", path))
            .map_err(|source| BootError::WorkDir {
                path: request.workdir.to_owned(),
                source,
            })?;
        let capture_path = files.path().join("net.pcap");
        let capture = Capture::create(&capture_path).map_err(BootError::Capture)?;
        let ssh_port = ssh::free_port().map_err(|source| BootError::Host {
            what: "a local port",
            source,
        })?;
        let flash = match machine.firmware {
            Firmware::Bios => None,
            Firmware::Uefi => {
                Some(uefi::fresh(files.path()).map_err(|source| BootError::Host {
                    what: "UEFI firmware",
                    source,
                })?)
            }
        };
        let wiring = Wiring {
            flash: flash.as_ref(),
            accelerator,
            image: request.image,
            format: request.format,
            capture: &capture_path,
            ssh_port,
        };
        let started = Instant::now();
        let mut qemu = Cmd::new(QEMU)
            .args(machine.argv(&wiring))
            // The overlay is made there, and unlinked as soon as it is open.
            .env("TMPDIR", files.path())
            .spawn(Stdio::piped(), Stdio::piped())
            .map_err(BootError::Start)?;
        let (stdout, stderr) = (qemu.0.stdout.take(), qemu.0.stderr.take());
        Ok(Self {
            qemu,
            started,
            serial: console::listen(stdout),
            complaints: complaints(stderr),
            console: Console::default(),
            capture,
            ssh_port,
            probe: None,
            state: State::new(Traffic::new(machine.mac)),
            _files: files,
        })
    }

    /// Watches until everything is seen, the guest fails, or the time is up; then QEMU is gone.
    ///
    /// # Errors
    ///
    /// [`BootError`].
    pub fn watch(&mut self, limits: &Limits, narrator: Narrator) -> Result<Ending, BootError> {
        let mut task = narrator.seconds("boot test", limits.total);
        let ending = loop {
            interrupt::check().map_err(BootError::Interrupted)?;
            let mut news = News::new();
            let running = self.hear(&mut news);
            let within_bounds = self.see(&mut news)?;
            for (what, seconds) in news {
                narrator.say(&format!("  {what:<18}{seconds:>9}"));
            }
            let now = self.started.elapsed();
            task.advance_to(now.as_secs());
            if !within_bounds {
                break Ending::Flood;
            }
            if let Some(ending) = self.state.ending(now, limits) {
                break ending;
            }
            if !running {
                break self.ended()?;
            }
        };
        self.qemu.stop();
        Ok(ending)
    }

    /// The outcome.
    pub fn judge(
        self,
        ending: Ending,
        machine: Machine,
        acceleration: Acceleration,
        limits: &Limits,
    ) -> BootOutcome {
        let Self {
            state,
            console,
            capture,
            started,
            ..
        } = self;
        let seconds = started.elapsed();
        let (console, dropped) = console.finish(seconds);
        let mut observations = state.observations(limits);
        if dropped > 0 {
            observations.push(format!(
                "the first {dropped} lines of the console were dropped"
            ));
        }
        let causes = state.causes(ending);
        let record = BootRecord {
            machine,
            acceleration,
            seconds: Seconds(seconds),
            reboots: state.reboots(),
            milestones: state.milestones().to_vec(),
            lease: state.traffic.lease().cloned(),
            violations: state.traffic.violations(),
            network: state.traffic.summary(),
            ssh: state.ssh,
            observations,
            console,
            capture: capture.into_bytes(),
        };
        BootOutcome::judge(causes, record)
    }

    /// Takes from the console what has come within a tick; false once QEMU has closed it.
    fn hear(&mut self, news: &mut News) -> bool {
        let until = Instant::now() + TICK;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.serial.recv_timeout(left) {
                Ok((arrived, bytes)) => {
                    let at = arrived.saturating_duration_since(self.started);
                    self.state.output(at);
                    for line in self.console.feed(at, &bytes) {
                        tell(news, &self.state.line(at, &line));
                    }
                    if left.is_zero() {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let at = self.started.elapsed();
                    tell(news, &self.state.prompt(at, &self.console.prompt()));
                    return true;
                }
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Looks at the network; false once the guest floods it.
    fn see(&mut self, news: &mut News) -> Result<bool, BootError> {
        let at = self.started.elapsed();
        let traffic = &mut self.state.traffic;
        let within_bounds = self
            .capture
            .poll(|frame| traffic.observe(at, frame))
            .map_err(BootError::Capture)?;
        if let Some(lease) = traffic.lease()
            && self.probe.is_none()
        {
            news.push(("DHCP lease", lease.seconds));
            self.probe = Some(Probe::start(self.ssh_port));
        }
        if let Some((arrived, text)) = self.probe.as_ref().and_then(Probe::poll) {
            let seconds = Seconds(arrived.saturating_duration_since(self.started));
            news.push(("SSH answered", seconds));
            self.state.ssh = Some(SshGreeting { text, seconds });
        }
        tell(news, &self.state.network(at));
        Ok(within_bounds)
    }

    /// QEMU has closed the console: the guest is off, or QEMU failed.
    fn ended(&mut self) -> Result<Ending, BootError> {
        let status = self.qemu.0.wait().map_err(|source| BootError::Host {
            what: "the end of QEMU",
            source,
        })?;
        if status.success() {
            return Ok(Ending::PoweredOff);
        }
        // QEMU is gone, so the end of its standard error arrives.
        let stderr = self.complaints.recv().unwrap_or_default();
        Err(BootError::Qemu { status, stderr })
    }
}

fn tell(news: &mut News, reached: &[Milestone]) {
    news.extend(
        reached
            .iter()
            .map(|found| (found.stage.name(), found.seconds)),
    );
}

/// Collects the beginning of what QEMU says on standard error.
fn complaints(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing; the rest must not block QEMU.
            pipe.by_ref().take(MAX_STDERR).read_to_end(&mut text).ok();
            io::copy(&mut pipe, &mut io::sink()).ok();
        }
        // Nobody listens when QEMU was killed.
        sender
            .send(String::from_utf8_lossy(&text).trim().to_owned())
            .ok();
    });
    receiver
}
