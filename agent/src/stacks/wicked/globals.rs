//! What holds for every interface: `config` (netconfig(8)) and `dhcp` (ifcfg-dhcp(5)).
//!
//! Their comments describe each variable and other tools expect to find it, so a variable that
//! shall not hold any more stays with no value.

use super::DIR;
use crate::error::Error;
use crate::guest::Guest;
use crate::parse::edit::{self, Edit};
use crate::parse::glob;
use crate::parse::mac;
use crate::parse::shell_vars::{self, Assignment};
use crate::root::GuestPath;

/// The name servers and the search list that netconfig puts before what DHCP brings.
const DNS: [&str; 2] = [
    "NETCONFIG_DNS_STATIC_SERVERS",
    "NETCONFIG_DNS_STATIC_SEARCHLIST",
];
/// Whose name servers netconfig takes.
const POLICY: &str = "NETCONFIG_DNS_POLICY";
/// Who the DHCP client says that it is.
pub const CLIENT_IDS: [&str; 2] = ["DHCLIENT_CLIENT_ID", "DHCLIENT6_CLIENT_ID"];

/// A file of variables that hold for every interface.
#[derive(Debug)]
pub struct Globals {
    /// Where it is.
    pub path: GuestPath,
    text: String,
    assignments: Vec<Assignment>,
}

impl Globals {
    /// The variables with a MAC in their value.
    pub fn macs(&self) -> Vec<&Assignment> {
        self.select(|found| !mac::find(found.value.as_str()).is_empty())
    }

    /// The variables that name the DHCP client.
    pub fn client_ids(&self) -> Vec<&Assignment> {
        self.select(|found| CLIENT_IDS.contains(&found.name.as_str()))
    }

    /// The variables that set name servers.
    pub fn dns(&self) -> Vec<&Assignment> {
        self.select(|found| DNS.contains(&found.name.as_str()))
    }

    fn select(&self, wanted: impl Fn(&Assignment) -> bool) -> Vec<&Assignment> {
        let set = self
            .assignments
            .iter()
            .filter(|found| !found.value.as_str().trim().is_empty());
        set.filter(|found| wanted(found)).collect()
    }

    /// A line of the file, as it is written.
    pub fn line(&self, found: &Assignment) -> &str {
        let lines = self.text.get(found.lines.clone()).unwrap_or_default();
        lines.lines().next().unwrap_or_default()
    }

    /// Drafts that variables have no value.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn empty(&self, guest: &mut Guest<'_>, gone: &[&Assignment]) -> Result<(), Error> {
        self.write(
            guest,
            gone.iter()
                .flat_map(|found| with_value(found, ""))
                .collect(),
        )
    }

    /// Drafts that no name server is set, and that those of DHCP are taken.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn let_dhcp_set_dns(&self, guest: &mut Guest<'_>) -> Result<(), Error> {
        let gone = self.dns();
        let mut edits: Vec<Edit> = gone
            .iter()
            .flat_map(|found| with_value(found, ""))
            .collect();
        if !edits.is_empty() {
            let policies = self.select(|found| found.name == POLICY);
            let narrow = policies
                .into_iter()
                .filter(|found| !takes_dhcp(found.value.as_str()));
            edits.extend(narrow.flat_map(|found| with_value(found, "auto")));
        }
        self.write(guest, edits)
    }

    fn write(&self, guest: &mut Guest<'_>, edits: Vec<Edit>) -> Result<(), Error> {
        if edits.is_empty() {
            return Ok(());
        }
        guest.write_text(&self.path, &edit::apply(&self.text, edits))
    }
}

/// The files, those that are there.
///
/// # Errors
///
/// The guest could not be read.
pub fn read_all(guest: &Guest<'_>) -> Result<Vec<Globals>, Error> {
    let mut files = Vec::new();
    for name in ["config", "dhcp"] {
        let path = GuestPath::from(DIR).join(name);
        if let Some(text) = guest.text(&path)? {
            let text = text.as_str().to_owned();
            files.push(Globals {
                path,
                assignments: shell_vars::assignments(&text),
                text,
            });
        }
    }
    Ok(files)
}

/// Other text for a value, between the quotes that are there.
fn with_value(found: &Assignment, value: &str) -> Vec<Edit> {
    let sources = found.value.sources(0..found.value.as_str().len());
    let mut edits: Vec<Edit> = sources.into_iter().map(Edit::remove).collect();
    if let Some(first) = edits.first_mut() {
        value.clone_into(&mut first.text);
    }
    edits
}

/// Whether a policy of netconfig's lets the name servers of the NIC in.
fn takes_dhcp(policy: &str) -> bool {
    policy.split_whitespace().any(|word| {
        matches!(word, "auto" | "STATIC_FALLBACK" | "NetworkManager") || glob::matches(word, "eth0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_that_take_what_dhcp_brings() {
        for (policy, expected) in [
            ("auto", true),
            ("STATIC *", true),
            ("STATIC eth* ppp?", true),
            ("STATIC_FALLBACK", true),
            ("STATIC", false),
            ("STATIC eth1", false),
        ] {
            assert_eq!(takes_dhcp(policy), expected, "{policy}");
        }
    }
}
