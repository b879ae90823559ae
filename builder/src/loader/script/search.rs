//! The command `search` and its kin.

use byoi_agent::error::Error;

use super::machine::{FILE_COST, Machine};
use super::world::By;

impl Machine<'_> {
    /// `search` with options: by file unless they say otherwise.
    pub(super) fn search(&mut self, args: &[String]) -> Result<bool, Error> {
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
                arg if arg.starts_with("--set=") => {
                    arg["--set=".len()..].clone_into(&mut variable);
                }
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
    pub(super) fn search_for(&mut self, by: By, args: &[String]) -> Result<bool, Error> {
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
}
