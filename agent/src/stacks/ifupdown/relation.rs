//! What the commands in a definition say about interfaces: which lies on which, and which are
//! made by software.

/// What a command does to interfaces.
#[derive(Debug, PartialEq, Eq)]
pub enum Relation {
    /// The first lies on the second.
    Stacks(String, String),
    /// The interface is made by software, on no other.
    Makes(String),
}

/// Whether a word is a name that the kernel or udev gives to Ethernet NICs, or a VLAN or alias
/// of one.
pub fn looks_ethernet(word: &str) -> bool {
    let name = word.split(['.', ':', '@']).next().unwrap_or_default();
    let digits = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    let slot = |rest: &str| {
        rest.split_once('p')
            .is_some_and(|(slot, port)| digits(slot) && digits(port))
    };
    ["eth", "em"]
        .iter()
        .any(|prefix| name.strip_prefix(prefix).is_some_and(digits))
        || name.strip_prefix('p').is_some_and(slot)
        || name.strip_prefix("en").is_some_and(|rest| {
            rest.len() > 1
                && rest.starts_with(['o', 's', 'p', 'x', 'P', 'c', 'b'])
                && rest.bytes().any(|byte| byte.is_ascii_digit())
                && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

/// The simple commands of a shell command line, as words; `$IFACE` is the interface.
pub fn commands(line: &str, iface: &str) -> Vec<Vec<String>> {
    line.split(['|', '&', ';', '(', ')', '\n'])
        .map(|command| {
            command
                .split_whitespace()
                .map(|word| word.replace("${IFACE}", iface).replace("$IFACE", iface))
                .map(|word| word.trim_matches(['"', '\'', '{', '}']).to_owned())
                .filter(|word| !word.is_empty())
                .collect()
        })
        .filter(|words: &Vec<String>| !words.is_empty())
        .collect()
}

/// The arguments of a program, wherever it stands in a simple command.
pub fn arguments<'a>(command: &'a [String], program: &str) -> Option<Vec<&'a str>> {
    let at = command
        .iter()
        .position(|word| word.rsplit('/').next() == Some(program))?;
    Some(command[at + 1..].iter().map(String::as_str).collect())
}

/// What a command line of the definition of `iface` says.
pub fn relations(line: &str, iface: &str) -> Vec<Relation> {
    let mut relations = Vec::new();
    for command in commands(line, iface) {
        if let Some(args) = arguments(&command, "ip") {
            link(&args, &mut relations);
        }
        if let Some(args) = arguments(&command, "brctl")
            && let ["addif", bridge, ports @ ..] = args.as_slice()
        {
            relations.extend(ports.iter().map(|port| stacks(bridge, port)));
        }
        if let Some(args) = arguments(&command, "ifenslave")
            && let Some((bond, ports)) = split_first_name(&args)
        {
            relations.extend(ports.map(|port| stacks(bond, port)));
        }
        if let Some(args) = arguments(&command, "vconfig")
            && let ["add", lower, id] = args.as_slice()
        {
            relations.push(stacks(&format!("{lower}.{id}"), lower));
            relations.push(stacks(&format!("vlan{id}"), lower));
        }
        if let Some(args) = arguments(&command, "tunctl")
            && let Some(at) = args.iter().position(|arg| *arg == "-t")
            && let Some(name) = args.get(at + 1)
        {
            relations.push(Relation::Makes((*name).to_owned()));
        }
    }
    relations
}

/// `ip link add … type …`, `ip link set … master …`, `ip tuntap add …`, `ip tunnel add …`.
fn link(args: &[&str], relations: &mut Vec<Relation>) {
    let options = args.iter().take_while(|arg| arg.starts_with('-')).count();
    let [object, verb, settings @ ..] = &args[options..] else {
        return;
    };
    // Behind `type` stands what only that type knows: `type vxlan id 1 dev eth0`.
    let typed = settings.iter().position(|word| *word == "type");
    let (settings, of_type) = settings.split_at(typed.unwrap_or(settings.len()));
    let named = value_of(settings, "name")
        .or_else(|| value_of(settings, "dev"))
        .or_else(|| {
            let keywords = ["link", "mode", "tun", "tap"];
            settings
                .iter()
                .find(|word| !keywords.contains(*word))
                .copied()
        });
    let Some(name) = named else {
        return;
    };
    match (*object, *verb) {
        ("link" | "l", "add" | "a") => {
            let lower = value_of(settings, "link").or_else(|| value_of(of_type, "dev"));
            relations.push(match lower {
                Some(lower) => stacks(name, lower),
                None => Relation::Makes(name.to_owned()),
            });
        }
        ("link" | "l", "set" | "s") => {
            if let Some(upper) = value_of(settings, "master") {
                relations.push(stacks(upper, name));
            }
        }
        ("tuntap" | "tunnel" | "tun", "add" | "a") => {
            relations.push(Relation::Makes(name.to_owned()));
        }
        _ => {}
    }
}

/// The word behind a keyword.
fn value_of<'a>(words: &[&'a str], keyword: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| *word == keyword)?;
    words.get(at + 1).copied()
}

fn stacks(upper: &str, lower: &str) -> Relation {
    Relation::Stacks(upper.to_owned(), lower.to_owned())
}

fn split_first_name<'a>(args: &'a [&'a str]) -> Option<(&'a str, impl Iterator<Item = &'a str>)> {
    let mut names = args.iter().copied().filter(|arg| !arg.starts_with('-'));
    Some((names.next()?, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_nics() {
        for name in [
            "eth0",
            "eth0.100",
            "eth1:0",
            "ens3",
            "enp0s31f6",
            "eno1",
            "enx0200170a0b0c",
            "em1",
            "p1p2",
        ] {
            assert!(looks_ethernet(name), "{name}");
        }
        for name in [
            "eth", "enable", "end", "lo", "wlan0", "br0", "emerge", "p1", "10.0.0.1", "ethernet",
        ] {
            assert!(!looks_ethernet(name), "{name}");
        }
    }

    #[test]
    fn commands_tell_what_lies_on_what() {
        for (line, expected) in [
            (
                "brctl addif br0 eth0 eth1 || true",
                vec![("br0", "eth0"), ("br0", "eth1")],
            ),
            (
                "/sbin/ip link set dev eth0 master $IFACE",
                vec![("me", "eth0")],
            ),
            (
                "ip link add link eth0 name mv0 type macvlan",
                vec![("mv0", "eth0")],
            ),
            (
                "ip link add mv0 link eth0 type macvlan",
                vec![("mv0", "eth0")],
            ),
            (
                "ip link add link eth0 dev mv0 type macvlan",
                vec![("mv0", "eth0")],
            ),
            (
                "ip -d link add vx1 type vxlan id 1 dev eth0",
                vec![("vx1", "eth0")],
            ),
            (
                "test -e x && vconfig add eth0 5",
                vec![("eth0.5", "eth0"), ("vlan5", "eth0")],
            ),
            ("ifenslave -f bond0 eth0", vec![("bond0", "eth0")]),
            ("ip link add ${IFACE} type dummy", vec![("me", "")]),
            ("ip tuntap add mode tap tap0", vec![("tap0", "")]),
            ("tunctl -u x -t tap1", vec![("tap1", "")]),
            ("ip link set eth0 up", vec![]),
            ("echo ip", vec![]),
        ] {
            let expected: Vec<Relation> = expected
                .into_iter()
                .map(|(upper, lower)| match lower {
                    "" => Relation::Makes(upper.to_owned()),
                    lower => stacks(upper, lower),
                })
                .collect();
            assert_eq!(relations(line, "me"), expected, "{line}");
        }
    }
}
