//! The configuration of Syslinux and Extlinux.
//!
//! Source: `doc/syslinux.txt` and `doc/menu.txt` of Syslinux 6.

use byoi_agent::error::Error;

use super::script::{Entry, FileName, Menu, World};

/// The most entries, and included files, that are looked at.
const MAX_ENTRIES: usize = 500;
const MAX_INCLUDES: usize = 64;
const MAX_DEPTH: usize = 8;

/// Reads a configuration and what it includes.
///
/// # Errors
///
/// The guest could not be read.
pub fn read(world: &dyn World, file: &FileName) -> Result<Option<Menu>, Error> {
    let Some(text) = world.read(file)? else {
        return Ok(None);
    };
    let mut reader = Reader {
        world,
        dir: file
            .path
            .rsplit_once('/')
            .map_or("", |(dir, _)| dir)
            .to_owned(),
        labels: Vec::new(),
        menu: Menu::default(),
        default: None,
        menu_default: None,
        uses_menu: false,
        includes: 0,
    };
    reader.read(&String::from_utf8_lossy(&text), file, 0)?;
    Ok(Some(reader.finish()))
}

struct Reader<'w> {
    world: &'w dyn World,
    dir: String,
    /// What `DEFAULT` calls the entries.
    labels: Vec<String>,
    menu: Menu,
    default: Option<String>,
    menu_default: Option<usize>,
    uses_menu: bool,
    includes: usize,
}

impl Reader<'_> {
    fn read(&mut self, text: &str, file: &FileName, depth: usize) -> Result<(), Error> {
        for (number, line) in (1..).zip(text.lines()) {
            let mut words = line.split_whitespace();
            let Some(keyword) = words.next() else {
                continue;
            };
            let rest = line.trim_start()[keyword.len()..].trim();
            match keyword.to_ascii_lowercase().as_str() {
                "default" => self.default = Some(rest.to_owned()),
                "ui" => self.uses_menu = true,
                "include" => self.include(rest, file, depth)?,
                "menu" => self.menu_keyword(rest, file, depth)?,
                "label" if self.menu.entries.len() < MAX_ENTRIES => {
                    self.labels.push(rest.to_owned());
                    self.menu.entries.push(Entry {
                        title: rest.to_owned(),
                        file: file.clone(),
                        ..Entry::default()
                    });
                }
                "kernel" | "linux" | "boot" | "com32" | "localboot" => {
                    let kernel = self.path(rest.split_whitespace().next().unwrap_or(rest), file);
                    let is_other = keyword.eq_ignore_ascii_case("com32")
                        || keyword.eq_ignore_ascii_case("localboot")
                        || [".c32", ".0", ".bin", ".bss", ".com"]
                            .iter()
                            .any(|suffix| kernel.path.ends_with(suffix));
                    if let Some(entry) = self.menu.entries.last_mut() {
                        entry.line = number;
                        entry.chained = is_other;
                        entry.kernel = (!is_other).then_some(kernel);
                    }
                }
                "initrd" => self.initramfs(rest, file),
                "append" => {
                    let images = rest
                        .split_whitespace()
                        .find_map(|arg| arg.strip_prefix("initrd="));
                    if let Some(images) = images {
                        self.initramfs(images, file);
                    }
                    if let Some(entry) = self.menu.entries.last_mut() {
                        entry.args = rest.split_whitespace().map(str::to_owned).collect();
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn menu_keyword(&mut self, rest: &str, file: &FileName, depth: usize) -> Result<(), Error> {
        let (keyword, value) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        match keyword.to_ascii_lowercase().as_str() {
            "default" => self.menu_default = self.menu.entries.len().checked_sub(1),
            "include" => self.include(value.trim(), file, depth)?,
            "label" => {
                if let Some(entry) = self.menu.entries.last_mut() {
                    entry.title = value.trim().replace('^', "");
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn include(&mut self, name: &str, from: &FileName, depth: usize) -> Result<(), Error> {
        let name = name.split_whitespace().next().unwrap_or_default();
        self.includes += 1;
        if name.is_empty() || depth >= MAX_DEPTH || self.includes > MAX_INCLUDES {
            return Ok(());
        }
        let file = self.path(name, from);
        match self.world.read(&file)? {
            Some(text) => self.read(&String::from_utf8_lossy(&text), &file, depth + 1),
            None => Ok(()),
        }
    }

    fn initramfs(&mut self, names: &str, file: &FileName) {
        let names = names.split(',').map(str::trim);
        let files: Vec<FileName> = names
            .filter(|name| !name.is_empty())
            .map(|name| self.path(name, file))
            .collect();
        if let Some(entry) = self.menu.entries.last_mut() {
            entry.initramfs = files;
        }
    }

    /// A path that is not absolute begins where the first configuration is.
    fn path(&self, name: &str, file: &FileName) -> FileName {
        FileName {
            device: file.device.clone(),
            path: if name.starts_with('/') {
                name.to_owned()
            } else {
                format!("{}/{name}", self.dir)
            },
        }
    }

    fn finish(mut self) -> Menu {
        let by_label = self.default.as_deref().and_then(|default| {
            let label = default.split_whitespace().next()?;
            self.uses_menu |= label.ends_with(".c32");
            self.labels.iter().position(|other| other == label)
        });
        let first = (!self.menu.entries.is_empty()).then_some(0);
        self.menu.default = if self.uses_menu {
            self.menu_default.or(by_label).or(first)
        } else {
            by_label
        };
        if self.menu.default.is_none() {
            self.menu.missing_default = self.default.take();
        }
        self.menu
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::tests::Disk;
    use super::*;

    fn shown(files: &[(&str, &str)]) -> String {
        let file = FileName::parse("(hd0,msdos1)/extlinux/extlinux.conf", "");
        let menu = read(&Disk::new(files), &file).unwrap().unwrap();
        let Some(entry) = menu.default.and_then(|index| menu.entries.get(index)) else {
            return format!("{:?} of {}", menu.missing_default, menu.entries.len());
        };
        let kernel = entry.kernel.as_ref().map(ToString::to_string);
        let images: Vec<String> = entry.initramfs.iter().map(ToString::to_string).collect();
        format!(
            "{}:{} {} {} {}",
            entry.title,
            entry.line,
            kernel.unwrap_or_default(),
            images.join(","),
            entry.args.join(" ")
        )
    }

    const FILE: &str = "/extlinux/extlinux.conf";
    const ENTRIES: &str = "LABEL one\n KERNEL /vmlinuz-lts\n INITRD /ucode.img,/initramfs-lts\n \
                           APPEND root=x\nlabel two\n menu label ^Two\n linux ../v\n \
                           append initrd=../i ro\n menu default\n";

    #[test]
    fn the_default_is_a_label_or_marked_in_the_menu() {
        let one = "one:4 (hd0,msdos1)/vmlinuz-lts \
                   (hd0,msdos1)/ucode.img,(hd0,msdos1)/initramfs-lts root=x";
        let two = "Two:9 (hd0,msdos1)/extlinux/../v (hd0,msdos1)/extlinux/../i initrd=../i ro";
        for (head, expected) in [
            ("DEFAULT one\nTIMEOUT 10\n", one),
            ("DEFAULT menu.c32\nTIMEOUT 10\n", two),
            ("UI vesamenu.c32\nDEFAULT one\n", two),
            ("DEFAULT three\nx\n", "Some(\"three\") of 2"),
        ] {
            assert_eq!(
                shown(&[(FILE, &format!("{head}{ENTRIES}"))]),
                expected,
                "{head}"
            );
        }
    }

    #[test]
    fn included_files_are_read_and_loops_end() {
        let more = "INCLUDE extlinux.conf\nLABEL a\nKERNEL /v\n";
        let main = "DEFAULT a\nMENU INCLUDE more.conf\n";
        let files = [(FILE, main), ("/extlinux/more.conf", more)];
        assert!(shown(&files).starts_with("a:3 (hd0,msdos1)/v"));
    }
}
