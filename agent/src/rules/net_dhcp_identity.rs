//! `net/dhcp-identity`: leases and identities of the DHCP clients.
//!
//! Every instance made from the image would ask as the same client, and for the old address.
//! Files go, their directories stay. A DHCP server's leases (`dhcpd.leases`) are not the client's
//! and stay; so does `send dhcp-client-identifier = hardware`, which names no MAC.

use std::ops::Range;

use super::{DOC_IMPORT_LINUX, Rule, RuleMeta};
use crate::error::Error;
use crate::finding::{Defect, Severity};
use crate::guest::Guest;
use crate::parse::dhclient_conf::{self, Statement};
use crate::root::{FileKind, GuestPath};
use crate::stacks::{self, Aspect};

/// Where nothing but clients' leases and identities are, a server's leases apart.
const LEASE_DIRS: [&str; 8] = [
    "/var/lib/dhcp",
    "/var/lib/dhcp3",
    "/var/lib/dhclient",
    "/var/lib/dhcpcd",
    "/var/lib/dhcpcd5",
    "/var/lib/dhcpv6",
    "/var/lib/systemd/network",
    "/var/lib/udhcpc",
];
/// Where `NetworkManager` keeps leases among other things.
const NETWORK_MANAGER: &str = "/var/lib/NetworkManager";
/// Identities by themselves.
const IDENTITIES: [&str; 3] = [
    "/etc/dhcpcd.duid",
    "/etc/dhcpcd.secret",
    "/var/db/dhcpcd/duid",
];
/// Where `dhclient.conf` and its variants are.
const CONF_DIRS: [&str; 3] = ["/etc/dhcp", "/etc/dhcp3", "/etc"];

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct NetDhcpIdentity;

impl Rule for NetDhcpIdentity {
    fn meta(&self) -> RuleMeta {
        RuleMeta {
            id: "net/dhcp-identity",
            severity: Severity::Warning,
            title: "Leases and identities of the DHCP clients",
            why: "Instances from one image would ask for leases as one and the same client.",
            doc: DOC_IMPORT_LINUX,
        }
    }

    fn check(&self, guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
        let mut defects: Vec<Defect> = lease_files(guest)?
            .iter()
            .map(|path| {
                Defect::in_file(path, "a DHCP client's lease or identity")
                    .hint("remove the file; the client makes it anew")
            })
            .collect();
        for path in conf_files(guest)? {
            let Some(text) = guest.text(&path)? else {
                continue;
            };
            let text = text.as_str();
            let (mut line, mut counted) = (1, 0);
            defects.extend(identities(text).into_iter().map(|range| {
                line += text[counted..range.start].matches('\n').count();
                counted = range.start;
                let first = text[range].lines().next().unwrap_or_default();
                Defect::in_file(&path, "dhclient is told an identity or a fixed lease")
                    .at_line(line)
                    .evidence(first)
                    .hint("remove the statement")
            }));
        }
        defects.extend(stacks::check(Aspect::DhcpIdentity, guest)?);
        Ok(defects)
    }

    fn fix(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        for path in lease_files(guest)? {
            guest.remove(&path)?;
        }
        for path in conf_files(guest)? {
            if let Some(text) = guest.text(&path)? {
                let ranges = identities(text.as_str());
                if !ranges.is_empty() {
                    let anew = dhclient_conf::without(text.as_str(), &ranges);
                    guest.write_text(&path, &anew)?;
                }
            }
        }
        stacks::fix(Aspect::DhcpIdentity, guest)
    }
}

fn lease_files(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut files = Vec::new();
    for dir in LEASE_DIRS {
        files.extend(guest.walk(&dir.into())?.into_iter().filter(|path| {
            let name = path.name().to_string_lossy();
            !name.starts_with("dhcpd.") && !name.starts_with("dhcpd6.")
        }));
    }
    files.extend(
        guest
            .list(&NETWORK_MANAGER.into())?
            .into_iter()
            .filter(|path| {
                path.has_suffix(".lease") || path.name().to_string_lossy().starts_with("dhclient")
            }),
    );
    files.extend(IDENTITIES.map(GuestPath::from));
    let mut regular = Vec::new();
    for path in files {
        if guest.kind(&path)? == Some(FileKind::Regular) {
            regular.push(path);
        }
    }
    Ok(regular)
}

fn conf_files(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut files = Vec::new();
    for dir in CONF_DIRS {
        files.extend(guest.list(&dir.into())?.into_iter().filter(|path| {
            path.has_suffix(".conf") && path.name().to_string_lossy().starts_with("dhclient")
        }));
    }
    Ok(files)
}

/// The statements that tell who the client is, or what lease it has, in order.
pub(super) fn identities(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for statement in dhclient_conf::parse(text) {
        collect_identities(&statement, &mut ranges);
    }
    ranges
}

fn collect_identities(statement: &Statement, ranges: &mut Vec<Range<usize>>) {
    if is_identity(statement) {
        ranges.push(statement.range.clone());
    } else {
        for inner in &statement.body {
            collect_identities(inner, ranges);
        }
    }
}

fn is_identity(statement: &Statement) -> bool {
    if ["send", "supersede", "prepend", "append", "default"]
        .iter()
        .any(|verb| statement.starts_with(&[verb]))
        && let [_, option, value @ ..] = statement.words.as_slice()
    {
        let option = option.to_ascii_lowercase();
        let by_hardware = value.iter().any(|word| word == "hardware");
        return matches!(
            option.as_str(),
            "dhcp-client-identifier" | "dhcp6.client-id" | "dhcp-requested-address"
        ) && !by_hardware;
    }
    [
        &["lease"][..],
        &["lease6"],
        &["alias"],
        &["fixed-address"],
        &["hardware", "ethernet"],
        &["default-duid"],
    ]
    .iter()
    .any(|words| statement.starts_with(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn leases_and_identities_go() {
        let gone = [
            "/var/lib/dhcp/dhclient.ens3.leases",
            "/var/lib/dhcp/dhclient6.leases",
            "/var/lib/dhcpcd/ens3.lease",
            "/var/lib/dhcpcd/duid",
            "/var/lib/NetworkManager/internal-x-ens3.lease",
            "/var/lib/NetworkManager/dhclient-ens3.conf",
            "/var/lib/systemd/network/ens3",
            "/etc/dhcpcd.duid",
        ];
        let kept = [
            "/var/lib/dhcp/dhcpd.leases",
            "/var/lib/dhcp/dhcpd6.leases~",
            "/var/lib/NetworkManager/NetworkManager.state",
            "/etc/dhcpcd.conf",
        ];
        let files: Vec<(&str, &str)> = gone.iter().chain(&kept).map(|path| (*path, "x")).collect();
        let fixture = Fixture::new(&files);
        assert_eq!(fixture.check(&NetDhcpIdentity).len(), gone.len());
        fixture.fix(&[&NetDhcpIdentity]);
        assert!(gone.iter().all(|path| !fixture.has(path)));
        assert!(kept.iter().all(|path| fixture.has(path)));
        assert!(fixture.has("/var/lib/dhcp"));
    }

    #[test]
    fn statements_go_and_the_rest_stays() {
        const CONF: &str = "/etc/dhcp/dhclient.conf";
        let before = "# send dhcp-client-identifier 1:2;\nsend host-name = gethostname();\n\
            send dhcp-client-identifier 1:52:54:0:12:34:56;\nsend dhcp-client-identifier = hardware;\n\
            interface \"eth0\" {\n  send dhcp-client-identifier \"me\"; # old\n  request routers;\n}\n\
            lease {\n  fixed-address 10.0.0.5;\n}\nalias { fixed-address 10.0.0.6; }\ntimeout 60;\n\
            default-duid \"x\";\n";
        let after = "# send dhcp-client-identifier 1:2;\nsend host-name = gethostname();\n\
            send dhcp-client-identifier = hardware;\ninterface \"eth0\" {\n   # old\n  request routers;\n}\ntimeout 60;\n";
        let fixture = Fixture::new(&[(CONF, before)]);
        let lines: Vec<String> = [3, 6, 9, 12, 14]
            .iter()
            .map(|line| format!("{CONF}:{line}"))
            .collect();
        assert_eq!(fixture.open(&NetDhcpIdentity), lines);
        fixture.fix(&[&NetDhcpIdentity]);
        assert_eq!(fixture.text(CONF).unwrap(), after);
    }

    #[test]
    fn ifupdown_options() {
        const FILE: &str = "/etc/network/interfaces";
        let fixture = Fixture::debian(&[(
            FILE,
            "iface any inet dhcp\n client 01:52:54:00:12:34:56\n hostname x\niface b inet dhcp\n client no\n",
        )]);
        fixture.fix(&[&NetDhcpIdentity]);
        assert_eq!(
            fixture.text(FILE).unwrap(),
            "iface any inet dhcp\n hostname x\niface b inet dhcp\n client no\n"
        );
    }
}
