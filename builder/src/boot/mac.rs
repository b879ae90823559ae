//! Ethernet addresses (IEEE 802, EUI-48).

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

/// How the MAC address of every virtual NIC in OCI begins.
const OCI_PREFIX: [u8; 3] = [0x02, 0x00, 0x17];

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// An address as OCI would give it, with random last three bytes: one the guest never saw.
    ///
    /// # Errors
    ///
    /// The system has no source of randomness.
    pub fn fresh() -> io::Result<Self> {
        let mut random = [0; 3];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let [a, b, c] = OCI_PREFIX;
        let [d, e, f] = random;
        Ok(Self([a, b, c, d, e, f]))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Mac {
    fn schema_name() -> Cow<'static, str> {
        "Mac".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_addresses_are_local_unicast_and_differ() {
        let (one, two) = (Mac::fresh().unwrap(), Mac::fresh().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.0[0] & 0b11, 0b10, "locally administered, unicast");
        assert!(one.to_string().starts_with("02:00:17:"), "{one}");
    }
}
