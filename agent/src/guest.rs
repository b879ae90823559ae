//! The guest as rules see it: what it is, its files, and the edits drafted so far.
//!
//! Reads go to the disk through [`GuestRoot`] unless a draft covers the path. A path is resolved
//! inside the root first, so that a file reached by two names is drafted once.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::facts::Facts;
use crate::initramfs::rebuild::Requirement;
use crate::live::Release;
use crate::root::{FileKind, GuestPath, GuestRoot};
use crate::text::Text;

/// The largest configuration file that is read, in bytes.
pub const CONFIG_LIMIT: u64 = 16 << 20;

/// What a path shall become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drafted {
    /// A regular file with this content.
    Content(Vec<u8>),
    /// A symbolic link to this.
    Link(String),
    /// Nothing: the file, link or whole directory goes.
    Removed,
}

/// Who has a file that is made, and with which permissions. Directories made for it on the way have
/// the same owner and are open to nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// The permission bits.
    pub mode: u32,
}

impl Owner {
    /// Root, readable by all.
    pub const DEFAULT: Self = Self {
        uid: 0,
        gid: 0,
        mode: 0o644,
    };
}

/// A program to run inside the guest once the files are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestCommand {
    /// The program and its arguments, in the guest's own file system.
    pub argv: Vec<String>,
    /// The guest file that it makes anew.
    pub produces: GuestPath,
    /// What that file has to be, where it is an initramfs.
    pub initramfs: Option<Requirement>,
}

/// A guest with the edits drafted so far.
#[derive(Debug)]
pub struct Guest<'a> {
    root: &'a GuestRoot,
    facts: &'a Facts,
    drafts: BTreeMap<GuestPath, Drafted>,
    owners: BTreeMap<GuestPath, Owner>,
    unseen: BTreeSet<GuestPath>,
    commands: Vec<GuestCommand>,
    runs_programs: bool,
    release: Release,
}

impl<'a> Guest<'a> {
    /// The guest as it stands.
    pub fn new(root: &'a GuestRoot, facts: &'a Facts) -> Self {
        Self {
            root,
            facts,
            drafts: BTreeMap::new(),
            owners: BTreeMap::new(),
            unseen: BTreeSet::new(),
            commands: Vec::new(),
            runs_programs: false,
            release: Release::default(),
        }
    }

    /// The same guest, whose own programs can be run if this says so.
    #[must_use]
    pub fn with_programs(mut self, runs_programs: bool) -> Self {
        self.runs_programs = runs_programs;
        self
    }

    /// Whether a command that is drafted can be run.
    pub fn runs_programs(&self) -> bool {
        self.runs_programs
    }

    /// What guest this is.
    pub fn facts(&self) -> &'a Facts {
        self.facts
    }

    /// The disk behind the drafts, for files too large to draft.
    pub fn root(&self) -> &'a GuestRoot {
        self.root
    }

    /// What is drafted, by resolved path.
    pub fn drafts(&self) -> &BTreeMap<GuestPath, Drafted> {
        &self.drafts
    }

    /// The commands drafted, in order.
    pub fn commands(&self) -> &[GuestCommand] {
        &self.commands
    }

    /// The content of a regular file of at most [`CONFIG_LIMIT`]; `None` where there is none.
    /// Links are followed inside the root. A directory, device, FIFO or socket counts as none.
    ///
    /// # Errors
    ///
    /// The file is too large or could not be read.
    pub fn read(&self, path: &GuestPath) -> Result<Option<Vec<u8>>, Error> {
        let path = self.root.resolve(path)?;
        match self.draft_covering(&path) {
            Some(Drafted::Content(content)) => Ok(Some(content.clone())),
            Some(Drafted::Link(target)) => self.read(&leads_to(&path, target)),
            Some(Drafted::Removed) => Ok(None),
            None => self.root.read(&path, CONFIG_LIMIT),
        }
    }

    /// The content as text, whatever its encoding; `None` as with [`Guest::read`].
    ///
    /// # Errors
    ///
    /// As [`Guest::read`].
    pub fn text(&self, path: &GuestPath) -> Result<Option<Text>, Error> {
        Ok(self.read(path)?.map(|bytes| Text::from_bytes(&bytes)))
    }

    /// What a path is, the last link not followed; `None` where there is nothing.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn kind(&self, path: &GuestPath) -> Result<Option<FileKind>, Error> {
        let path = self.root.resolve_parent(path)?;
        match self.draft_covering(&path) {
            Some(Drafted::Content(_)) => Ok(Some(FileKind::Regular)),
            Some(Drafted::Link(_)) => Ok(Some(FileKind::Symlink)),
            Some(Drafted::Removed) => Ok(None),
            None => self.root.kind(&path),
        }
    }

    /// Whether a path leads to something, links followed.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn exists(&self, path: &GuestPath) -> Result<bool, Error> {
        Ok(self.kind(&self.root.resolve(path)?)?.is_some())
    }

    /// Whether one of these paths leads to something, links followed.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn any_exists(&self, paths: &[&str]) -> Result<bool, Error> {
        for path in paths {
            if self.exists(&(*path).into())? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The entries of a directory, sorted by name, with their full paths; empty where there is no
    /// such directory.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn list(&self, dir: &GuestPath) -> Result<Vec<GuestPath>, Error> {
        let dir = self.root.resolve(dir)?;
        if let Some(Drafted::Removed) = self.draft_covering(&dir) {
            return Ok(Vec::new());
        }
        let mut paths: Vec<GuestPath> = self
            .root
            .list(&dir)?
            .into_iter()
            .map(|name| dir.join(&name))
            .filter(|path| self.drafts.get(path) != Some(&Drafted::Removed))
            .collect();
        for (path, draft) in &self.drafts {
            if path.parent().as_ref() == Some(&dir) && *draft != Drafted::Removed {
                paths.push(path.clone());
            }
        }
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// Every entry below a directory that is not itself a directory, sorted; links are not
    /// followed. Empty where there is no such directory.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn walk(&self, dir: &GuestPath) -> Result<Vec<GuestPath>, Error> {
        let mut found = Vec::new();
        let mut pending = self.list(dir)?;
        while let Some(path) = pending.pop() {
            match self.kind(&path)? {
                Some(FileKind::Directory) => pending.extend(self.list(&path)?),
                Some(_) => found.push(path),
                None => {}
            }
        }
        found.sort();
        Ok(found)
    }

    /// Drafts new content for a file that is there or shall be.
    ///
    /// # Errors
    ///
    /// The path could not be resolved, or leads into a loop of links.
    pub fn write(&mut self, path: &GuestPath, content: Vec<u8>) -> Result<(), Error> {
        let path = self.root.resolve(path)?;
        if self.kind(&path)? == Some(FileKind::Symlink) {
            return Err(Error::LinkLoop {
                path: path.to_string(),
            });
        }
        if self.draft_covering(&path).is_none()
            && self.root.read(&path, CONFIG_LIMIT)?.as_ref() == Some(&content)
        {
            return Ok(());
        }
        self.drafts.insert(path, Drafted::Content(content));
        Ok(())
    }

    /// As [`Guest::write`]; a file that is not there yet gets this owner. One that is there keeps
    /// its own.
    ///
    /// # Errors
    ///
    /// As [`Guest::write`].
    pub fn write_as(
        &mut self,
        path: &GuestPath,
        content: Vec<u8>,
        owner: Owner,
    ) -> Result<(), Error> {
        self.owners.insert(self.root.resolve(path)?, owner);
        self.write(path, content)
    }

    /// Who shall have a file that is made; `None` means root, readable by all.
    pub fn owner(&self, path: &GuestPath) -> Option<Owner> {
        self.owners.get(path).copied()
    }

    /// Who has what a path leads to and with which permissions, as it is or shall be; `None` where
    /// there is nothing.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn permissions(&self, path: &GuestPath) -> Result<Option<Owner>, Error> {
        let path = self.root.resolve(path)?;
        match self.draft_covering(&path) {
            Some(Drafted::Removed) => Ok(None),
            Some(Drafted::Link(target)) => self.permissions(&leads_to(&path, target)),
            Some(Drafted::Content(_)) => {
                let made = self.owner(&path).unwrap_or(Owner::DEFAULT);
                Ok(Some(self.root.permissions(&path)?.unwrap_or(made)))
            }
            None => self.root.permissions(&path),
        }
    }

    /// Drafts a symbolic link. What is there of that name, if anything, gives way to it.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn link(&mut self, path: &GuestPath, target: &str) -> Result<(), Error> {
        let path = self.root.resolve_parent(path)?;
        let same = self
            .root
            .read_link(&path)?
            .is_some_and(|old| old.as_os_str() == target);
        if same && self.draft_covering(&path).is_none() {
            return Ok(());
        }
        self.drafts.insert(path, Drafted::Link(target.to_owned()));
        Ok(())
    }

    /// Drafts new text, in the encoding of the file as it is.
    ///
    /// # Errors
    ///
    /// As [`Guest::read`].
    pub fn write_text(&mut self, path: &GuestPath, text: &str) -> Result<(), Error> {
        let content = match self.text(path)? {
            Some(old) => old.encode(text),
            None => text.as_bytes().to_vec(),
        };
        self.write(path, content)
    }

    /// Drafts the removal of a file, link or whole directory. A link goes, not what it names.
    ///
    /// # Errors
    ///
    /// The path could not be resolved.
    pub fn remove(&mut self, path: &GuestPath) -> Result<(), Error> {
        let path = self.root.resolve_parent(path)?;
        if self.kind(&path)?.is_some() {
            self.drafts.retain(|drafted, _| !drafted.is_below(&path));
            if self.root.kind(&path)?.is_some() {
                self.drafts.insert(path, Drafted::Removed);
            } else {
                self.drafts.remove(&path);
            }
        }
        Ok(())
    }

    /// As [`Guest::remove`]; no report shows what the file held.
    ///
    /// # Errors
    ///
    /// As [`Guest::remove`].
    pub fn discard(&mut self, path: &GuestPath) -> Result<(), Error> {
        self.unseen.insert(self.root.resolve_parent(path)?);
        self.remove(path)
    }

    /// Drafts that a regular file which is there loses its content, however large. The file stays,
    /// and no report shows what it held.
    ///
    /// # Errors
    ///
    /// The path could not be resolved.
    pub fn empty(&mut self, path: &GuestPath) -> Result<(), Error> {
        if self.size(path)?.is_some_and(|size| size != 0) {
            let path = self.root.resolve(path)?;
            self.unseen.insert(path.clone());
            self.drafts.insert(path, Drafted::Content(Vec::new()));
        }
        Ok(())
    }

    /// How many bytes a regular file holds, links followed; `None` where there is none.
    ///
    /// # Errors
    ///
    /// The guest could not be read.
    pub fn size(&self, path: &GuestPath) -> Result<Option<u64>, Error> {
        let path = self.root.resolve(path)?;
        match self.draft_covering(&path) {
            Some(Drafted::Content(content)) => Ok(content.len().try_into().ok()),
            Some(Drafted::Link(target)) => self.size(&leads_to(&path, target)),
            Some(Drafted::Removed) => Ok(None),
            None => self.root.size(&path),
        }
    }

    /// Whether no report shows what the file held.
    pub fn is_unseen(&self, path: &GuestPath) -> bool {
        self.unseen.contains(path)
    }

    /// Drafts a command, once.
    pub fn run(&mut self, command: GuestCommand) {
        if !self.commands.contains(&command) {
            self.commands.push(command);
        }
    }

    /// Drafts what the running system has to let go of.
    pub fn detach(&mut self, release: Release) {
        self.release = release;
    }

    /// What the running system has to let go of.
    pub fn release(&self) -> &Release {
        &self.release
    }

    fn draft_covering(&self, path: &GuestPath) -> Option<&Drafted> {
        if let Some(draft) = self.drafts.get(path) {
            return Some(draft);
        }
        let mut ancestor = path.parent();
        while let Some(dir) = ancestor {
            if let Some(Drafted::Removed) = self.drafts.get(&dir) {
                return Some(&Drafted::Removed);
            }
            ancestor = dir.parent();
        }
        None
    }
}

/// The path that a link names.
fn leads_to(link: &GuestPath, target: &str) -> GuestPath {
    if target.starts_with('/') {
        GuestPath::from(target)
    } else {
        link.parent().unwrap_or_else(|| link.clone()).join(target)
    }
}
