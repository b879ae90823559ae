//! The menu that a configuration makes, and the entry that starts by itself.

use byoi_agent::error::Error;

use super::machine::{Action, Item, Machine};
use super::world::{FileName, World};

/// How deep submenus may be nested, and how many entries are looked into.
const MAX_DEPTH: usize = 6;
const MAX_ENTRIES: usize = 500;

/// What a configuration offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Menu {
    /// The entries, those of submenus among them, in order.
    pub entries: Vec<Entry>,
    /// The index of the entry that starts by itself.
    pub default: Option<usize>,
    /// The default that the configuration asks for and that is not there; GRUB takes the first
    /// entry then.
    pub missing_default: Option<String>,
    /// Where the configuration has a syntax error: file and line.
    pub fault: Option<(FileName, usize)>,
    /// Whether the script would have gone on for longer than is looked at.
    pub endless: bool,
}

/// An entry and what it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// What the menu shows.
    pub title: String,
    /// The file that the entry is in.
    pub file: FileName,
    /// The line that names the kernel, from 1; 0 where none does.
    pub line: usize,
    /// The kernel.
    pub kernel: Option<FileName>,
    /// What it is given for a ramdisk, in order.
    pub initramfs: Vec<FileName>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Whether another boot loader is started.
    pub chained: bool,
}

/// Runs a configuration, after a text that the core image brings where it brings one.
/// `prefix` is where GRUB has its files.
///
/// # Errors
///
/// The guest could not be read.
pub fn run(
    world: &dyn World,
    prefix: &FileName,
    embedded: Option<&str>,
) -> Result<(FileName, Option<Menu>), Error> {
    let mut machine = Machine::new(world, &prefix.device, &prefix.to_string());
    if let Some(text) = embedded {
        machine.run_text(text)?;
    }
    let prefix = FileName::parse(machine.get("prefix"), machine.get("root"));
    let config = format!("{prefix}/grub.cfg");
    if machine.items.is_empty() && !machine.source(&config)? {
        return Ok((prefix, None));
    }
    let mut menu = Menu {
        endless: machine.is_spent(),
        fault: machine
            .fault
            .take()
            .map(|(file, line)| (FileName::clone(&file), line)),
        ..Menu::default()
    };
    let wanted = machine.get("default").to_owned();
    let items = std::mem::take(&mut machine.items);
    machine.refill();
    collect(&machine, &items, Some(&wanted), 0, &mut menu)?;
    Ok((prefix, Some(menu)))
}

/// Adds items to a menu and says what is left of the machine's budget. `wanted` is what the default
/// of this level is called, on the way to it.
fn collect(
    machine: &Machine<'_>,
    items: &[Item],
    wanted: Option<&str>,
    depth: usize,
    menu: &mut Menu,
) -> Result<usize, Error> {
    let chosen = wanted.map(|wanted| choose(items, wanted));
    if let (Some(None), Some(wanted)) = (&chosen, wanted)
        && !wanted.is_empty()
        && menu.missing_default.is_none()
    {
        menu.missing_default = Some(wanted.to_owned());
    }
    let chosen = chosen.map(|chosen| chosen.unwrap_or((0, "")));
    let mut left = machine.budget();
    for (index, item) in items.iter().enumerate() {
        let Some(budget) = left.checked_sub(machine.weight()) else {
            menu.endless = true;
            break;
        };
        if menu.entries.len() >= MAX_ENTRIES {
            break;
        }
        let mut inner = machine.clone();
        inner.spend_to(budget);
        inner.run_item(item)?;
        left = inner.budget();
        let rest = chosen.and_then(|(chosen, rest)| (chosen == index).then_some(rest));
        if let Action::Submenu(_) = item.action {
            let below = std::mem::take(&mut inner.items);
            if depth < MAX_DEPTH {
                left = collect(&inner, &below, rest, depth + 1, menu)?;
            }
            continue;
        }
        if rest.is_some() {
            menu.default = Some(menu.entries.len());
        }
        let loaded = inner.loaded;
        menu.entries.push(Entry {
            title: item.title.clone(),
            file: FileName::clone(&item.file),
            line: loaded.line,
            kernel: loaded.kernel,
            initramfs: loaded.initramfs,
            args: loaded.args,
            chained: loaded.chained,
        });
    }
    Ok(left)
}

/// The item that `wanted` means, and what is left of it for a submenu: `ID>ID`, `1>2`, a title. A
/// `>` in a title is doubled.
fn choose<'a>(items: &[Item], wanted: &'a str) -> Option<(usize, &'a str)> {
    if wanted.is_empty() {
        return (!items.is_empty()).then_some((0, ""));
    }
    for (index, item) in items.iter().enumerate() {
        for name in [item.id.as_deref(), Some(&item.title)]
            .into_iter()
            .flatten()
        {
            if wanted == name {
                return Some((index, ""));
            }
            if let Some(rest) = wanted
                .strip_prefix(name)
                .or_else(|| wanted.strip_prefix(&name.replace('>', ">>")))
            {
                match rest.strip_prefix('>') {
                    Some(rest) => return Some((index, rest)),
                    None if rest.is_empty() => return Some((index, "")),
                    None => {}
                }
            }
        }
    }
    let (number, rest) = wanted.split_once('>').unwrap_or((wanted, ""));
    let number: usize = number.trim().parse().ok()?;
    (number < items.len()).then_some((number, rest))
}
