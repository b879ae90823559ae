//! What counts for all profiles: `/etc/sysconfig/network` and the routes of no profile.

use super::file::line;
use super::{Config, rewrite};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::edit::{self, Edit};
use crate::parse::shell_vars;
use crate::root::GuestPath;

/// Where initscripts learn whether there is a network at all.
const NETWORK: &str = "/etc/sysconfig/network";
/// Variables there that name a gateway.
const GATEWAYS: [&str; 4] = ["GATEWAY", "GATEWAYDEV", "IPV6_DEFAULTDEV", "IPV6_DEFAULTGW"];
/// Routes, each line with the interface in front, or `any`.
const ROUTES: [&str; 2] = [
    "/etc/sysconfig/static-routes",
    "/etc/sysconfig/static-routes-ipv6",
];

/// The gateways and routes of the old network.
pub fn check(guest: &Guest<'_>, config: &Config) -> Result<Vec<Defect>, Error> {
    let mut defects = Vec::new();
    for (path, text, edits) in edits(guest, config)? {
        let index = edit::LineIndex::new(&text);
        defects.extend(edits.iter().map(|edit| {
            let number = index.line(edit.range.start);
            Defect::in_file(&path, "a static route or gateway of the old network")
                .at_line(number)
                .evidence(line(&text, number))
                .hint("remove it; DHCP brings routes")
        }));
    }
    Ok(defects)
}

/// Drafts that they go.
pub fn fix(guest: &mut Guest<'_>, config: &Config) -> Result<(), Error> {
    for (path, text, edits) in edits(guest, config)? {
        rewrite(guest, &path, &text, &edit::apply(&text, edits))?;
    }
    Ok(())
}

/// What has to go from each file, whole lines only.
fn edits(guest: &Guest<'_>, config: &Config) -> Result<Vec<(GuestPath, String, Vec<Edit>)>, Error> {
    let mut found = Vec::new();
    let network = GuestPath::from(NETWORK);
    if let Some(text) = guest.text(&network)? {
        let gateways = shell_vars::assignments(text.as_str())
            .into_iter()
            .filter(|assignment| GATEWAYS.contains(&assignment.name.as_str()))
            .filter(|assignment| assignment.closed && !assignment.value.as_str().is_empty())
            .map(|assignment| Edit::remove(assignment.lines))
            .collect();
        found.push((network, text.as_str().to_owned(), gateways));
    }
    for path in ROUTES.map(GuestPath::from) {
        let Some(text) = guest.text(&path)? else {
            continue;
        };
        let routes = edit::lines(text.as_str())
            .filter(|line| {
                let device = line.text.split_whitespace().next();
                device.is_some_and(|device| {
                    device == "any" || !device.starts_with('#') && config.is_nic_suffix(device)
                })
            })
            .map(|line| Edit::remove(line.range))
            .collect();
        found.push((path, text.as_str().to_owned(), routes));
    }
    Ok(found)
}

/// Whether initscripts start no network at all: without the file, or with `NETWORKING=no`.
pub fn is_off(guest: &Guest<'_>) -> Result<bool, Error> {
    Ok(match guest.text(&NETWORK.into())? {
        Some(text) => off_switches(text.as_str()).next().is_some(),
        None => !guest.exists(&NETWORK.into())?,
    })
}

/// Drafts that initscripts start the network.
pub fn switch_on(guest: &mut Guest<'_>) -> Result<(), Error> {
    let path = GuestPath::from(NETWORK);
    match guest.text(&path)? {
        Some(text) => {
            let text = text.as_str();
            let edits = off_switches(text).collect();
            rewrite(guest, &path, text, &edit::apply(text, edits))
        }
        None if guest.exists(&path)? => Ok(()),
        None => guest.write_text(&path, "NETWORKING=yes\n"),
    }
}

fn off_switches(text: &str) -> impl Iterator<Item = Edit> {
    shell_vars::assignments(text)
        .into_iter()
        .filter(|assignment| {
            let value = assignment.value.as_str().trim().to_ascii_lowercase();
            assignment.name == "NETWORKING"
                && matches!(value.as_str(), "no" | "false" | "f" | "n" | "off" | "0")
        })
        .map(|assignment| Edit::replace(assignment.raw, "yes"))
}
