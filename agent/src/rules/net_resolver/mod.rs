//! `net/resolver`: name servers of the old network, where nothing replaces them.
//!
//! A regular `/etc/resolv.conf` is rewritten at the first lease by most stacks; then it says nothing
//! about OCI. It stays as it is under systemd-networkd, where `NetworkManager`, `netconfig` or a
//! hook of dhclient is told so, and where the file is immutable. There the servers give way to
//! OCI's, 169.254.169.254. Beside it the static servers of `resolvconf` and of systemd-resolved are
//! looked at. Public resolvers are told and left: OCI may reach them.

mod address;
mod managed;
mod static_servers;

use self::address::{Reach, reach};
use self::managed::is_managed;
use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::edit::{self, Edit, Line};
use crate::root::{FileKind, GuestPath};

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct NetResolver;

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The name server of every virtual network on OCI.
const OCI: &str = "169.254.169.254";

impl Rule for NetResolver {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "net/resolver",
            severity: Severity::Warning,
            title: "Name servers of the old network that no lease replaces",
            why: "The instance would ask servers that it cannot reach, and every name would take \
                  seconds to fail.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut defects = Vec::new();
        if is_static(guest)?
            && let Some(text) = guest.text(&RESOLV_CONF.into())?
        {
            let immutable = guest.root().is_immutable(&RESOLV_CONF.into())?;
            defects.extend(servers(text.as_str()).map(|(line, server, reach)| {
                let defect = defect(&RESOLV_CONF.into(), line.number, server, reach);
                if immutable {
                    defect.hint("chattr -i /etc/resolv.conf, and let DHCP fill it in")
                } else {
                    defect
                }
            }));
        }
        defects.extend(static_servers::check(guest)?);
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        let path = RESOLV_CONF.into();
        if is_static(guest)?
            && !guest.root().is_immutable(&path)?
            && let Some(text) = guest.text(&path)?
        {
            let edited = with_oci(text.as_str());
            if edited != text.as_str() {
                guest.write_text(&path, &edited)?;
            }
        }
        static_servers::fix(guest)
    }
}

/// Whether there is a file of its own that nothing rewrites.
fn is_static(guest: &Guest<'_>) -> Result<bool, Error> {
    let path = RESOLV_CONF.into();
    Ok(guest.kind(&path)? == Some(FileKind::Regular)
        && (guest.root().is_immutable(&path)? || !is_managed(guest)?))
}

/// The `nameserver` lines that matter.
fn servers(text: &str) -> impl Iterator<Item = (Line<'_>, &str, Reach)> {
    edit::lines(text).filter_map(|line| {
        let server = server(line.text)?;
        Some((line, server, reach(server)?))
    })
}

fn server(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    (words.next()? == "nameserver").then(|| words.next())?
}

/// The text without private servers; where that leaves none, with OCI's in place of the first.
fn with_oci(text: &str) -> String {
    let private: Vec<Line<'_>> = servers(text)
        .filter(|(_, _, reach)| *reach == Reach::Private)
        .map(|(line, _, _)| line)
        .collect();
    let all = edit::lines(text)
        .filter(|line| server(line.text).is_some())
        .count();
    let mut replacement = (all == private.len()).then(|| format!("nameserver {OCI}\n"));
    let edits = private
        .into_iter()
        .map(|line| Edit::replace(line.range, replacement.take().unwrap_or_default()))
        .collect();
    edit::apply(text, edits)
}

fn defect(path: &GuestPath, line: usize, server: &str, reach: Reach) -> Defect {
    let defect = match reach {
        Reach::Private => Defect::in_file(path, "a name server of the old network is asked")
            .hint("remove it: OCI gives its own by DHCP"),
        Reach::Public => Defect::in_file(path, "a public name server is asked")
            .hint("it cannot resolve names of the virtual network, and needs a way to the Internet")
            .severity(Severity::Note),
    };
    defect.at_line(line).evidence(server)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    const OLD: &str = "# by hand\nsearch example.com\nnameserver 10.0.0.2\nnameserver\tfd00::53\n\
                       options timeout:1\n";
    const NEW: &str = "# by hand\nsearch example.com\nnameserver 169.254.169.254\n\
                       options timeout:1\n";

    fn after(resolv_conf: &str, files: &[(&str, &str)]) -> String {
        let files = [files, &[(RESOLV_CONF, resolv_conf)]].concat();
        let fixture = Fixture::new(&files);
        fixture.fix(&[&NetResolver]);
        fixture.text(RESOLV_CONF).unwrap()
    }

    #[test]
    fn a_file_that_nothing_rewrites_gets_the_server_of_oci() {
        let networkd = (
            "/etc/systemd/network/10.network",
            "[Match]\nName=e*\n[Network]\nDHCP=yes\n",
        );
        let manager = (
            "/etc/NetworkManager/NetworkManager.conf",
            "[main]\nplugins=keyfile\n",
        );
        let no_dns = (
            "/etc/NetworkManager/conf.d/90-dns.conf",
            "[main]\ndns=none\n",
        );
        let interfaces = (
            "/etc/network/interfaces",
            "auto lo\niface lo inet loopback\n",
        );
        let hook = (
            "/etc/dhcp/dhclient-enter-hooks.d/nodns",
            "make_resolv_conf() { :; }\n",
        );
        let suse = (
            "/etc/sysconfig/network/config",
            "NETCONFIG_DNS_POLICY=\"auto\"\n",
        );
        let off = (
            "/etc/sysconfig/network/config",
            "NETCONFIG_DNS_POLICY=\"\"\n",
        );
        for (files, expected) in [
            (vec![networkd], NEW),
            (vec![manager], OLD),
            (vec![manager, no_dns], NEW),
            (vec![interfaces], OLD),
            (vec![interfaces, hook], NEW),
            (vec![suse], NEW),
            (vec![off], NEW),
            (vec![], OLD),
        ] {
            assert_eq!(after(OLD, &files), expected, "{files:?}");
        }
        let generated = format!("### /etc/resolv.conf file autogenerated by netconfig!\n{OLD}");
        assert_eq!(after(&generated, &[suse]), generated);
    }

    #[test]
    fn servers_are_told_apart() {
        let networkd = ("/etc/systemd/network/10.network", "[Network]\nDHCP=yes\n");
        for (before, expected) in [
            ("nameserver 127.0.0.53\n", "nameserver 127.0.0.53\n"),
            (
                "nameserver 169.254.169.254\n",
                "nameserver 169.254.169.254\n",
            ),
            (
                "nameserver 10.0.0.2\nnameserver 8.8.8.8",
                "nameserver 8.8.8.8",
            ),
            ("#nameserver 10.0.0.2\n", "#nameserver 10.0.0.2\n"),
        ] {
            assert_eq!(after(before, &[networkd]), expected);
        }
        let link = (RESOLV_CONF, "-> /run/systemd/resolve/stub-resolv.conf");
        assert!(
            Fixture::new(&[networkd, link])
                .check(&NetResolver)
                .is_empty()
        );
    }
}
