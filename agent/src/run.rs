//! Check → plan → apply → check again.

use crate::apply::{GuestShell, apply};
use crate::error::Error;
use crate::facts::Facts;
use crate::finding::{Finding, Status};
use crate::guest::Guest;
use crate::interrupt;
use crate::plan::{Change, Plan};
use crate::root::{GuestRoot, GuestRootMut};
use crate::rules::{Rule, iscsi_session};
use crate::selection::{Selected, Selection};

/// What a run found and did.
#[derive(Debug)]
pub struct Outcome {
    /// What guest this is.
    pub facts: Facts,
    /// Every finding with its status, in the order of the catalogue.
    pub findings: Vec<Finding>,
    /// What was, or for a plan would be, changed.
    pub changes: Vec<Change>,
}

/// Judges the guest below `root`, changing nothing.
///
/// # Errors
///
/// The guest could not be read, or the selection names a rule that does not exist.
pub fn check(
    root: &GuestRoot,
    rules: &[Box<dyn Rule>],
    selection: &Selection,
) -> Result<Outcome, Error> {
    let facts = Facts::gather(root)?;
    let selected = selection.of(rules)?;
    Ok(Outcome {
        findings: findings(&selected, &Guest::new(root, &facts))?,
        facts,
        changes: Vec::new(),
    })
}

/// What a run will do, while nothing has been done.
#[expect(missing_debug_implementations, reason = "a rule is code")]
pub struct Planned<'a> {
    facts: Facts,
    selected: Vec<Selected<'a>>,
    findings: Vec<Finding>,
    plan: Plan,
}

/// Finds and plans, changing nothing.
///
/// # Errors
///
/// As [`check`].
pub fn plan<'a>(
    root: &GuestRoot,
    rules: &'a [Box<dyn Rule>],
    selection: &Selection,
    shell: &dyn GuestShell,
) -> Result<Planned<'a>, Error> {
    let facts = Facts::gather(root)?;
    let selected = selection.of(rules)?;
    let mut guest = Guest::new(root, &facts).with_programs(shell.is_available());
    let findings = findings(&selected, &guest)?;
    draft(&selected, &mut guest)?;
    let plan = Plan::from_drafts(&guest)?;
    Ok(Planned {
        facts,
        selected,
        findings,
        plan,
    })
}

/// The blockers that are left once what [`plan`] plans is done, as far as the drafts tell. A volume
/// that is still attached is none of them: it goes when the machine stops, if not before.
///
/// # Errors
///
/// As [`check`].
pub fn foresee(
    root: &GuestRoot,
    rules: &[Box<dyn Rule>],
    selection: &Selection,
    shell: &dyn GuestShell,
) -> Result<Vec<Finding>, Error> {
    let facts = Facts::gather(root)?;
    let selected = selection.of(rules)?;
    let mut guest = Guest::new(root, &facts).with_programs(shell.is_available());
    draft(&selected, &mut guest)?;
    let is_made_anew = |finding: &Finding| {
        let mut made = guest.commands().iter().map(|command| &command.produces);
        made.any(|path| path.to_string() == finding.subject)
    };
    let mut left = findings(&selected, &guest)?;
    left.retain(|finding| {
        finding.blocks() && finding.rule != iscsi_session::ID && !is_made_anew(finding)
    });
    Ok(left)
}

impl Planned<'_> {
    /// What will be done.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Does it, then judges again what is there.
    ///
    /// # Errors
    ///
    /// Something stands in the way of detaching a volume, and then nothing is changed; or the guest
    /// could not be read or written.
    pub fn apply(self, root: &GuestRootMut, shell: &dyn GuestShell) -> Result<Outcome, Error> {
        self.plan.unobstructed()?;
        apply(&self.plan, root, shell)?;
        let after = findings(&self.selected, &Guest::new(root.reader(), &self.facts))?;
        Ok(Outcome {
            findings: settle(self.findings, after),
            facts: self.facts,
            changes: self.plan.changes(),
        })
    }

    /// What was found, and what would be done.
    pub fn into_outcome(self) -> Outcome {
        Outcome {
            findings: self.findings,
            facts: self.facts,
            changes: self.plan.changes(),
        }
    }
}

/// Finds, plans and applies, then judges again what is there.
///
/// # Errors
///
/// As [`check`], or the guest could not be written.
pub fn prepare(
    root: &GuestRootMut,
    rules: &[Box<dyn Rule>],
    selection: &Selection,
    shell: &dyn GuestShell,
) -> Result<Outcome, Error> {
    plan(root.reader(), rules, selection, shell)?.apply(root, shell)
}

fn draft(selected: &[Selected<'_>], guest: &mut Guest<'_>) -> Result<(), Error> {
    for selected in selected.iter().filter(|selected| !selected.skipped) {
        selected.rule.fix(guest)?;
    }
    Ok(())
}

/// Runs every selected rule; a rule that is skipped still says what it sees.
fn findings(selected: &[Selected<'_>], guest: &Guest<'_>) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for selected in selected {
        interrupt::check().map_err(Error::Interrupted)?;
        let status = if selected.skipped {
            Status::Skipped
        } else {
            Status::Open
        };
        let meta = selected.rule.meta();
        for defect in selected.rule.check(guest)? {
            findings.push(Finding::new(&meta, defect, status));
        }
    }
    Ok(findings)
}

/// What is still there is open; what is gone was fixed.
fn settle(before: Vec<Finding>, after: Vec<Finding>) -> Vec<Finding> {
    let mut settled: Vec<Finding> = before
        .into_iter()
        .filter(|old| !after.iter().any(|new| new.is_same_as(old)))
        .map(|old| Finding {
            status: Status::Fixed,
            ..old
        })
        .collect();
    settled.extend(after);
    settled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{KnownDisk, catalogue};
    use crate::testing::Fixture;

    /// Nothing can be run.
    struct NoShell;

    impl GuestShell for NoShell {
        fn is_available(&self) -> bool {
            false
        }

        fn run(&self, command: &crate::guest::GuestCommand) -> Result<(), Error> {
            panic!("{command:?} was run");
        }
    }

    #[test]
    fn what_the_plan_puts_right_is_not_left() {
        let interfaces = (
            "/etc/network/interfaces",
            "auto eth0\niface eth0 inet static\n address 192.0.2.7/24\n hwaddress 52:54:00:aa:bb:cc\n",
        );
        let elsewhere = ("/etc/iscsi/iscsi.initramfs", "ISCSI_TARGET_IP=192.0.2.5\n");
        for (files, left) in [
            (&[interfaces][..], &[][..]),
            (&[interfaces, elsewhere], &["iscsi/root"]),
        ] {
            let fixture = Fixture::debian(files);
            let root = fixture.guest().root();
            let rules = catalogue(KnownDisk::default());
            let selection = Selection::default();
            let now = check(root, &rules, &selection).unwrap();
            assert!(
                now.findings
                    .iter()
                    .any(|found| found.rule == "net/static" && found.blocks())
            );
            let foreseen = foresee(root, &rules, &selection, &NoShell).unwrap();
            let rules: Vec<&str> = foreseen.iter().map(|found| found.rule).collect();
            assert_eq!(rules, left);
        }
    }
}
