//! A root file system on NFS or another network file system, by the kernel command line: see
//! `nfsroot.rst` of the Linux source and dracut.cmdline(7).

use super::MOVE;
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::kernel_cmdline;

/// Values of `root=` and `netroot=` that begin like this name storage elsewhere.
const NETWORK_ROOTS: [&str; 7] = [
    "/dev/nfs", "nfs:", "nfs4:", "nbd:", "cifs:", "fcoe:", "nvmf",
];

pub(super) fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let mut defects = Vec::new();
    for copy in kernel_cmdline::copies(guest)? {
        for arg in copy.kargs.args.iter().filter(|arg| is_remote(&arg.text)) {
            defects.push(
                Defect::in_file(&copy.path, "the root file system is on storage elsewhere")
                    .at_line(arg.line)
                    .evidence(arg.text.clone())
                    .hint(MOVE),
            );
        }
    }
    Ok(defects)
}

fn is_remote(arg: &str) -> bool {
    let value = |name| kernel_cmdline::value_of(arg, name);
    value("nfsroot").is_some()
        || value("rd.nvmf.discover").is_some()
        || [value("root"), value("netroot")]
            .into_iter()
            .flatten()
            .any(|root| NETWORK_ROOTS.iter().any(|kind| root.starts_with(kind)))
}

#[cfg(test)]
mod tests {
    use super::super::BootRemoteStorage;
    use crate::rules::fixture::Fixture;

    #[test]
    fn a_root_elsewhere_blocks() {
        for (cmdline, found) in [
            ("root=/dev/nfs nfsroot=192.0.2.5:/root ro", 2),
            ("root=nfs:192.0.2.5:/root", 1),
            ("root=UUID=x ro", 0),
            (
                "netroot=iscsi:169.254.0.2:::1:iqn.2015-02.oracle.boot:uefi",
                0,
            ),
        ] {
            let fixture = Fixture::new(&[("/etc/kernel/cmdline", cmdline)]);
            fixture.fix_once(&[&BootRemoteStorage]);
            assert_eq!(fixture.open(&BootRemoteStorage).len(), found, "{cmdline}");
        }
    }
}
