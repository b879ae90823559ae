//! The command `blscfg`: entry files as a menu.

use std::rc::Rc;

use byoi_agent::error::Error;

use super::bls::{Snippet, version_cmp};
use super::machine::{Action, FILE_COST, Item, Loaded, Machine};
use super::world::FileName;

impl Machine<'_> {
    /// Makes menu entries of the files in `/loader/entries` of the boot device, or where a
    /// directory `/boot` is on the root device, of those below it; the newest first.
    pub(super) fn blscfg(&mut self) -> Result<bool, Error> {
        let devices = [self.get("boot").to_owned(), self.get("root").to_owned()];
        let dirs = [
            self.get("blsdir").to_owned(),
            "/loader/entries".to_owned(),
            "/boot/loader/entries".to_owned(),
        ];
        for device in devices.iter().filter(|device| !device.is_empty()) {
            for dir in dirs.iter().filter(|dir| !dir.is_empty()) {
                let found = self.snippets(device, dir)?;
                if !found.is_empty() {
                    self.items.extend(found);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn snippets(&mut self, device: &str, dir: &str) -> Result<Vec<Item>, Error> {
        let dir = FileName::parse(dir, device);
        if !self.pay(FILE_COST) {
            return Ok(Vec::new());
        }
        let mut names: Vec<String> = self.world.list(&dir)?;
        names.retain(|name| name.ends_with(".conf") && !name.starts_with('.'));
        names.sort_by(|left, right| version_cmp(right, left).then_with(|| right.cmp(left)));
        let mut items = Vec::new();
        for name in names {
            let file = FileName {
                device: dir.device.clone(),
                path: format!("{}/{name}", dir.path),
            };
            let Some(content) = self.read(&file.to_string())? else {
                continue;
            };
            let id = name.trim_end_matches(".conf");
            let snippet = Snippet::parse(id, &String::from_utf8_lossy(&content));
            if snippet.linux.is_none() {
                continue;
            }
            items.push(Item {
                title: if snippet.title.is_empty() {
                    id.to_owned()
                } else {
                    snippet.title.clone()
                },
                id: Some(id.to_owned()),
                action: Action::Snippet(Rc::new(snippet)),
                file: Rc::new(file),
            });
        }
        Ok(items)
    }

    /// Loads what an entry file names. Its device is the one that it is on.
    pub(super) fn run_snippet(&mut self, snippet: &Snippet) {
        let device = self.file.device.clone();
        let options = match &snippet.options {
            Some(options) => self.expand_text(options),
            None => {
                let kept = self.get("default_kernelopts").to_owned();
                let kept = if kept.is_empty() {
                    self.get("kernelopts").to_owned()
                } else {
                    kept
                };
                self.expand_text(&kept)
            }
        };
        let initrd = self.expand_text(&snippet.initrd.join(" "));
        if let Some((kernel, line)) = &snippet.linux {
            self.loaded = Loaded {
                kernel: Some(FileName::parse(kernel, &device)),
                args: options,
                initramfs: initrd
                    .iter()
                    .map(|file| FileName::parse(file, &device))
                    .collect(),
                line: *line,
                ..Loaded::default()
            };
        }
    }
}
