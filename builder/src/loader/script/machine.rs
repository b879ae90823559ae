//! Runs commands.
//!
//! Only what decides which kernel starts is done: variables, tests, files, the search for file
//! systems, the menu, and the commands that name a kernel and its ramdisks. All others succeed and
//! do nothing, as drawing commands do. Everything that is expanded or read is paid from a budget.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use byoi_agent::error::Error;

use super::bls::{Snippet, version_cmp};
use super::lexer::{Piece, Word};
use super::parser::{Body, Command, parse};
use super::test;

/// What all that is expanded and read may come to, in bytes.
const BUDGET: usize = 48 << 20;
/// What a command, and what a file, costs at least.
const COMMAND_COST: usize = 64;
const FILE_COST: usize = 4 << 10;
/// How deep functions and sourced files may be nested.
const MAX_DEPTH: usize = 24;
/// The longest value, in bytes, and the most variables.
const MAX_VALUE: usize = 64 << 10;
const MAX_VARIABLES: usize = 2000;
/// What `grub-mkconfig` asks for: all of them are there since GRUB 2.00.
const FEATURES: [&str; 10] = [
    "feature_200_final",
    "feature_all_video_module",
    "feature_chainloader_bpb",
    "feature_default_font_path",
    "feature_menuentry_id",
    "feature_menuentry_options",
    "feature_nativedisk_cmd",
    "feature_ntldr",
    "feature_platform_search_hint",
    "feature_timeout_style",
];

/// A file as GRUB names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName {
    /// The device without its parentheses, such as `hd0,msdos1`; what comes before the comma may be
    /// missing.
    pub device: String,
    /// The path on it.
    pub path: String,
}

impl FileName {
    /// Reads `(hd0,msdos1)/boot`; a path alone is on the device `root`.
    pub fn parse(name: &str, root: &str) -> Self {
        let (device, path) = match name.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            Some((device, path)) => (device, path),
            None => (root, name),
        };
        let device = device.trim();
        Self {
            device: device
                .strip_prefix('(')
                .and_then(|device| device.strip_suffix(')'))
                .unwrap_or(device)
                .to_owned(),
            path: path.to_owned(),
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}){}", self.device, self.path)
    }
}

/// What a file system is searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Its UUID.
    Uuid,
    /// Its label.
    Label,
    /// A file in it.
    File,
}

/// The disk, as GRUB sees it.
pub trait World {
    /// The content of a file; `None` where there is none.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    fn read(&self, file: &FileName) -> Result<Option<Vec<u8>>, Error>;

    /// Whether a path leads to something.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    fn is_there(&self, file: &FileName) -> Result<bool, Error>;

    /// The names in a directory; those that are not UTF-8 with replacement characters.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    fn list(&self, dir: &FileName) -> Result<Vec<String>, Error>;

    /// The device that a search finds.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    fn search(&self, by: By, what: &str) -> Result<Option<String>, Error>;
}

/// An entry of the menu.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub title: String,
    pub id: Option<String>,
    pub action: Action,
    pub file: Rc<FileName>,
}

/// What choosing an entry does.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Run(Body),
    Submenu(Body),
    Snippet(Rc<Snippet>),
}

/// What an entry has loaded.
#[derive(Debug, Clone, Default)]
pub(super) struct Loaded {
    pub kernel: Option<FileName>,
    pub args: Vec<String>,
    pub initramfs: Vec<FileName>,
    pub line: usize,
    /// Whether another boot loader is started instead.
    pub chained: bool,
    /// Whether a hypervisor takes the kernel as a module.
    hypervisor: bool,
}

/// The state of a script.
#[derive(Clone)]
pub(super) struct Machine<'w> {
    world: &'w dyn World,
    variables: BTreeMap<String, String>,
    functions: BTreeMap<String, Body>,
    pub items: Vec<Item>,
    pub loaded: Loaded,
    /// The line of the first error in a configuration that GRUB refuses.
    pub fault: Option<(Rc<FileName>, usize)>,
    args: Vec<String>,
    file: Rc<FileName>,
    budget: usize,
    depth: usize,
    ended: bool,
}

impl<'w> Machine<'w> {
    pub fn new(world: &'w dyn World, root: &str, prefix: &str) -> Self {
        let mut machine = Self {
            world,
            variables: BTreeMap::new(),
            functions: BTreeMap::new(),
            items: Vec::new(),
            loaded: Loaded::default(),
            fault: None,
            args: Vec::new(),
            file: Rc::default(),
            budget: BUDGET,
            depth: 0,
            ended: false,
        };
        for feature in FEATURES {
            machine.set(feature, "y".into());
        }
        machine.set("grub_platform", "pc".into());
        machine.set("grub_cpu", "i386".into());
        machine.set("root", root.into());
        machine.set("prefix", prefix.into());
        machine
    }

    pub fn get(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    pub fn set(&mut self, name: &str, mut value: String) {
        let known = self.variables.contains_key(name);
        if !known && self.variables.len() >= MAX_VARIABLES {
            return;
        }
        if value.len() > MAX_VALUE {
            let mut end = MAX_VALUE;
            while !value.is_char_boundary(end) {
                end -= 1;
            }
            value.truncate(end);
        }
        self.variables.insert(name.to_owned(), value);
    }

    pub fn budget(&self) -> usize {
        self.budget
    }

    /// What a copy of it costs.
    pub fn weight(&self) -> usize {
        self.variables.values().map(String::len).sum()
    }

    /// Goes on with what another machine, made from this one, has left.
    pub fn spend_to(&mut self, left: usize) {
        self.budget = left;
    }

    /// Whether the script was ended before its end for want of budget.
    pub fn is_spent(&self) -> bool {
        self.budget == 0
    }

    fn pay(&mut self, cost: usize) -> bool {
        self.budget = self.budget.saturating_sub(cost);
        if self.budget == 0 {
            self.ended = true;
        }
        !self.ended
    }

    fn name(&self, file: &str) -> FileName {
        FileName::parse(file, self.get("root"))
    }

    pub fn read(&mut self, file: &str) -> Result<Option<Vec<u8>>, Error> {
        if !self.pay(FILE_COST) {
            return Ok(None);
        }
        let content = self.world.read(&self.name(file))?;
        self.pay(content.as_ref().map_or(0, Vec::len));
        Ok(content)
    }

    pub fn is_there(&mut self, file: &str) -> Result<bool, Error> {
        Ok(self.pay(FILE_COST) && self.world.is_there(&self.name(file))?)
    }

    /// Runs a file where there is one.
    pub fn source(&mut self, file: &str) -> Result<bool, Error> {
        if self.depth >= MAX_DEPTH {
            return Ok(false);
        }
        let Some(content) = self.read(file)? else {
            return Ok(false);
        };
        let name = Rc::new(self.name(file));
        let before = std::mem::replace(&mut self.file, name);
        self.depth += 1;
        let done = self.run_text(&String::from_utf8_lossy(&content));
        self.depth -= 1;
        self.file = before;
        done.map(|()| true)
    }

    /// Runs a text. One with an error is refused as a whole.
    pub fn run_text(&mut self, text: &str) -> Result<(), Error> {
        let script = parse(text);
        if let Some(line) = script.fault {
            self.fault.get_or_insert((Rc::clone(&self.file), line));
        }
        self.run(&script.body)?;
        Ok(())
    }

    /// Runs commands and says whether the last one succeeded.
    pub fn run(&mut self, body: &Body) -> Result<bool, Error> {
        let mut status = true;
        for command in body.iter() {
            if !self.pay(COMMAND_COST) {
                return Ok(false);
            }
            status = self.command(command)?;
            if self.ended {
                break;
            }
        }
        Ok(status)
    }

    /// Runs the block of an entry.
    pub fn run_item(&mut self, item: &Item) -> Result<(), Error> {
        self.file = Rc::clone(&item.file);
        self.ended = false;
        self.set(
            "chosen",
            item.id.clone().unwrap_or_else(|| item.title.clone()),
        );
        match &item.action {
            Action::Run(body) | Action::Submenu(body) => {
                self.run(&Rc::clone(body))?;
            }
            Action::Snippet(snippet) => self.run_snippet(snippet),
        }
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Result<bool, Error> {
        match command {
            Command::Simple {
                words,
                block,
                negated,
                line,
            } => {
                let words = self.expand(words);
                let status = self.simple(&words, block.as_ref(), *line)?;
                self.set("?", if status { "0" } else { "1" }.into());
                Ok(status != *negated)
            }
            Command::If {
                branches,
                otherwise,
            } => {
                for (condition, body) in branches {
                    if self.run(condition)? {
                        return self.run(body);
                    }
                }
                self.run(otherwise)
            }
            Command::While {
                condition,
                body,
                until,
            } => {
                while self.pay(COMMAND_COST) && self.run(condition)? != *until {
                    self.run(body)?;
                }
                Ok(true)
            }
            Command::For {
                variable,
                words,
                body,
            } => {
                for word in self.expand(words) {
                    if !self.pay(COMMAND_COST) {
                        break;
                    }
                    self.set(variable, word);
                    self.run(body)?;
                }
                Ok(true)
            }
            Command::Function { name, body } => {
                if self.functions.len() < MAX_VARIABLES {
                    self.functions.insert(name.clone(), Rc::clone(body));
                }
                Ok(true)
            }
        }
    }

    /// Puts variables in and cuts what was outside quotes into words.
    fn expand(&mut self, words: &[Word]) -> Vec<String> {
        let mut made = Vec::new();
        for word in words {
            if !self.pay(1) {
                break;
            }
            let mut fields = vec![String::new()];
            let mut any = word.quoted;
            for piece in &word.pieces {
                let (text, cut) = match piece {
                    Piece::Text(text) => (text.clone(), false),
                    Piece::Variable { name, quoted } => (self.value(name), !quoted),
                };
                if !self.pay(text.len()) {
                    break;
                }
                if cut {
                    for (at, part) in text.split([' ', '\t', '\n']).enumerate() {
                        if at > 0 {
                            fields.push(String::new());
                        }
                        if let Some(last) = fields.last_mut() {
                            last.push_str(part);
                        }
                    }
                } else {
                    any = true;
                    if let Some(last) = fields.last_mut() {
                        last.push_str(&text);
                    }
                }
            }
            let single = fields.len() == 1 && any;
            made.extend(
                fields
                    .into_iter()
                    .filter(|field| single || !field.is_empty()),
            );
        }
        made
    }

    fn value(&self, name: &str) -> String {
        match name {
            "@" | "*" => self.args.join(" "),
            "#" => self.args.len().to_string(),
            _ => match name.parse::<usize>() {
                Ok(number) => number
                    .checked_sub(1)
                    .and_then(|number| self.args.get(number).cloned())
                    .unwrap_or_default(),
                Err(_) => self.get(name).to_owned(),
            },
        }
    }

    fn simple(
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
            "false" => Ok(false),
            // What they ask the machine for is not known.
            "regexp" | "probe" | "cmostest" | "keystatus" | "smbios" => Ok(false),
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

    fn call(&mut self, body: &Body, args: &[String]) -> Result<bool, Error> {
        if self.depth >= MAX_DEPTH {
            return Ok(false);
        }
        let before = std::mem::replace(&mut self.args, args.to_vec());
        self.depth += 1;
        let status = self.run(body);
        self.depth -= 1;
        self.args = before;
        status
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

    /// `search` with options: by file unless they say otherwise.
    fn search(&mut self, args: &[String]) -> Result<bool, Error> {
        let mut by = By::File;
        let mut variable = "root".to_owned();
        let mut what = None;
        let mut args = args.iter().peekable();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-u" | "--fs-uuid" => by = By::Uuid,
                "-l" | "--label" | "--fs-label" => by = By::Label,
                "-f" | "--file" => by = By::File,
                "--hint" | "--hint-bios" | "--hint-efi" | "--hint-baremetal" => {
                    args.next();
                }
                "-s" | "--set" => {
                    // The variable may be left out.
                    if args.len() > 1
                        && let Some(name) = args.next_if(|arg| !arg.starts_with('-'))
                    {
                        name.clone_into(&mut variable);
                    }
                }
                arg if arg.starts_with("--set=") => variable = arg["--set=".len()..].to_owned(),
                arg if arg.starts_with('-') => {}
                _ => what = Some(arg),
            }
        }
        match what {
            Some(what) => self.find(by, what, &variable),
            None => Ok(false),
        }
    }

    /// `search.fs_uuid NAME VARIABLE HINT…`
    fn search_for(&mut self, by: By, args: &[String]) -> Result<bool, Error> {
        match args {
            [what, variable, ..] => self.find(by, what, variable),
            [what] => self.find(by, what, "root"),
            [] => Ok(false),
        }
    }

    fn find(&mut self, by: By, what: &str, variable: &str) -> Result<bool, Error> {
        if !self.pay(FILE_COST) {
            return Ok(false);
        }
        Ok(match self.world.search(by, what)? {
            Some(device) => {
                self.set(variable, device);
                true
            }
            None => false,
        })
    }

    /// Makes menu entries of the files in `/loader/entries` of the boot device, or where a
    /// directory `/boot` is on the root device, of those below it; the newest first.
    fn blscfg(&mut self) -> Result<bool, Error> {
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
    fn run_snippet(&mut self, snippet: &Snippet) {
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

    /// The words of a line that may take variables in.
    fn expand_text(&mut self, text: &str) -> Vec<String> {
        let words: Vec<Word> = super::lexer::tokens(text)
            .into_iter()
            .filter_map(|(token, _)| match token {
                super::lexer::Token::Word(word) => Some(word),
                _ => None,
            })
            .collect();
        self.expand(&words)
    }
}

impl fmt::Debug for Machine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("items", &self.items)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
