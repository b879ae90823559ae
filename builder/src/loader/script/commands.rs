//! The commands that decide which kernel starts. All others succeed and do nothing.

use std::rc::Rc;

use byoi_agent::error::Error;

use super::machine::{Action, Item, Machine};
use super::parser::Body;
use super::test;
use super::world::{By, FileName};

impl Machine<'_> {
    pub(super) fn simple(
        &mut self,
        words: &[String],
        block: Option<&Body>,
        line: usize,
    ) -> Result<bool, Error> {
        let [name, args @ ..] = words else {
            return Ok(true);
        };
        if let Some(body) = self.functions.get(name) {
            return self.call(&Rc::clone(body), args);
        }
        match name.as_str() {
            "set" => {
                if let Some((name, value)) = args.first().and_then(|arg| arg.split_once('=')) {
                    self.set(name, value.to_owned());
                }
                Ok(true)
            }
            "unset" => {
                for name in args {
                    self.variables.remove(name);
                }
                Ok(true)
            }
            "[" => {
                let args = args.strip_suffix(&["]".to_owned()]).unwrap_or(args);
                test::holds(self, args)
            }
            "test" => test::holds(self, args),
            // What the others ask the machine for is not known.
            "false" | "regexp" | "probe" | "cmostest" | "keystatus" | "smbios" => Ok(false),
            "load_env" => self.load_env(args),
            "source" | "." => match args.first() {
                Some(file) => self.source(file),
                None => Ok(false),
            },
            // Both show another menu in place of this one.
            "configfile" | "normal" => {
                let file = match args.first() {
                    Some(file) => file.clone(),
                    None => format!("{}/grub.cfg", self.get("prefix")),
                };
                if !self.is_there(&file)? {
                    return Ok(false);
                }
                self.items.clear();
                self.source(&file)?;
                self.ended = true;
                Ok(true)
            }
            "exit" | "halt" | "reboot" => {
                self.ended = true;
                Ok(true)
            }
            "menuentry" | "submenu" => {
                self.add_item(name == "submenu", args, block);
                Ok(true)
            }
            "search" => self.search(args),
            "search.fs_uuid" => self.search_for(By::Uuid, args),
            "search.fs_label" => self.search_for(By::Label, args),
            "search.file" => self.search_for(By::File, args),
            "blscfg" => self.blscfg(),
            "chainloader" => {
                self.loaded.chained = true;
                Ok(true)
            }
            "linux" | "linux16" | "linuxefi" | "multiboot" | "multiboot2" | "xen_hypervisor" => {
                let hypervisor = !name.starts_with("linux");
                self.load_kernel(args, hypervisor, line);
                Ok(true)
            }
            "module" | "module2" | "xen_module" | "xen_linux" => {
                if self.loaded.hypervisor && self.loaded.initramfs.is_empty() {
                    self.load_kernel(args, false, line);
                } else {
                    self.load_initramfs(args);
                }
                Ok(true)
            }
            "initrd" | "initrd16" | "initrdefi" | "xen_initrd" => {
                self.load_initramfs(args);
                Ok(true)
            }
            name => {
                if let Some((name, value)) = name.split_once('=') {
                    self.set(name, value.to_owned());
                }
                Ok(true)
            }
        }
    }

    fn load_kernel(&mut self, args: &[String], hypervisor: bool, line: usize) {
        let mut args = args.iter().skip_while(|arg| arg.starts_with("--"));
        self.loaded.kernel = args.next().map(|file| self.name(file));
        self.loaded.args = args.cloned().collect();
        self.loaded.initramfs.clear();
        self.loaded.line = line;
        self.loaded.hypervisor = hypervisor;
    }

    fn load_initramfs(&mut self, args: &[String]) {
        let files = args.iter().filter(|arg| !arg.starts_with("--"));
        let files: Vec<FileName> = files.map(|file| self.name(file)).collect();
        self.loaded.initramfs.extend(files);
    }

    fn add_item(&mut self, submenu: bool, args: &[String], block: Option<&Body>) {
        let mut title = None;
        let mut id = None;
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--id" => id = args.next().cloned(),
                "--class" | "--users" | "--hotkey" | "--source" => {
                    args.next();
                }
                arg if arg.starts_with("--id=") => id = Some(arg["--id=".len()..].to_owned()),
                arg if arg.starts_with("--") => {}
                _ => {
                    title.get_or_insert(arg);
                }
            }
        }
        let (Some(title), Some(body)) = (title, block) else {
            return;
        };
        let body = Rc::clone(body);
        self.items.push(Item {
            title: title.clone(),
            id,
            action: if submenu {
                Action::Submenu(body)
            } else {
                Action::Run(body)
            },
            file: Rc::clone(&self.file),
        });
    }

    /// Takes variables out of an environment block: `name=value` lines, `\` before what is special.
    fn load_env(&mut self, args: &[String]) -> Result<bool, Error> {
        let mut file = format!("{}/grubenv", self.get("prefix"));
        let mut wanted: Vec<&str> = Vec::new();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-f" | "--file" => file = args.next().cloned().unwrap_or_default(),
                arg if arg.starts_with('-') => {}
                name => wanted.push(name),
            }
        }
        let Some(content) = self.read(&file)? else {
            return Ok(false);
        };
        for line in String::from_utf8_lossy(&content).lines() {
            if let Some((name, value)) = line.split_once('=')
                && !line.starts_with('#')
                && (wanted.is_empty() || wanted.contains(&name))
            {
                self.set(name, value.replace("\\\\", "\\"));
            }
        }
        Ok(true)
    }
}
