//! Literal MAC addresses in a line of text.
//!
//! Six octets (Ethernet) or twenty (IP over InfiniBand, RFC 4391), in hexadecimal of either case,
//! between `:` or `-`, or in Cisco's form `0011.2233.4455`. All zeros and all ones are no one's
//! address and are passed over, and so are IPv6 addresses, UUIDs and longer fingerprints.

use std::net::Ipv6Addr;
use std::ops::Range;

/// The number of octets in an Ethernet address.
const ETHERNET: usize = 6;
/// The number of octets in an IP over InfiniBand address.
const INFINIBAND: usize = 20;

/// The byte ranges of the MAC addresses in a line, in order. In `01-52-54-…`, a hardware type
/// before the address (RFC 2132, section 9.14; PXE's `BOOTIF`), only the address counts.
pub fn find(line: &str) -> Vec<Range<usize>> {
    let words = words(line);
    let mut found = Vec::new();
    for separator in [":", "-"] {
        for chain in chains(line, &words, separator) {
            find_octets(line, chain, separator, &mut found);
        }
    }
    for chain in chains(line, &words, ".") {
        if chain.len() == 3 && chain.iter().all(|word| is_hex(&line[word.clone()], 4..=4)) {
            found.push(span(chain));
        }
    }
    found.retain(|range| !is_nobody(&line[range.clone()]));
    found.sort_by_key(|range| range.start);
    found
}

/// The byte ranges of addresses written as twelve hexadecimal digits, with or without `0x`: to be
/// asked only where nothing but an address can stand.
pub fn find_bare(line: &str) -> Vec<Range<usize>> {
    words(line)
        .into_iter()
        .filter_map(|word| {
            let text = &line[word.clone()];
            let prefix = if text.starts_with("0x") { 2 } else { 0 };
            (is_hex(&text[prefix..], 12..=12) && !is_nobody(&text[prefix..])).then_some(word)
        })
        .collect()
}

/// Whether a value holds three neighbouring octets at least: an address, or a pattern for some,
/// such as `00:0c:29:*`.
pub fn is_partial(value: &str) -> bool {
    let words = words(value);
    [":", "-"].iter().any(|separator| {
        chains(value, &words, separator).iter().any(|chain| {
            runs(value, chain)
                .iter()
                .any(|run| run.len() >= 3 && !is_nobody(&value[span(run)]))
        })
    })
}

/// The runs of letters and digits.
fn words(line: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, c) in line.char_indices() {
        match (c.is_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                words.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    words.extend(start.map(|from| from..line.len()));
    words
}

/// The longest sequences of words with exactly one separator between each two.
fn chains<'a>(line: &str, words: &'a [Range<usize>], separator: &str) -> Vec<&'a [Range<usize>]> {
    words
        .chunk_by(|left, right| &line[left.end..right.start] == separator)
        .collect()
}

/// The longest sequences of octets in a chain: one or two digits each.
fn runs<'a>(line: &str, chain: &'a [Range<usize>]) -> Vec<&'a [Range<usize>]> {
    let octet = |word: &Range<usize>| is_hex(&line[word.clone()], 1..=2);
    chain
        .chunk_by(|left, right| octet(left) == octet(right))
        .filter(|run| octet(&run[0]))
        .collect()
}

fn find_octets(line: &str, chain: &[Range<usize>], separator: &str, found: &mut Vec<Range<usize>>) {
    for run in runs(line, chain) {
        let typed = line.get(run[0].clone()) == Some("01");
        let address = match run.len() {
            ETHERNET | INFINIBAND => run,
            7 if typed => &run[1..],
            _ => continue,
        };
        // `1-2-3-4-5-6` is a version or a date; those who write `-` write both digits.
        let loose = address.iter().any(|octet| octet.len() == 1);
        let dated = separator == "-"
            && run.len() < chain.len()
            && chain.iter().all(|word| is_hex(&line[word.clone()], 1..=8));
        if (separator == "-" && loose) || dated {
            continue;
        }
        let range = span(address);
        if !is_in_ipv6(line, &range) {
            found.push(range);
        }
    }
}

/// Whether the digits and colons around a range are an IPv6 address.
fn is_in_ipv6(line: &str, range: &Range<usize>) -> bool {
    let part = |c: &char| c.is_ascii_hexdigit() || *c == ':';
    // The longest IPv6 address has 39 characters; there is no need to look further.
    let before = line[..range.start]
        .chars()
        .rev()
        .take(40)
        .take_while(part)
        .count();
    let after = line[range.end..].chars().take(40).take_while(part).count();
    let (start, end) = (range.start - before, range.end + after);
    let glued = line[..start].ends_with(char::is_alphanumeric)
        || line[end..].starts_with(char::is_alphanumeric);
    !glued && line[start..end].parse::<Ipv6Addr>().is_ok()
}

fn span(words: &[Range<usize>]) -> Range<usize> {
    match (words.first(), words.last()) {
        (Some(first), Some(last)) => first.start..last.end,
        _ => 0..0,
    }
}

fn is_hex(word: &str, digits: std::ops::RangeInclusive<usize>) -> bool {
    digits.contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_nobody(address: &str) -> bool {
    let mut digits = address.chars().filter(char::is_ascii_hexdigit);
    let Some(first) = digits.next() else {
        return true;
    };
    matches!(first, '0' | 'f' | 'F') && digits.all(|digit| digit.eq_ignore_ascii_case(&first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(line: &str) -> Vec<&str> {
        find(line).into_iter().map(|range| &line[range]).collect()
    }

    #[test]
    fn addresses_are_found() {
        let infiniband = "a0:00:02:20:fe:80:00:00:00:00:00:00:ec:0d:9a:03:00:15:e2:c1";
        for (line, expected) in [
            ("hwaddress ether 52:54:00:12:34:56", "52:54:00:12:34:56"),
            ("hwaddress AA:bb:CC:dd:EE:0f # x", "AA:bb:CC:dd:EE:0f"),
            ("ATTR{address}==\"0:c:29:ab:cd:ef\"", "0:c:29:ab:cd:ef"),
            ("BOOTIF=01-52-54-00-12-34-56", "52-54-00-12-34-56"),
            ("ifname=eth0:52:54:00:12:34:56", "52:54:00:12:34:56"),
            (
                "ip=::::h:eth0:dhcp:1500:52:54:00:12:34:56",
                "52:54:00:12:34:56",
            ),
            ("ip=dhcp::52:54:00:12:34:56", "52:54:00:12:34:56"),
            (
                "send dhcp-client-identifier 01:52:54:00:12:34:56;",
                "52:54:00:12:34:56",
            ),
            ("mac 0011.22aB.4455", "0011.22aB.4455"),
            (infiniband, infiniband),
            ("gr\u{fc}n=52:54:00:12:34:56", "52:54:00:12:34:56"),
        ] {
            assert_eq!(found(line), [expected], "{line}");
        }
    }

    #[test]
    fn other_text_is_passed_over() {
        for line in [
            "",
            "00:00:00:00:00:00",
            "ff:FF:ff:ff:ff:ff",
            "address 2001::52:54:00:12:34:56",
            "address fe80:aa:bb:cc:dd:ee:ff:1",
            "52:54:00:12:34",
            "16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48",
            "uuid 2cdc4d9a-21b5-4e4f-9f0e-0123456789ab",
            "2024-01-02-03-04-05-06",
            "10.0.0.1 255.255.255.0",
            "1.2.3.4.5.6",
            "12:34:56",
            "zz:54:00:12:34:56",
            "0011.2233.4455.6677",
        ] {
            assert_eq!(found(line), Vec::<&str>::new(), "{line}");
        }
    }

    #[test]
    fn bare_and_partial_addresses() {
        assert_eq!(find_bare("hwaddress 525400123456"), vec![10..22]);
        assert_eq!(find_bare("0x525400123456"), vec![0..14]);
        assert!(find_bare("000000000000 5254001234567").is_empty());
        for (value, expected) in [
            ("00:0c:29:*", true),
            ("?*ec:0d:9a:03:00:15:e2:c1", true),
            ("?*", false),
            ("?[2367abef]:*", false),
            ("00:00:00:00:00:00", false),
        ] {
            assert_eq!(is_partial(value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn ranges_are_in_the_text(line in "\\PC*|[0-9a-f:.-]{0,80}") {
            for range in find(&line).into_iter().chain(find_bare(&line)) {
                prop_assert!(line.get(range).is_some());
            }
        }

        #[test]
        fn every_address_is_found(octets in any::<[u8; 6]>(), upper: bool) {
            prop_assume!(octets != [0; 6] && octets != [0xff; 6]);
            let mut mac: Vec<String> = octets.iter().map(|o| format!("{o:02x}")).collect();
            if upper {
                mac = mac.iter().map(|o| o.to_uppercase()).collect();
            }
            for separator in [":", "-"] {
                let mac = mac.join(separator);
                let line = format!("x {mac} y");
                prop_assert_eq!(found(&line), vec![mac.as_str()]);
            }
        }
    }
}
