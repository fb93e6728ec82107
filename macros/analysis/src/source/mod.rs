//! The user's crate as text: the module of a place, the meaning of a path there, the body of a function.
//!
//! Files are parsed only when a path leads into them, once per process. Their tokens are proc-macro2's own,
//! with lines and columns. [`Forced`] keeps them apart from the compiler's tokens, because they must never be
//! mixed. No code here changes or writes a file. Anything that cannot be read is unknown, never an error.

mod cfg;
mod content;
mod invocation;
mod item;
mod locate;
mod methods;
mod resolve;
mod types;

pub(crate) use cfg::{Predicate, is_off, is_punct, text};
pub(crate) use content::{Content, Origin};
pub(crate) use item::{Function, Macro, Static, TypeDef, Written, attrs_of, attrs_of_mut};
pub(crate) use locate::Place;
pub(crate) use resolve::{Env, Found, Want};
pub(crate) use types::Ty;

use crate::depth;
use content::Modules;
use invocation::Invocation;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use syn::Item;

/// A module's index in its crate's table.
pub(crate) type ModuleId = usize;

/// The crate's root module.
const ROOT: ModuleId = 0;
/// The largest file that is read. Larger files are not written by hand.
const MAX_FILE_BYTES: usize = 2 << 20;

/// A crate's source.
pub(crate) struct Crate {
    files: Files,
    invocation: Invocation,
    modules: RefCell<Vec<Rc<Module>>>,
    /// All files below the root, once they are needed.
    listing: OnceCell<Vec<PathBuf>>,
    /// Their texts, for the files that were searched.
    texts: RefCell<HashMap<PathBuf, Option<Rc<str>>>>,
    /// The methods that were searched for, by type and name.
    asked: RefCell<HashSet<(String, String)>>,
}

/// The source of the text.
enum Files {
    Disk,
    #[cfg(test)]
    Memory(HashMap<PathBuf, String>),
}

struct Module {
    /// For display: `a::b`.
    path: Vec<String>,
    parent: Option<ModuleId>,
    /// Whether it is a scope in a function, which also sees its parent's names.
    block: bool,
    file: Rc<Path>,
    /// The folder of the files of child modules.
    directory: PathBuf,
    marked: bool,
    content: OnceCell<Rc<Content>>,
}

thread_local! {
    /// The crate that this rustc compiles. The threads of a macro server have none.
    static CURRENT: OnceCell<Rc<Crate>> = const { OnceCell::new() };
    static FORCED: Cell<u32> = const { Cell::new(0) };
}

/// While it exists, new tokens are proc-macro2's own, with positions, even in a macro.
pub(crate) struct Forced(());

impl Forced {
    pub(crate) fn new() -> Self {
        FORCED.set(FORCED.get() + 1);
        proc_macro2::fallback::force();
        Self(())
    }
}

impl Drop for Forced {
    fn drop(&mut self) {
        FORCED.set(FORCED.get() - 1);
        if FORCED.get() == 0 {
            proc_macro2::fallback::unforce();
        }
    }
}

impl Crate {
    /// The crate under compilation, or an empty one if no rustc runs.
    pub(crate) fn current() -> Rc<Self> {
        CURRENT.with(|current| {
            let new = || match Invocation::current() {
                Some(invocation) => Rc::new(Self::new(Files::Disk, invocation)),
                None => Rc::new(Self::empty()),
            };
            current.get_or_init(new).clone()
        })
    }

    fn new(files: Files, invocation: Invocation) -> Self {
        let root = invocation.root.clone();
        let module = Module {
            path: Vec::new(),
            parent: None,
            block: false,
            directory: root.parent().map(Path::to_path_buf).unwrap_or_default(),
            file: Rc::from(root),
            marked: false,
            content: OnceCell::new(),
        };
        Self {
            files,
            invocation,
            modules: RefCell::new(vec![Rc::new(module)]),
            listing: OnceCell::new(),
            texts: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    /// A crate about which only its standard dependencies are known.
    fn empty() -> Self {
        let krate = Self::new(Files::Disk, Invocation::default());
        let root = krate.module(ROOT);
        let _ = root.content.set(Rc::default());
        krate
    }

    /// A crate with these files, for tests. The first is its root. `externs` are the names of its
    /// dependencies.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)], externs: &[(&str, &str)]) -> Rc<Self> {
        let owned = |(name, own): &(&str, &str)| ((*name).to_owned(), (*own).to_owned());
        let invocation = Invocation {
            root: PathBuf::from(files[0].0),
            externs: externs.iter().map(owned).collect(),
            cfgs: Vec::new(),
        };
        let files = files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
        Rc::new(Self::new(Files::Memory(files), invocation))
    }

    /// Whether the source can be read.
    pub(crate) fn is_known(&self) -> bool {
        !self.invocation.root.as_os_str().is_empty()
    }

    fn module(&self, id: ModuleId) -> Rc<Module> {
        self.modules.borrow()[id].clone()
    }

    /// `a::b::name`, as it is shown in a chain of calls.
    pub(crate) fn display(&self, id: ModuleId, name: &str) -> String {
        let module = self.module(id);
        let mut path = module.path.clone();
        path.push(name.to_owned());
        path.join("::")
    }

    pub(crate) fn cfgs(&self) -> &[String] {
        &self.invocation.cfgs
    }

    /// The declarations of a module. Reads its file at the first call.
    fn content(&self, id: ModuleId) -> Rc<Content> {
        let module = self.module(id);
        if let Some(content) = module.content.get() {
            return content.clone();
        }
        let _forced = Forced::new();
        let parsed = self.read(&module.file).and_then(|text| depth::parse_file(&text).ok());
        let items = parsed.map(|file| file.items).unwrap_or_default();
        let origin = Origin { module: id, file: module.file.clone(), marked: module.marked };
        let mut builder = Builder { krate: self, parent: id };
        let content = Rc::new(Content::of(items, &origin, self.cfgs(), &mut builder));
        module.content.get_or_init(|| content).clone()
    }

    /// The scope of a module in a body under check; see [`Crate::block`].
    pub(crate) fn inner_module(&self, items: &[Item], origin: &Origin) -> Content {
        Content::of(items.iter().cloned(), origin, self.cfgs(), &mut Passing(self))
    }

    /// The scope of a block under check. It ends with the check: its tokens may be the compiler's, and no
    /// expansion may keep them. So none of its modules is kept either.
    pub(crate) fn block(&self, block: &syn::Block, origin: &Origin) -> Content {
        Content::of_block(block, origin, self.cfgs(), &mut Passing(self))
    }

    fn read(&self, file: &Path) -> Option<String> {
        match &self.files {
            Files::Disk => {
                let length = std::fs::metadata(file).ok()?.len();
                let short = usize::try_from(length).is_ok_and(|length| length <= MAX_FILE_BYTES);
                short.then(|| std::fs::read_to_string(file).ok()).flatten()
            }
            #[cfg(test)]
            Files::Memory(files) => files.get(file).cloned(),
        }
    }

    fn exists(&self, file: &Path) -> bool {
        match &self.files {
            Files::Disk => file.is_file(),
            #[cfg(test)]
            Files::Memory(files) => files.contains_key(file),
        }
    }

    fn push(&self, module: Module) -> ModuleId {
        let mut modules = self.modules.borrow_mut();
        modules.push(Rc::new(module));
        modules.len() - 1
    }
}

/// Creates the children of one module.
struct Builder<'a> {
    krate: &'a Crate,
    parent: ModuleId,
}

impl Builder<'_> {
    fn child(&self, name: &str, file: Rc<Path>, directory: PathBuf, marked: bool) -> Module {
        let parent = self.krate.module(self.parent);
        let mut path = parent.path.clone();
        path.push(name.to_owned());
        let parent = Some(self.parent);
        Module { path, parent, block: false, file, directory, marked, content: OnceCell::new() }
    }
}

/// Keeps no modules.
struct Passing<'a>(&'a Crate);

impl Modules for Passing<'_> {
    fn inline(&mut self, _: &str, _: Vec<Item>, _: bool) -> Option<ModuleId> {
        None
    }

    fn file(&mut self, _: &str, _: Option<String>) -> Option<ModuleId> {
        None
    }

    fn external(&self, name: &str) -> Option<String> {
        self.0.invocation.external(name).map(str::to_owned)
    }
}

impl Modules for Builder<'_> {
    fn inline(&mut self, name: &str, items: Vec<Item>, marked: bool) -> Option<ModuleId> {
        let parent = self.krate.module(self.parent);
        let module = self.child(name, parent.file.clone(), parent.directory.join(name), marked);
        let id = self.krate.push(module);
        let origin = Origin { module: id, file: parent.file.clone(), marked };
        let mut builder = Builder { krate: self.krate, parent: id };
        let content = Content::of(items, &origin, self.krate.cfgs(), &mut builder);
        let _ = self.krate.module(id).content.set(Rc::new(content));
        Some(id)
    }

    fn file(&mut self, name: &str, path: Option<String>) -> Option<ModuleId> {
        let parent = self.krate.module(self.parent);
        let beside = || parent.file.parent().map(Path::to_path_buf).unwrap_or_default();
        let (file, directory) = match path {
            Some(path) => {
                let file = beside().join(path);
                let directory = file.parent().map(Path::to_path_buf).unwrap_or_default();
                (file, directory)
            }
            None => {
                let directory = parent.directory.join(name);
                let flat = parent.directory.join(format!("{name}.rs"));
                let file = if self.krate.exists(&flat) { flat } else { directory.join("mod.rs") };
                (file, directory)
            }
        };
        Some(self.krate.push(self.child(name, Rc::from(file), directory, false)))
    }

    fn external(&self, name: &str) -> Option<String> {
        self.krate.invocation.external(name).map(str::to_owned)
    }
}
