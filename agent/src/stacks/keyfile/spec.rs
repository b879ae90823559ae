//! Lists that select devices: section "Device List Format" of `NetworkManager.conf(5)`.

use crate::parse::glob;

/// The drivers of OCI's NICs.
const DRIVERS: [&str; 2] = ["virtio_net", "mlx5_core"];

/// Whether a list selects the one Ethernet NIC under one of these names at least.
pub fn selects_any<'a>(specs: &(impl Iterator<Item = &'a str> + Clone), nics: &[&str]) -> bool {
    nics.iter().any(|nic| selects(specs.clone(), nic))
}

/// Whether a list selects the NIC: an item does and no exception does. A list of nothing but
/// exceptions selects all the rest.
fn selects<'a>(specs: impl Iterator<Item = &'a str>, nic: &str) -> bool {
    let (mut selected, mut positive, mut excepting) = (false, false, false);
    for spec in specs {
        if let Some(spec) = spec.strip_prefix("except:") {
            if is_met(spec, nic) {
                return false;
            }
            excepting = true;
        } else {
            positive = true;
            selected |= is_met(spec, nic);
        }
    }
    selected || (excepting && !positive)
}

/// Whether an item is about the NIC. Its MAC is not known, so that none is.
fn is_met(spec: &str, nic: &str) -> bool {
    if let Some(name) = spec.strip_prefix("interface-name:") {
        return match name.strip_prefix('=') {
            Some(exact) => exact == nic,
            None => glob::matches(name.strip_prefix('~').unwrap_or(name), nic),
        };
    }
    if let Some(driver) = spec.strip_prefix("driver:") {
        return DRIVERS.contains(&driver.split('/').next().unwrap_or_default());
    }
    spec == "*" || spec == "type:ethernet" || spec == nic
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::keyfile::items;

    #[test]
    fn lists_select_the_nic() {
        for (list, expected) in [
            ("*", true),
            ("", false),
            ("*,except:type:wifi,except:type:gsm", true),
            ("*,except:type:wifi,except:type:ethernet", false),
            ("except:type:wifi", true),
            ("except:interface-name:e*", false),
            ("interface-name:eth0", true),
            ("interface-name:=eth*;docker0", false),
            ("interface-name:~ens?", true),
            ("eth0", true),
            ("mac:52:54:00:12:34:56;interface-name:docker*", false),
            ("driver:virtio_net/1", true),
            ("type:bridge", false),
        ] {
            assert_eq!(
                selects_any(&items(list), &["eth0", "ens3"]),
                expected,
                "{list}"
            );
        }
    }
}
