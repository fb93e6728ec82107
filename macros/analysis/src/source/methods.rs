//! Methods of the crate's own types, in any file of the crate.

use super::item::{Def, Impl};
use super::{Crate, Env, Found, Function, ModuleId, ROOT, Static, Ty, TypeDef, Want, Written};
use std::path::{Path, PathBuf};
use std::rc::Rc;

impl Crate {
    /// The method or associated function `name` of a type. With `of_trait`, the one of that trait. Only files
    /// that may contain it are read. Also `None` if several are possible, because only rustc can decide.
    pub(crate) fn method(
        &self,
        ty: &Rc<TypeDef>,
        name: &str,
        of_trait: Option<&Rc<TypeDef>>,
    ) -> Option<Rc<Function>> {
        let signature = format!("fn {name}");
        let asked = self.asked.borrow_mut().insert((ty.name.clone(), name.to_owned()));
        for file in self.listing().iter().filter(|_| asked) {
            let holds =
                |text: &str| text.contains("impl") && text.contains(&ty.name) && text.contains(&signature);
            if self.text(file).is_some_and(|text| holds(&text)) && !self.is_loaded(file) {
                self.load(file);
            }
        }
        let (mut own, mut of_traits, mut defaults) = (Vec::new(), Vec::new(), Vec::new());
        self.each_impl(ty, |block, module| {
            let implemented = block.of_trait.as_ref().map(|path| self.trait_at(module, path));
            if of_trait
                .is_some_and(|wanted| !matches!(&implemented, Some(Some(found)) if Rc::ptr_eq(found, wanted)))
            {
                return;
            }
            let method = block.methods.iter().find(|method| method.name == name).cloned();
            match (method, implemented) {
                (Some(method), None) => own.push(method),
                (Some(method), Some(_)) => of_traits.push(method),
                (None, Some(Some(def))) => defaults.push(def),
                (None, _) => {}
            }
        });
        if own.is_empty() {
            own = of_traits;
            for def in defaults {
                self.each_impl(&def, |block, _| {
                    own.extend(block.methods.iter().filter(|method| method.name == name).cloned());
                });
            }
        }
        match own.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        }
    }

    /// The constant `name` of a type, in the files read so far.
    pub(crate) fn constant(&self, ty: &Rc<TypeDef>, name: &str) -> Option<Rc<Static>> {
        let mut found = None;
        self.each_impl(ty, |block, _| {
            let constant = block.constants.iter().find(|(own, _)| own == name);
            found = found.take().or_else(|| constant.map(|(_, constant)| constant.clone()));
        });
        found
    }

    fn trait_at(&self, module: ModuleId, path: &Written) -> Option<Rc<TypeDef>> {
        let env = Env { module, blocks: Vec::new(), self_ty: None };
        match self.resolve(&env, path, Want::Type) {
            Some(Found::Type(def, rest)) if rest.is_empty() => Some(def),
            _ => None,
        }
    }

    /// The text of a file. Each file is read once.
    fn text(&self, file: &Path) -> Option<Rc<str>> {
        let mut texts = self.texts.borrow_mut();
        let read = || self.read(file).map(Rc::from);
        texts.entry(file.to_path_buf()).or_insert_with(read).clone()
    }

    fn is_loaded(&self, file: &Path) -> bool {
        let modules = self.modules.borrow();
        modules.iter().any(|module| *module.file == *file && module.content.get().is_some())
    }

    /// All impls of a type in the files read so far.
    fn each_impl(&self, ty: &Rc<TypeDef>, mut f: impl FnMut(&Impl, ModuleId)) {
        let count = self.modules.borrow().len();
        for id in 0..count {
            let Some(content) = self.module(id).content.get().cloned() else { continue };
            content.impls.iter().filter(|block| self.is_of(block, id, ty)).for_each(|block| f(block, id));
        }
    }

    /// Whether an attribute of abide is on a function, under any name.
    pub(crate) fn is_marked(&self, function: &Function) -> bool {
        let env = Env { module: function.module, blocks: Vec::new(), self_ty: None };
        let ours = |path: &Written| match self.resolve(&env, path, Want::Macro) {
            Some(Found::Foreign(path)) => path.first().is_some_and(|first| first == "abide"),
            _ => false,
        };
        function.marked || function.attributes.iter().any(ours)
    }

    fn is_of(&self, block: &Impl, module: ModuleId, ty: &Rc<TypeDef>) -> bool {
        let syn::Type::Path(path) = &*block.self_ty else { return false };
        if path.path.segments.last().is_none_or(|last| last.ident != ty.name.as_str()) {
            return false;
        }
        let env = Env { module, blocks: Vec::new(), self_ty: None };
        matches!(self.type_at(&env, &block.self_ty), Ty::Local(found, _) if Rc::ptr_eq(&found, ty))
    }

    /// Reads the module of a file if it is in its standard place: `a/b.rs` or `a/b/mod.rs` is `a::b`.
    pub(super) fn load(&self, file: &Path) -> Option<ModuleId> {
        let directory = self.module(ROOT).directory.clone();
        let relative = file.strip_prefix(&directory).ok()?.with_extension("");
        let mut id = ROOT;
        self.content(id);
        if *file == *self.module(ROOT).file {
            return Some(ROOT);
        }
        for part in &relative {
            let part = part.to_str()?;
            if part == "mod" {
                continue;
            }
            let content = self.content(id);
            let child = content.names.get(part)?.iter().find_map(|def| match def {
                Def::Module(id) => Some(*id),
                _ => None,
            })?;
            id = child;
        }
        self.content(id);
        (*self.module(id).file == *file).then_some(id)
    }

    /// All Rust files below the root's folder.
    fn listing(&self) -> &[PathBuf] {
        self.listing.get_or_init(|| match &self.files {
            super::Files::Disk => {
                let mut files = Vec::new();
                if self.is_known() {
                    list(&self.module(ROOT).directory, 0, &mut files);
                }
                files
            }
            #[cfg(test)]
            super::Files::Memory(files) => {
                let mut files: Vec<PathBuf> = files.keys().cloned().collect();
                files.sort();
                files
            }
        })
    }
}

/// The limits on folder depth and files. Crates written by people stay below them.
const MAX_DEPTH: usize = 16;
const MAX_FILES: usize = 10_000;

fn list(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if files.len() >= MAX_FILES {
            return;
        }
        if path.is_dir() && depth < MAX_DEPTH {
            list(&path, depth + 1, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
