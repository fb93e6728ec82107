//! Methods of the crate's own types, wherever in the crate their `impl` stands.

use super::content::{Def, Impl};
use super::{Crate, Env, Function, ModuleId, ROOT, Ty, TypeDef};
use std::path::{Path, PathBuf};
use std::rc::Rc;

impl Crate {
    /// The method or associated function `name` of a type. Files that may hold it are read; the others are not.
    pub(crate) fn method(&self, ty: &Rc<TypeDef>, name: &str) -> Option<Rc<Function>> {
        if let Some(found) = self.loaded_method(ty, name) {
            return Some(found);
        }
        let before = self.modules.borrow().len();
        let signature = format!("fn {name}");
        for file in self.listing() {
            let holds =
                |text: String| text.contains("impl") && text.contains(&ty.name) && text.contains(&signature);
            if self.read(file).is_some_and(holds) {
                self.load(file);
            }
        }
        let grown = self.modules.borrow().len() > before;
        grown.then(|| self.loaded_method(ty, name)).flatten()
    }

    fn loaded_method(&self, ty: &Rc<TypeDef>, name: &str) -> Option<Rc<Function>> {
        let count = self.modules.borrow().len();
        (0..count).find_map(|id| {
            let content = self.module(id).content.get()?.clone();
            let of_type = |block: &&Impl| self.is_of(block, id, ty);
            let methods = content.impls.iter().filter(of_type).flat_map(|block| &block.methods);
            methods.into_iter().find(|method| method.name == name).cloned()
        })
    }

    fn is_of(&self, block: &Impl, module: ModuleId, ty: &Rc<TypeDef>) -> bool {
        let syn::Type::Path(path) = &*block.self_ty else { return false };
        if path.path.segments.last().is_none_or(|last| last.ident != ty.name.as_str()) {
            return false;
        }
        let env = Env { module, blocks: Vec::new(), self_ty: None };
        matches!(self.type_at(&env, &block.self_ty), Ty::Local(found, _) if Rc::ptr_eq(&found, ty))
    }

    /// Reads the module of a file, if the crate has it where one expects it: `a/b.rs` or `a/b/mod.rs` is `a::b`.
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

/// No crate nests deeper, or has more files that a person wrote.
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
