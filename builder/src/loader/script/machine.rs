//! Runs commands.
//!
//! Only what decides which kernel starts is done: variables, tests, files, the search for file
//! systems, the menu, and the commands that name a kernel and its ramdisks. All others succeed and
//! do nothing, as drawing commands do. Everything that is expanded or read is paid from a budget.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use byoi_agent::error::Error;

use super::bls::Snippet;
use super::parser::{Body, Command, parse};
use super::world::{FileName, World};

/// What all that is expanded and read may come to, in bytes.
const BUDGET: usize = 24 << 20;
/// What a command, a word, and a file cost at least.
const COMMAND_COST: usize = 64;
pub(super) const WORD_COST: usize = 32;
pub(super) const FILE_COST: usize = 4 << 10;
/// What a byte of a script costs: a word of one letter becomes some forty times as large.
const SCRIPT_COST: usize = 16;
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
    pub hypervisor: bool,
}

/// The state of a script.
#[derive(Clone)]
pub(super) struct Machine<'w> {
    pub(super) world: &'w dyn World,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) functions: BTreeMap<String, Body>,
    pub items: Vec<Item>,
    pub loaded: Loaded,
    /// The line of the first error in a configuration that GRUB refuses.
    pub fault: Option<(Rc<FileName>, usize)>,
    pub(super) args: Vec<String>,
    pub(super) file: Rc<FileName>,
    pub(super) budget: usize,
    pub(super) depth: usize,
    pub(super) ended: bool,
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
        let variables = self.variables.iter();
        variables
            .map(|(name, value)| COMMAND_COST + name.len() + value.len())
            .sum()
    }

    /// Gives it a whole budget again: the menu is made, its entries are run now.
    pub fn refill(&mut self) {
        self.budget = BUDGET;
    }

    /// Goes on with what another machine, made from this one, has left.
    pub fn spend_to(&mut self, left: usize) {
        self.budget = left;
    }

    /// Whether the script was ended before its end for want of budget.
    pub fn is_spent(&self) -> bool {
        self.budget == 0
    }

    pub(super) fn pay(&mut self, cost: usize) -> bool {
        self.budget = self.budget.saturating_sub(cost);
        if self.budget == 0 {
            self.ended = true;
        }
        !self.ended
    }

    pub(super) fn name(&self, file: &str) -> FileName {
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
        if !self.pay(text.len().saturating_mul(SCRIPT_COST)) {
            return Ok(());
        }
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

    pub(super) fn call(&mut self, body: &Body, args: &[String]) -> Result<bool, Error> {
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
}

impl fmt::Debug for Machine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("items", &self.items)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
