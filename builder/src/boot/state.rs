//! What has been seen of one start so far, and whether that is enough.
//!
//! Time is handed in, so that this decides the same way in a test as beside a running guest.

use std::time::Duration;

use super::accel::KVM_PATIENCE;
use super::milestones::{Milestone, Sign, Stage, Trouble, read};
use super::outcome::{Cause, SshGreeting};
use super::seconds::Seconds;
use super::traffic::Traffic;

/// How long the guest is watched after the last good sign: what it should not do, it may do late.
const SETTLE: Duration = Duration::from_secs(5);
/// How long a failed guest may go on talking.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long after the login a lease may come.
const LEASE_GRACE: Duration = Duration::from_secs(60);
/// How long after login and lease an expected SSH server may take.
const SSH_GRACE: Duration = Duration::from_secs(30);
/// How often the firmware may start: SELinux relabels and resets once.
const MAX_STARTS: u32 = 2;

/// What shows a kernel that says nothing.
const ASKED: &str = "asked for a DHCP lease";

/// Why the watching is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything that can be seen was.
    Complete,
    /// The guest said that it goes no further.
    Trouble,
    /// It resets itself again and again.
    RebootLoop,
    /// It logged in without a lease.
    NoLease,
    /// The time is up.
    TimeOut,
    /// KVM does not get the kernel going.
    KernelSilent,
    /// It switched itself off.
    PoweredOff,
    /// It flooded the network.
    Flood,
}

/// The limits of one start.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest it may take to reach everything.
    pub total: Duration,
    /// Whether a quiet kernel ends it early.
    pub kernel_must_speak: bool,
    /// Whether to wait for an SSH server.
    pub ssh_expected: bool,
}

/// What has been seen.
#[derive(Debug)]
pub struct State {
    /// The network.
    pub traffic: Traffic,
    /// The greeting of the SSH server.
    pub ssh: Option<SshGreeting>,
    milestones: Vec<Milestone>,
    trouble: Option<(Trouble, Duration, String)>,
    starts: u32,
    last_output: Duration,
}

impl State {
    /// Nothing seen yet.
    pub fn new(traffic: Traffic) -> Self {
        Self {
            traffic,
            ssh: None,
            milestones: Vec::new(),
            trouble: None,
            starts: 0,
            last_output: Duration::ZERO,
        }
    }

    /// Something arrived from the console.
    pub fn output(&mut self, at: Duration) {
        self.last_output = at;
    }

    /// Takes a line that has ended; tells what is new in it.
    pub fn line(&mut self, at: Duration, line: &str) -> Vec<Milestone> {
        if read(line) == Some(Sign::PowerOn) {
            self.starts += 1;
            self.milestones.clear();
            self.trouble = None;
            self.traffic.restart();
        }
        if let Some(Sign::Reached(stage)) = read(line) {
            return self.reached(at, stage, line);
        }
        self.prompt(at, line)
    }

    /// Takes a line that has no end yet. Only a prompt counts: half a line may say anything.
    pub fn prompt(&mut self, at: Duration, line: &str) -> Vec<Milestone> {
        match read(line) {
            Some(Sign::Reached(Stage::Login)) => self.reached(at, Stage::Login, line),
            Some(Sign::Failed(trouble)) => {
                self.trouble
                    .get_or_insert_with(|| (trouble, at, line.to_owned()));
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Draws conclusions from the network: a guest need not speak on the console.
    pub fn network(&mut self, at: Duration) -> Vec<Milestone> {
        let mut new = Vec::new();
        if self.traffic.asked() {
            new.extend(self.reached(at, Stage::Kernel, ASKED));
        }
        // Dropbear is the SSH server of initramfs images.
        let greeting = self.ssh.as_ref().map(|ssh| ssh.text.clone());
        if let Some(text) = greeting.filter(|text| !text.contains("dropbear")) {
            new.extend(self.reached(at, Stage::Login, &text));
        }
        new
    }

    /// Whether it is over at `now`.
    pub fn ending(&self, now: Duration, limits: &Limits) -> Option<Ending> {
        if let Some((_, at, _)) = &self.trouble {
            return (now >= *at + LAST_WORDS).then_some(Ending::Trouble);
        }
        if self.starts > MAX_STARTS {
            return Some(Ending::RebootLoop);
        }
        let kernel = self.at(Stage::Kernel);
        if limits.kernel_must_speak && kernel.is_none() && now >= self.last_output + KVM_PATIENCE {
            return Some(Ending::KernelSilent);
        }
        let lease = self.traffic.lease().map(|lease| lease.seconds.0);
        match (self.at(Stage::Login), lease) {
            (Some(login), Some(lease)) => {
                let ready = login.max(lease);
                let settled = match &self.ssh {
                    Some(ssh) => ready.max(ssh.seconds.0) + SETTLE,
                    None if limits.ssh_expected => ready + SSH_GRACE,
                    None => ready + SETTLE,
                };
                (now >= settled).then_some(Ending::Complete)
            }
            (Some(login), None) if now >= login + LEASE_GRACE => Some(Ending::NoLease),
            _ => (now >= limits.total).then_some(Ending::TimeOut),
        }
    }

    /// What speaks against the boot; nothing when it is proved.
    pub fn causes(&self, ending: Ending) -> Vec<Cause> {
        let mut causes = Vec::new();
        match (ending, &self.trouble) {
            (Ending::RebootLoop, _) => causes.push(Cause::RebootLoop),
            (Ending::PoweredOff, _) => causes.push(Cause::PoweredOff),
            (Ending::Flood, _) => causes.push(Cause::Flood),
            _ => {}
        }
        if let Some((trouble, _, evidence)) = &self.trouble {
            causes.push(Cause::Trouble {
                trouble: *trouble,
                evidence: evidence.clone(),
            });
        } else {
            let missing = Stage::ALL
                .into_iter()
                .find(|stage| self.at(*stage).is_none());
            causes.extend(missing.map(Cause::Missing));
            if missing.is_none() && self.traffic.lease().is_none() {
                causes.push(Cause::NoLease);
            }
        }
        causes.extend(self.traffic.violations().into_iter().map(Cause::Violation));
        causes
    }

    /// What is worth knowing and decides nothing.
    pub fn observations(&self, limits: &Limits) -> Vec<String> {
        let mut notes: Vec<_> = self
            .traffic
            .remembered()
            .into_iter()
            .map(|address| format!("the DHCP client asked for {address}, which it had before"))
            .collect();
        if self.reboots() > 0 {
            notes.push("the guest reset itself once, as after an SELinux relabel".to_owned());
        }
        if limits.ssh_expected && self.ssh.is_none() {
            notes.push("no SSH server answered".to_owned());
        }
        let kernel_spoke = self
            .milestones
            .iter()
            .any(|found| found.stage == Stage::Kernel && found.evidence != ASKED);
        if self.at(Stage::Kernel).is_some() && !kernel_spoke {
            notes.push("the kernel says nothing on ttyS0".to_owned());
        }
        notes
    }

    /// The stages that were reached, in order.
    pub fn milestones(&self) -> &[Milestone] {
        &self.milestones
    }

    /// How often the guest reset itself.
    pub fn reboots(&self) -> u32 {
        self.starts.saturating_sub(1)
    }

    fn at(&self, stage: Stage) -> Option<Duration> {
        let found = self.milestones.iter().find(|found| found.stage == stage)?;
        Some(found.seconds.0)
    }

    fn reached(&mut self, at: Duration, stage: Stage, evidence: &str) -> Vec<Milestone> {
        let new: Vec<_> = Stage::ALL
            .into_iter()
            .filter(|earlier| *earlier <= stage && self.at(*earlier).is_none())
            .map(|stage| Milestone {
                stage,
                seconds: Seconds(at),
                evidence: evidence.to_owned(),
            })
            .collect();
        self.milestones.extend(new.iter().cloned());
        self.milestones.sort_by_key(|found| found.stage);
        new
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::dhcp;
    use super::super::frame::build;
    use super::super::mac::Mac;
    use super::super::traffic::Offence;
    use super::*;

    const NEW: Mac = Mac([2, 0, 0x17, 1, 2, 3]);
    const OLD: Mac = Mac([8, 0, 0x27, 9, 9, 9]);
    const LIMITS: Limits = Limits {
        total: Duration::from_secs(300),
        kernel_must_speak: false,
        ssh_expected: false,
    };

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn seen(lines: &[(u64, &str)]) -> State {
        let mut state = State::new(Traffic::new(NEW));
        for (second, line) in lines {
            state.output(secs(*second));
            state.line(secs(*second), line);
        }
        state
    }

    fn lease(state: &mut State, at: u64) {
        let server = (
            Mac([0x52, 0x55, 10, 213, 71, 2]),
            Ipv4Addr::new(10, 213, 71, 2),
        );
        let message = dhcp::build(5, NEW, Ipv4Addr::new(10, 213, 71, 15), &[]);
        let udp = build::udp(67, 68, &message);
        let frame = build::ipv4(server, Ipv4Addr::BROADCAST, 17, &udp);
        state.traffic.observe(secs(at), &frame);
        state.network(secs(at));
    }

    /// The first whole second at which it is over, and how.
    fn end(state: &State, limits: &Limits) -> (u64, Ending) {
        (0..1000)
            .find_map(|second| Some((second, state.ending(secs(second), limits)?)))
            .unwrap()
    }

    const GOOD: &[(u64, &str)] = &[
        (1, "SeaBIOS (version 1.16.3)"),
        (2, "GRUB loading."),
        (6, "[    0.000000] Linux version 6.1"),
        (9, "[    3.000000] EXT4-fs (sda1): mounted filesystem"),
        (30, "debian login:"),
    ];

    #[test]
    fn a_good_boot_is_watched_a_little_longer() {
        let mut state = seen(GOOD);
        lease(&mut state, 20);
        let (second, ending) = end(&state, &LIMITS);
        assert_eq!((second, ending), (35, Ending::Complete));
        assert_eq!(state.causes(ending), []);
        let times: Vec<_> = state
            .milestones()
            .iter()
            .map(|found| found.seconds.0.as_secs())
            .collect();
        assert_eq!(times, [2, 6, 9, 30]);

        let patient = Limits {
            ssh_expected: true,
            ..LIMITS
        };
        assert_eq!(end(&state, &patient).0, 60);
        assert_eq!(state.observations(&patient), ["no SSH server answered"]);
        state.ssh = Some(SshGreeting {
            text: "SSH-2.0-OpenSSH_9.2".to_owned(),
            seconds: Seconds(secs(33)),
        });
        assert_eq!(end(&state, &patient).0, 38);
    }

    #[test]
    fn what_is_missing_is_named() {
        for (lines, expected) in [
            (
                &GOOD[..0],
                (300, Ending::TimeOut, Cause::Missing(Stage::Loader)),
            ),
            (
                &GOOD[..2],
                (300, Ending::TimeOut, Cause::Missing(Stage::Kernel)),
            ),
            (
                &GOOD[..4],
                (300, Ending::TimeOut, Cause::Missing(Stage::Login)),
            ),
            (GOOD, (90, Ending::NoLease, Cause::NoLease)),
        ] {
            let state = seen(lines);
            let (second, ending) = end(&state, &LIMITS);
            let causes = state.causes(ending);
            assert_eq!(
                (second, ending, causes),
                (expected.0, expected.1, vec![expected.2])
            );
        }
    }

    #[test]
    fn trouble_ends_the_boot_after_its_last_words() {
        let mut state = seen(&GOOD[..4]);
        state.line(secs(12), "You are in emergency mode. After logging in");
        state.line(secs(13), "Press Enter for maintenance");
        let (second, ending) = end(&state, &LIMITS);
        assert_eq!((second, ending), (15, Ending::Trouble));
        let expected = Cause::Trouble {
            trouble: Trouble::EmergencyMode,
            evidence: "You are in emergency mode. After logging in".to_owned(),
        };
        assert_eq!(state.causes(ending), [expected]);
    }

    #[test]
    fn a_violation_refutes_a_boot_that_reached_everything() {
        let mut state = seen(GOOD);
        lease(&mut state, 20);
        let frame = build::ethernet(OLD, 0x88cc, &[]);
        state.traffic.observe(secs(34), &frame);
        let causes = state.causes(Ending::Complete);
        let [Cause::Violation(found)] = causes.as_slice() else {
            panic!("{causes:?}");
        };
        assert_eq!(found.offence, Offence::EthernetSource(OLD));
    }

    #[test]
    fn one_reset_starts_over_and_more_are_a_loop() {
        let mut state = seen(&[GOOD, &GOOD[..2]].concat());
        assert_eq!(state.reboots(), 1);
        assert_eq!(state.milestones().len(), 1);
        state.line(secs(40), "SeaBIOS (version 1.16.3)");
        let (_, ending) = end(&state, &LIMITS);
        assert_eq!(ending, Ending::RebootLoop);
        assert_eq!(state.causes(ending)[0], Cause::RebootLoop);
    }

    #[test]
    fn a_quiet_kernel_ends_kvm_but_a_slow_menu_does_not() {
        let kvm = Limits {
            kernel_must_speak: true,
            ..LIMITS
        };
        assert_eq!(end(&seen(&GOOD[..2]), &kvm), (17, Ending::KernelSilent));
        let menu: Vec<_> = (0..30).map(|second| (second, "in 9s")).collect();
        assert_eq!(end(&seen(&menu), &kvm), (44, Ending::KernelSilent));
        assert_eq!(end(&seen(&GOOD[..3]), &kvm), (300, Ending::TimeOut));
    }

    #[test]
    fn a_guest_without_serial_console_is_proved_by_network_and_ssh() {
        let mut state = seen(&GOOD[..2]);
        lease(&mut state, 20);
        state.ssh = Some(SshGreeting {
            text: "SSH-2.0-dropbear_2022".to_owned(),
            seconds: Seconds(secs(25)),
        });
        state.network(secs(25));
        assert_eq!(state.causes(Ending::TimeOut), [Cause::Missing(Stage::Root)]);
        state.ssh = Some(SshGreeting {
            text: "SSH-2.0-OpenSSH_9.2".to_owned(),
            seconds: Seconds(secs(26)),
        });
        state.network(secs(26));
        let (second, ending) = end(&state, &LIMITS);
        assert_eq!((second, ending), (31, Ending::Complete));
        assert_eq!(state.causes(ending), []);
        assert_eq!(
            state.observations(&LIMITS),
            ["the kernel says nothing on ttyS0"]
        );
    }
}
