//! The programs of the guest that know iSCSI, LVM and the like.

use std::time::Duration;

use super::kernel::Kernel;
use crate::cmd::{Cmd, CmdError};
use crate::root::GuestPath;

/// Where they are, whatever the shell that started us believes.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// How long one may take.
const LIMIT: Duration = Duration::from_secs(120);
/// iscsiadm's word for a daemon that does not run (`iscsi_err.h`).
const NO_DAEMON: i32 = 20;

/// A command line of the guest's own program.
pub fn tool(program: &str) -> Cmd {
    Cmd::new(program).env("PATH", PATH).timeout(LIMIT)
}

/// Whether the guest has a program.
pub fn is_installed(kernel: Kernel<'_>, program: &str) -> bool {
    PATH.split(':')
        .any(|dir| kernel.has(&GuestPath::from(dir).join(program)))
}

/// Runs iscsiadm. Where its daemon does not run, starts that and tries once more.
///
/// # Errors
///
/// It failed.
pub fn iscsiadm(args: &[&str], success: &[i32]) -> Result<(), CmdError> {
    let iscsiadm = tool("iscsiadm").args(args).success_codes(success);
    match iscsiadm.run() {
        Err(CmdError::Failed { status, .. }) if status.code() == Some(NO_DAEMON) => {
            let start = |unit| tool("systemctl").args(["start", unit]).run();
            start("iscsid.service").or_else(|_| tool("iscsid").run())?;
            iscsiadm.run()
        }
        ran => ran,
    }
    .map(drop)
}
