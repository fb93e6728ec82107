//! The place of an item: the scope and the `impl` around it.

use super::content::{Content, Origin};
use super::item::{Impl, lines};
use super::{Builder, Crate, Env, Forced, Function, Module, ModuleId, ROOT};
use std::cell::OnceCell;
use std::path::Path;
use std::rc::Rc;
use syn::visit::{self, Visit};
use syn::{Block, Type};

/// A line of a file.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) file: Rc<Path>,
    /// From 1.
    pub(crate) line: usize,
}

impl Crate {
    /// The scope at a place. A file that is not part of the crate counts as its root, with nothing known
    /// about it.
    pub(crate) fn env_at(&self, place: Option<&Place>) -> Env {
        let unknown = || Env { module: self.nowhere(), blocks: Vec::new(), self_ty: None };
        let Some(place) = place.filter(|_| self.is_known()) else { return unknown() };
        let Some(mut module) = self.module_of(&place.file) else { return unknown() };
        let _forced = Forced::new();
        loop {
            let content = self.content(module);
            let holds = |start: usize, end: usize| start < place.line && place.line <= end;
            if let Some(child) = content.inline.iter().find(|child| holds(child.start, child.end)) {
                module = child.id;
                continue;
            }
            if let Some(inner) = content.functions.iter().find_map(|function| self.within(function, place)) {
                module = inner;
                continue;
            }
            return Env { module, blocks: Vec::new(), self_ty: impl_at(&content, place) };
        }
    }

    /// A scope with nothing known about it.
    fn nowhere(&self) -> ModuleId {
        let root = self.module(ROOT);
        let content = OnceCell::new();
        let _ = content.set(Rc::default());
        self.push(Module {
            path: Vec::new(),
            parent: None,
            block: false,
            file: root.file.clone(),
            directory: root.directory.clone(),
            marked: false,
            content,
        })
    }

    /// The scope of the blocks of `function` around the place, if they declare something.
    fn within(&self, function: &Function, place: &Place) -> Option<ModuleId> {
        let mut blocks = Around { line: place.line, found: Vec::new() };
        blocks.visit_block(&function.block);
        let mut scope = None;
        for block in blocks.found {
            let parent = scope.unwrap_or(function.module);
            let outer = self.module(parent);
            let id = self.push(Module {
                path: outer.path.clone(),
                parent: Some(parent),
                block: true,
                file: outer.file.clone(),
                directory: outer.directory.clone(),
                marked: outer.marked,
                content: OnceCell::new(),
            });
            let origin = Origin { module: id, file: outer.file.clone(), marked: false };
            let mut builder = Builder { krate: self, parent: id };
            let content = Content::of_block(block, &origin, self.cfgs(), &mut builder);
            let _ = self.module(id).content.set(Rc::new(content));
            scope = Some(id);
        }
        scope
    }

    /// The module of this file.
    fn module_of(&self, file: &Path) -> Option<ModuleId> {
        let known = |krate: &Self| {
            let modules = krate.modules.borrow();
            modules
                .iter()
                .position(|module| *module.file == *file && !module.block && is_top(&modules, module))
        };
        if let Some(id) = known(self).or_else(|| self.load(file)) {
            return Some(id);
        }
        // `#[path]`, or modules in files with other names: searches all of them.
        let mut next = ROOT;
        while next < self.modules.borrow().len() {
            if !self.module(next).block {
                self.content(next);
            }
            if let Some(id) = known(self) {
                return Some(id);
            }
            next += 1;
        }
        None
    }
}

/// Whether a module is the one of its file, and not an inline one in it.
fn is_top(modules: &[Rc<Module>], module: &Module) -> bool {
    module.parent.is_none_or(|parent| modules[parent].file != module.file)
}

/// The type `Self` at a place: that of the `impl` whose method's lines are around it.
fn impl_at(content: &Content, place: &Place) -> Option<Rc<Type>> {
    let near = |block: &&Impl| {
        block.methods.iter().any(|method| {
            let (_, end) = lines(&method.block);
            (method.line..=end).contains(&place.line)
        })
    };
    content.impls.iter().find(near).map(|block| block.self_ty.clone())
}

/// The blocks around a line that declare items, outermost first.
struct Around<'a> {
    line: usize,
    found: Vec<&'a Block>,
}

impl<'a> Visit<'a> for Around<'a> {
    fn visit_block(&mut self, block: &'a Block) {
        let span = block.brace_token.span.join();
        if span.start().line >= self.line || span.end().line < self.line {
            return;
        }
        if block.stmts.iter().any(|stmt| matches!(stmt, syn::Stmt::Item(_))) {
            self.found.push(block);
        }
        visit::visit_block(self, block);
    }
}
