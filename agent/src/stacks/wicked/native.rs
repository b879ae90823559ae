//! wicked's own configuration in XML: wicked-config(5), and descriptions of interfaces.

use crate::error::Error;
use crate::guest::Guest;
use crate::parse::xml::{self, Element};
use crate::root::GuestPath;

/// Where it is.
const DIR: &str = "/etc/wicked";
/// Where the descriptions of interfaces are.
const INTERFACES: &str = "/etc/wicked/ifconfig";

/// An XML file of wicked's.
#[derive(Debug)]
pub struct Document {
    /// Where it is.
    pub path: GuestPath,
    /// Its text.
    pub text: String,
    /// Its roots; none where it is not well-formed.
    pub roots: Vec<Element>,
    /// Whether it describes interfaces.
    pub describes_interfaces: bool,
}

impl Document {
    /// The descriptions of interfaces in it.
    pub fn interfaces(&self) -> impl Iterator<Item = &Element> {
        let roots = self.roots.iter().filter(|_| self.describes_interfaces);
        roots
            .flat_map(|root| std::iter::once(root).chain(&root.children))
            .filter(|element| element.name == "interface")
    }

    /// The name of the interface that an element describes; empty where it goes by something else,
    /// such as its MAC.
    pub fn name_of(&self, interface: &Element) -> String {
        let name = interface.child("name");
        name.map(|name| name.text(&self.text)).unwrap_or_default()
    }

    /// Every element.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.roots.iter().flat_map(Element::all)
    }

    /// What an element says by itself: its first tag and its own text.
    pub fn says(&self, element: &Element) -> String {
        format!(
            "{}{}",
            &self.text[element.tag.clone()],
            element.text(&self.text)
        )
    }

    /// The line that an element begins on, from 1.
    pub fn line(&self, element: &Element) -> usize {
        self.text[..element.range.start].matches('\n').count() + 1
    }
}

/// Every file, in the order of the paths.
///
/// # Errors
///
/// The guest could not be read.
pub fn read_all(guest: &Guest<'_>) -> Result<Vec<Document>, Error> {
    let mut documents = Vec::new();
    for path in guest.walk(&DIR.into())? {
        if !path.has_suffix(".xml") {
            continue;
        }
        if let Some(text) = guest.text(&path)? {
            let text = text.as_str().to_owned();
            documents.push(Document {
                describes_interfaces: path.is_below(&INTERFACES.into()),
                roots: xml::parse(&text).unwrap_or_default(),
                path,
                text,
            });
        }
    }
    Ok(documents)
}
