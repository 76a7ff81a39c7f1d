//! System calls -> operations on the data directory: pure. What was recorded is checked by comparing the disk that the operations
//! lead to with the one that is there: a call that is not understood comes to light.

use std::collections::HashMap;
use std::sync::Arc;

use super::disk::{Attributes, Bytes, Change, Content, Disk, Inode, Name};
use super::strace::{Call, Descriptor};

/// What makes earlier operations durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// A file's data and attributes, or a directory's names and attributes.
    Inode(Inode),
    /// The whole file system.
    Everything,
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// Changes that happen together or not at all.
    Change(Vec<Change>),
    /// Earlier operations become durable.
    Sync(Scope),
    /// A program inside the data directory was executed: from now on the outside knows of it.
    Execute(Vec<u8>),
}

/// One operation on the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) deed: Deed,
    /// For people.
    pub(super) label: String,
    /// How many operations had ended when this one began: what a sync may count on.
    pub(super) began: usize,
}

/// What was done to a data directory, from its beginning.
#[derive(Debug, Clone)]
pub(super) struct Recording {
    /// Has all inodes, also those that are made later: they have no names yet.
    pub(super) start: Disk,
    pub(super) end: Disk,
    pub(super) operations: Vec<Operation>,
}

/// Makes operations of calls. `root` is the data directory's path without links in it; `umask` that of the processes.
pub(super) fn record(start: Disk, root: &str, umask: u32, calls: &[Call]) -> Result<Recording, String> {
    let leaders = leaders(calls);
    let mut recorder = Recorder {
        root: root.as_bytes(),
        umask,
        now: start.clone(),
        start,
        open: HashMap::new(),
        operations: Vec::new(),
        ended: Vec::new(),
    };
    for call in calls {
        let leader = leader(&leaders, call.thread);
        recorder
            .take(call, leader)
            .map_err(|why| format!("{}({}): {why}", call.name, call.arguments.join(", ")))?;
    }
    Ok(Recording { start: recorder.start, end: recorder.now, operations: recorder.operations })
}

/// Which thread was started by which, with the same table of descriptors.
fn leaders(calls: &[Call]) -> HashMap<u32, u32> {
    let threads = calls.iter().filter(|call| call.name.starts_with("clone"));
    let threads = threads.filter(|call| call.arguments.iter().any(|text| text.contains("CLONE_FILES")));
    threads.filter_map(|call| Some((u32::try_from(call.returned()?).ok()?, call.thread))).collect()
}

fn leader(leaders: &HashMap<u32, u32>, mut thread: u32) -> u32 {
    while let Some(parent) = leaders.get(&thread) {
        thread = *parent;
    }
    thread
}

#[derive(Debug, Clone, Copy)]
struct Open {
    inode: Inode,
    offset: usize,
}

struct Recorder<'r> {
    root: &'r [u8],
    umask: u32,
    start: Disk,
    now: Disk,
    open: HashMap<(u32, i32), Open>,
    operations: Vec<Operation>,
    /// When each of the operations ended.
    ended: Vec<u64>,
}

/// strace's two clocks are rounded.
const ROUNDING: u64 = 2;

type Done = Result<(), String>;

impl Recorder<'_> {
    fn take(&mut self, call: &Call, leader: u32) -> Done {
        match call.name.as_str() {
            "openat" => self.open(call, leader, 2, call.number(3)),
            "open" => self.open(call, leader, 1, call.number(2)),
            "close" => {
                if let Some(number) = call.descriptor(0).and_then(|descriptor| descriptor.number) {
                    self.open.remove(&(leader, number));
                }
                Ok(())
            }
            "lseek" => self.seek(call, leader),
            "write" | "writev" => self.write_on(call, leader),
            "pwrite64" | "pwritev" | "pwritev2" => self.write_at(call, leader),
            "copy_file_range" => self.copy(call, leader),
            "ftruncate" => match self.file(call, 0, leader) {
                Some(file) => self.cut(call, file, number(call, 1)?),
                None => Ok(()),
            },
            "fallocate" => self.allocate(call, leader),
            "rename" => self.rename(call, &self.path(None, call, 0)?, &self.path(None, call, 1)?, false),
            "renameat" | "renameat2" => {
                let (from, to) = (self.path(Some(0), call, 1)?, self.path(Some(2), call, 3)?);
                self.rename(call, &from, &to, call.argument(4).contains("EXCHANGE"))
            }
            "link" => self.link(call, &self.path(None, call, 0)?, &self.path(None, call, 1)?),
            "linkat" => self.link(call, &self.path(Some(0), call, 1)?, &self.path(Some(2), call, 3)?),
            "symlink" => self.symlink(call, &self.path(None, call, 1)?),
            "symlinkat" => self.symlink(call, &self.path(Some(1), call, 2)?),
            "unlink" | "rmdir" => self.unlink(call, &self.path(None, call, 0)?),
            "unlinkat" => self.unlink(call, &self.path(Some(0), call, 1)?),
            "mkdir" => self.mkdir(call, &self.path(None, call, 0)?, call.number(1)),
            "mkdirat" => self.mkdir(call, &self.path(Some(0), call, 1)?, call.number(2)),
            "mknodat" => self.mknod(call, &self.path(Some(0), call, 1)?),
            "fsync" | "fdatasync" => match self.inode(call, 0, leader) {
                Some(inode) => {
                    self.note(call, Deed::Sync(Scope::Inode(inode)), &shown(&self.opened(call, 0)))
                }
                None => Ok(()),
            },
            "syncfs" => match self.inside(&self.opened(call, 0)) {
                Some(_) => self.note(call, Deed::Sync(Scope::Everything), "the file system"),
                None => Ok(()),
            },
            "execve" => match self.inside(&call.string(0).unwrap_or_default()) {
                Some(path) => self.note(call, Deed::Execute(path.to_vec()), ""),
                None => Ok(()),
            },
            "clone" | "clone3" => Ok(()),
            name if ATTRIBUTES.contains(&name) => self.attributes(call, leader),
            _ => self.not_understood(call),
        }
    }

    /// Calls that aren't understood may do what they like elsewhere.
    fn not_understood(&self, call: &Call) -> Done {
        let strings = (0..call.arguments.len()).filter_map(|index| call.string(index));
        let opened = (0..call.arguments.len()).map(|index| self.opened(call, index));
        if strings.chain(opened).any(|path| self.inside(&path).is_some()) {
            return Err("it touches the data directory, and is not understood".into());
        }
        Ok(())
    }

    /// A path relative to the data directory; `None` for one that is elsewhere, or in an attempt whether overlays work here: what
    /// is below a mount, and what the kernel writes for it, are no system calls' paths. Nobody looks into it but who removes it.
    fn inside<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let rest = path.strip_prefix(self.root).filter(|path| !contains(path, b"/tmp-overlay/"))?;
        (rest.is_empty() || rest.starts_with(b"/")).then(|| rest.strip_prefix(b"/").unwrap_or(rest))
    }

    /// A path among the arguments, made absolute by the descriptor of a directory.
    fn path(&self, base: Option<usize>, call: &Call, index: usize) -> Result<Vec<u8>, String> {
        let path = call.string(index).ok_or("it has no path")?;
        if path.starts_with(b"/") {
            return Ok(path);
        }
        let mut whole = base.map(|base| self.opened(call, base)).ok_or("its path is relative")?;
        if !path.is_empty() {
            whole.push(b'/');
            whole.extend(path);
        }
        Ok(whole)
    }

    /// Where a descriptor leads to, by strace.
    fn opened(&self, call: &Call, index: usize) -> Vec<u8> {
        call.descriptor(index).map(|descriptor| descriptor.path).unwrap_or_default()
    }

    /// The inode that a descriptor leads to, if it is in the data directory.
    fn inode(&self, call: &Call, index: usize, leader: u32) -> Option<Inode> {
        let Descriptor { number, path } = call.descriptor(index)?;
        let known = number.and_then(|number| self.open.get(&(leader, number)));
        known.map(|open| open.inode).or_else(|| self.now.find(self.inside(&path)?))
    }

    fn file(&self, call: &Call, index: usize, leader: u32) -> Option<Inode> {
        self.inode(call, index, leader).filter(|inode| self.now.file(*inode).is_some())
    }

    /// The directory and the name that a path in the data directory ends with; `None` for a path elsewhere.
    fn name(&self, path: &[u8]) -> Result<Option<(Inode, Name)>, String> {
        let Some(inside) = self.inside(path) else { return Ok(None) };
        let (directory, name) = match inside.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&inside[..at], &inside[at + 1..]),
            None => (&inside[..0], inside),
        };
        let directory = self.now.find(directory).ok_or("its directory was never recorded")?;
        Ok(Some((directory, name.into())))
    }

    fn known(&self, directory: Inode, name: &Name) -> Option<Inode> {
        self.now.directory(directory)?.get(name).copied()
    }

    fn born(&mut self, content: Content, mode: u32) -> Inode {
        let attributes = Attributes { mode, ..Attributes::default() };
        self.start.add(content.clone(), attributes.clone());
        self.now.add(content, attributes)
    }

    fn note(&mut self, call: &Call, deed: Deed, about: &str) -> Done {
        if let Deed::Change(changes) = &deed {
            changes.iter().for_each(|change| self.now.apply(change));
        }
        let began = self.ended.partition_point(|ended| *ended <= call.began + ROUNDING);
        self.ended.push(call.ended);
        let about = about
            .replace(&*String::from_utf8_lossy(self.root), "")
            .replace("/dockerloader/", "")
            .replace("storage/v1/", "");
        self.operations.push(Operation {
            deed,
            label: format!("{} {about}", call.name).trim().to_owned(),
            began,
        });
        Ok(())
    }

    fn change(&mut self, call: &Call, changes: Vec<Change>, about: &str) -> Done {
        self.note(call, Deed::Change(changes), about)
    }

    fn open(&mut self, call: &Call, leader: u32, flags: usize, mode: Option<u64>) -> Done {
        let number = call.returned().and_then(|number| i32::try_from(number).ok()).ok_or("no descriptor")?;
        // Where it led to in the end.
        let (_, path) = call.result.split_once('<').unwrap_or_default();
        let path = super::strace::path(path).ok_or("no path")?;
        let flags = call.argument(flags);
        self.open.remove(&(leader, number));
        let mode = mode.map_or(0, |mode| mode as u32 & !self.umask);
        if flags.contains("O_TMPFILE") {
            let inode = self.born(Content::File(Bytes::new(Vec::new())), mode);
            self.open.insert((leader, number), Open { inode, offset: 0 });
            return Ok(());
        }
        let Some((directory, name)) = self.name(&path)? else { return Ok(()) };
        let inode = if name.is_empty() { self.now.find(b"") } else { self.known(directory, &name) };
        let inode = match inode {
            Some(inode) => {
                if flags.contains("O_TRUNC")
                    && self.now.file(inode).is_some_and(|file| !file.bytes.is_empty())
                {
                    self.change(call, vec![Change::Length { file: inode, length: 0 }], &shown(&path))?;
                }
                inode
            }
            None if flags.contains("O_CREAT") => {
                let inode = self.born(Content::File(Bytes::new(Vec::new())), mode);
                let named = Change::Name { directory, name, inode: Some(inode) };
                self.change(call, vec![named], &shown(&path))?;
                inode
            }
            // Below a mount, for example: if it matters, the comparison at the end finds it.
            None => return Ok(()),
        };
        self.open.insert((leader, number), Open { inode, offset: 0 });
        Ok(())
    }

    fn seek(&mut self, call: &Call, leader: u32) -> Done {
        let number = call.descriptor(0).and_then(|descriptor| descriptor.number);
        if let (Some(number), Some(offset)) = (number, call.returned())
            && let Some(open) = self.open.get_mut(&(leader, number))
        {
            open.offset = offset as usize;
        }
        Ok(())
    }

    fn write_on(&mut self, call: &Call, leader: u32) -> Done {
        let Some(file) = self.file(call, 0, leader) else { return Ok(()) };
        let bytes = if call.name == "write" { call.string(1) } else { call.buffers(1) };
        let mut bytes = bytes.ok_or("its bytes were cut off")?;
        bytes.truncate(call.returned().unwrap_or_default() as usize);
        let number = call.descriptor(0).and_then(|descriptor| descriptor.number).unwrap_or_default();
        let open = self.open.get_mut(&(leader, number)).ok_or("who opened it was never recorded")?;
        let offset = open.offset;
        open.offset += bytes.len();
        self.write(call, file, offset, bytes)
    }

    fn write_at(&mut self, call: &Call, leader: u32) -> Done {
        let Some(file) = self.file(call, 0, leader) else { return Ok(()) };
        let bytes = if call.name == "pwrite64" { call.string(1) } else { call.buffers(1) };
        let mut bytes = bytes.ok_or("its bytes were cut off")?;
        bytes.truncate(call.returned().unwrap_or_default() as usize);
        self.write(call, file, number(call, 3)?, bytes)
    }

    fn write(&mut self, call: &Call, file: Inode, offset: usize, bytes: Vec<u8>) -> Done {
        let about = format!("{} ({} bytes at {offset})", shown(&self.opened(call, 0)), bytes.len());
        self.change(call, vec![Change::Write { file, offset, bytes: bytes.into() }], &about)
    }

    fn copy(&mut self, call: &Call, leader: u32) -> Done {
        let Some(to) = self.file(call, 2, leader) else { return Ok(()) };
        let from = self.file(call, 0, leader).ok_or("it copies from elsewhere")?;
        let (start, offset) = (number(call, 1)?, number(call, 3)?);
        let length = call.returned().unwrap_or_default() as usize;
        let source = self.now.file(from).and_then(|file| file.bytes.get(start..start + length));
        let bytes: Arc<[u8]> = source.ok_or("it copies what was never recorded")?.into();
        let about = format!("{} ({length} bytes at {offset})", shown(&self.opened(call, 2)));
        self.change(call, vec![Change::Write { file: to, offset, bytes }], &about)
    }

    fn cut(&mut self, call: &Call, file: Inode, length: usize) -> Done {
        self.change(call, vec![Change::Length { file, length }], &shown(&self.opened(call, 0)))
    }

    fn allocate(&mut self, call: &Call, leader: u32) -> Done {
        let Some(file) = self.file(call, 0, leader) else { return Ok(()) };
        let (mode, start, length) = (call.argument(1), number(call, 2)?, number(call, 3)?);
        let size = self.now.file(file).map_or(0, |file| file.bytes.len());
        if mode.contains("PUNCH_HOLE") {
            let end = (start + length).min(size);
            let bytes: Arc<[u8]> = vec![0; end.saturating_sub(start)].into();
            let about = shown(&self.opened(call, 0));
            return self.change(call, vec![Change::Write { file, offset: start, bytes }], &about);
        }
        if mode == "0" && start + length > size { self.cut(call, file, start + length) } else { Ok(()) }
    }

    fn rename(&mut self, call: &Call, from: &[u8], to: &[u8], exchange: bool) -> Done {
        let about = format!("{} {}", shown(from), shown(to));
        let (from, to) = match (self.name(from)?, self.name(to)?) {
            (Some(from), Some(to)) => (from, to),
            (None, None) => return Ok(()),
            _ => return Err("it crosses the border of the data directory".into()),
        };
        let (one, other) = (self.known(from.0, &from.1), self.known(to.0, &to.1));
        let other = if exchange { other } else { None };
        let away = Change::Name { directory: from.0, name: from.1, inode: other };
        let there = Change::Name { directory: to.0, name: to.1, inode: one };
        self.change(call, vec![away, there], &about)
    }

    fn link(&mut self, call: &Call, from: &[u8], to: &[u8]) -> Done {
        let Some((directory, name)) = self.name(to)? else { return Ok(()) };
        let (from, inode) = self.name(from)?.ok_or("it links from elsewhere")?;
        let inode = self.known(from, &inode).ok_or("what it links was never recorded")?;
        self.change(call, vec![Change::Name { directory, name, inode: Some(inode) }], &shown(to))
    }

    fn symlink(&mut self, call: &Call, path: &[u8]) -> Done {
        let Some((directory, name)) = self.name(path)? else { return Ok(()) };
        let target = call.string(0).ok_or("no target")?;
        let inode = self.born(Content::Link(target.into()), 0o777);
        self.change(call, vec![Change::Name { directory, name, inode: Some(inode) }], &shown(path))
    }

    fn unlink(&mut self, call: &Call, path: &[u8]) -> Done {
        let Some((directory, name)) = self.name(path)? else { return Ok(()) };
        self.change(call, vec![Change::Name { directory, name, inode: None }], &shown(path))
    }

    fn mkdir(&mut self, call: &Call, path: &[u8], mode: Option<u64>) -> Done {
        let Some((directory, name)) = self.name(path)? else { return Ok(()) };
        let mode = mode.ok_or("no mode")? as u32 & !self.umask;
        let inode = self.born(Content::Directory(Arc::default()), mode);
        self.change(call, vec![Change::Name { directory, name, inode: Some(inode) }], &shown(path))
    }

    fn mknod(&mut self, call: &Call, path: &[u8]) -> Done {
        let Some((directory, name)) = self.name(path)? else { return Ok(()) };
        let (kind, mode) = call.argument(2).split_once('|').unwrap_or((call.argument(2), "0"));
        let mode = u32::from_str_radix(mode, 8).unwrap_or_default() & !self.umask;
        let inode = self.born(Content::Node(format!("{kind} {}", call.argument(3)).into()), mode);
        self.change(call, vec![Change::Name { directory, name, inode: Some(inode) }], &shown(path))
    }

    fn attributes(&mut self, call: &Call, leader: u32) -> Done {
        let by_descriptor = call.name.starts_with('f') && !call.name.ends_with("at")
            || call.name == "utimensat" && call.argument(1) == "NULL";
        let (inode, first, about) = if by_descriptor {
            (self.inode(call, 0, leader), 1, self.opened(call, 0))
        } else {
            let at = call.name.ends_with("at");
            let path = if at { self.path(Some(0), call, 1)? } else { self.path(None, call, 0)? };
            let inode = match self.by_descriptor_of(&path, leader) {
                Some(inode) => Some(inode),
                None => self.inside(&path).and_then(|inside| self.now.find(inside)),
            };
            (inode, if at { 2 } else { 1 }, path)
        };
        let Some(inode) = inode else {
            let is_inside = self.inside(&about).is_some();
            return if is_inside { Err("whom it concerns was never recorded".into()) } else { Ok(()) };
        };
        let mut attributes = Attributes::clone(self.now.attributes(inode));
        let first = if call.name == "utimensat" { 2 } else { first };
        change_attributes(&mut attributes, call, first)?;
        if **self.now.attributes(inode) == attributes {
            return Ok(());
        }
        let changed = Change::Attributes { inode, attributes: Arc::new(attributes) };
        self.change(call, vec![changed], &shown(&about))
    }

    /// `/proc/self/fd/7`: another way to say descriptor 7.
    fn by_descriptor_of(&self, path: &[u8], leader: u32) -> Option<Inode> {
        let path = std::str::from_utf8(path).ok()?;
        let number =
            ["/proc/self/fd/", "/proc/thread-self/fd/"].iter().find_map(|start| path.strip_prefix(start))?;
        self.open.get(&(leader, number.parse().ok()?)).map(|open| open.inode)
    }
}

const ATTRIBUTES: &[&str] = &[
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
    "utimensat",
];

/// `first` is the argument behind the one that says whom it concerns.
fn change_attributes(attributes: &mut Attributes, call: &Call, first: usize) -> Done {
    match call.name.trim_start_matches(['f', 'l']) {
        "chmod" | "chmodat" => attributes.mode = call.number(first).ok_or("no mode")? as u32,
        "chown" | "chownat" => {
            let id = |index, old| match call.argument(index) {
                "-1" => Ok(old),
                text => text.parse().map_err(|_| format!("{text} is no owner")),
            };
            attributes.owner = (id(first, attributes.owner.0)?, id(first + 1, attributes.owner.1)?);
            // chown(2): the set-id bits of an executable are cleared, by root as well.
            attributes.mode &= 0o1777;
        }
        "setxattr" => {
            let (name, value) =
                call.string(first).zip(call.string(first + 1)).ok_or("no extended attribute")?;
            attributes.extended.insert(name, value);
        }
        "removexattr" => drop(attributes.extended.remove(&call.string(first).ok_or("no name")?)),
        "utimensat" => {
            let (_, modified) = call.argument(first).rsplit_once('{').ok_or("no times")?;
            let value = |name: &str| {
                let (_, rest) = modified.split_once(name)?;
                rest.split([',', '}']).next()?.parse::<i64>().ok()
            };
            if let Some(seconds) = value("tv_sec=") {
                attributes.modified = Some((seconds, value("tv_nsec=").unwrap_or_default() as u32));
            }
        }
        _ => return Err("it is not understood".into()),
    }
    Ok(())
}

fn number(call: &Call, index: usize) -> Result<usize, String> {
    let number = call.number(index).and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| format!("{} is no number", call.argument(index)))
}

fn contains(path: &[u8], part: &[u8]) -> bool {
    path.windows(part.len()).any(|window| window == part)
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
