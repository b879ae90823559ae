//! `SuSEfirewall2`, of SLES 12 and before: the services that the external zone lets in.

use super::Firewall;
use super::packet::{Fate, Packet, Place, holds_port};
use crate::error::Error;
use crate::guest::Guest;
use crate::parse::shell_vars::{self, Assignment};
use crate::root::GuestPath;
use crate::units;

const CONFIG: &str = "/etc/sysconfig/SuSEfirewall2";
/// What starts it: units, and scripts of SLES 11.
const SERVICES: [(&str, &str); 3] = [
    ("SuSEfirewall2.service", "SuSEfirewall2_setup"),
    ("SuSEfirewall2_init.service", "SuSEfirewall2_init"),
    ("SuSEfirewall2_final.service", "SuSEfirewall2_final"),
];

pub(super) fn firewalls(guest: &Guest<'_>) -> Result<Vec<Firewall>, Error> {
    let path = GuestPath::from(CONFIG);
    let Some(text) = guest.text(&path)? else {
        return Ok(Vec::new());
    };
    let mut started = !units::readable(guest)?;
    for (unit, script) in SERVICES {
        started |= units::is_enabled(guest, unit, script)?;
    }
    if !started {
        return Ok(Vec::new());
    }
    let variables = shell_vars::assignments(text.as_str());
    let last = |name: &str| {
        variables
            .iter()
            .rfind(|variable| variable.name == name)
            .map(|variable| (place(&path, variable), variable.value.as_str().to_owned()))
    };
    let devices = last("FW_DEV_EXT");
    let Some((closed, ports)) = last("FW_SERVICES_EXT_TCP") else {
        return Ok(Vec::new());
    };
    let configured = last("FW_CONFIGURATIONS_EXT")
        .is_some_and(|(_, value)| value.split_whitespace().any(|name| name == "sshd"));
    let fate = move |packet: Packet| {
        let listed = || {
            ports
                .split_whitespace()
                .any(|list| holds_port(list, packet.port))
        };
        if packet.destination.is_some() || configured || listed() {
            Fate::Open
        } else {
            Fate::Closed(closed.clone())
        }
    };
    Ok(vec![Firewall {
        fate: Box::new(fate),
        bound: devices
            .filter(|(_, value)| value.split_whitespace().any(super::is_nic))
            .map(|(place, _)| place)
            .into_iter()
            .collect(),
    }])
}

fn place(path: &GuestPath, variable: &Assignment) -> Place {
    Place {
        path: path.clone(),
        line: variable.line,
        text: format!("{}={}", variable.name, variable.value.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::AccessFirewall;
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn ssh_gets_through_or_not() {
        for (config, expected) in [
            ("FW_SERVICES_EXT_TCP=\"ssh http\"\n", 0),
            ("FW_SERVICES_EXT_TCP=\"20:25\"\n", 0),
            (
                "FW_SERVICES_EXT_TCP=\"\"\nFW_CONFIGURATIONS_EXT=\"sshd\"\n",
                0,
            ),
            ("FW_DEV_EXT=\"any eth0\"\nFW_SERVICES_EXT_TCP=\"80\"\n", 2),
        ] {
            let fixture = Fixture::new(&[(CONFIG, config)]);
            assert_eq!(fixture.check(&AccessFirewall).len(), expected, "{config}");
        }
    }
}
