//! Identities and leases of wicked's DHCP clients.
//!
//! wicked makes `duid.xml` and `iaid.xml` anew, by default from the MAC that the NIC then has.

use super::globals::{self, CLIENT_IDS};
use super::native::Document;
use super::profile::Profile;
use super::{Config, remove_elements};
use crate::error::Error;
use crate::finding::Defect;
use crate::guest::Guest;
use crate::parse::edit::{self, Edit};
use crate::parse::xml::Element;
use crate::root::GuestPath;

/// Where wicked keeps its state.
const STATE: &str = "/var/lib/wicked";

/// What is wrong.
///
/// # Errors
///
/// The guest could not be read.
pub fn check(guest: &Guest<'_>) -> Result<Vec<Defect>, Error> {
    let config = Config::read(guest)?;
    let mut defects: Vec<Defect> = state(guest)?
        .iter()
        .map(|path| {
            Defect::in_file(path, "a DHCP client's lease or identity")
                .hint("remove the file; wicked makes it anew")
        })
        .collect();
    let told = |path: &GuestPath| {
        Defect::in_file(path, "wicked tells the DHCP server an identity").hint("remove it")
    };
    for profile in &config.profiles {
        let found = profile.with_prefix(&CLIENT_IDS);
        defects.extend(found.map(|found| {
            told(&profile.path)
                .at_line(found.line)
                .evidence(profile.line(found))
        }));
    }
    for globals in globals::read_all(guest)? {
        let found = globals.client_ids().into_iter();
        defects.extend(found.map(|found| {
            told(&globals.path)
                .at_line(found.line)
                .evidence(globals.line(found))
        }));
    }
    for document in &config.documents {
        defects.extend(identities(document).into_iter().map(|element| {
            told(&document.path)
                .at_line(document.line(element))
                .evidence(format!("<{}>", element.name))
        }));
    }
    Ok(defects)
}

/// Drafts what puts it right.
///
/// # Errors
///
/// The guest could not be read.
pub fn fix(guest: &mut Guest<'_>) -> Result<(), Error> {
    let config = Config::read(guest)?;
    for path in state(guest)? {
        guest.remove(&path)?;
    }
    for profile in &config.profiles {
        fix_profile(guest, profile)?;
    }
    for globals in globals::read_all(guest)? {
        globals.empty(guest, &globals.client_ids())?;
    }
    for document in &config.documents {
        let ranges = identities(document)
            .into_iter()
            .map(|element| element.range.clone());
        remove_elements(guest, document, ranges.collect())?;
    }
    Ok(())
}

fn fix_profile(guest: &mut Guest<'_>, profile: &Profile) -> Result<(), Error> {
    let edits: Vec<Edit> = profile
        .with_prefix(&CLIENT_IDS)
        .map(|found| Edit::remove(found.lines.clone()))
        .collect();
    if edits.is_empty() {
        return Ok(());
    }
    guest.write_text(&profile.path, &edit::apply(&profile.text, edits))
}

/// The files of identities and leases.
fn state(guest: &Guest<'_>) -> Result<Vec<GuestPath>, Error> {
    let mut files = guest.list(&STATE.into())?;
    files.retain(|path| {
        let name = path.name().to_string_lossy();
        let lease = name.starts_with("lease-") && name.ends_with(".xml");
        lease || matches!(&*name, "duid.xml" | "iaid.xml")
    });
    Ok(files)
}

/// The elements that say who the client is. `<default-duid>` may also only say how a DUID is made,
/// which differs from one instance to the other.
fn identities(document: &Document) -> Vec<&Element> {
    let literal = |element: &Element| {
        matches!(
            element.name.as_str(),
            "client-id" | "default-duid" | "address" | "identifier" | "uuid"
        ) && !element.text(&document.text).is_empty()
    };
    document
        .elements()
        .filter(|element| match element.name.as_str() {
            "client-id" => literal(element),
            "default-duid" => element.all().into_iter().any(literal),
            _ => false,
        })
        .collect()
}
