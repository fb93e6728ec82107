//! Follows functions of the same crate to all forbidden calls that they reach. Each is read once per process.
//! Results are kept as text, because the tokens must not be mixed with the compiler's.

use super::infer::at;
use super::walk::Walker;
use super::{Hit, Kind, class};
use crate::source::{Crate, Env, Forced, Function, Static};
use quote::ToTokens;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use syn::visit::Visit;

/// One path to a forbidden call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    steps: Vec<Step>,
    /// `AB0103 randomness`.
    class: String,
}

/// A function on the way, or the forbidden call at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    name: String,
    file: String,
    line: usize,
}

/// The most steps of a chain.
const MAX_DEPTH: usize = 64;
/// The most chains kept for one function.
const MAX_REACHES: usize = 16;

type Reaches = Rc<Vec<Reach>>;

thread_local! {
    /// The results for the crate's functions, by address. Each function is kept alive, so that no other gets
    /// its address.
    static KNOWN: RefCell<HashMap<*const Function, (Rc<Function>, Reaches)>> = RefCell::default();
    /// The functions being followed.
    static OPEN: RefCell<Open> = RefCell::default();
}

#[derive(Default)]
struct Open {
    functions: Vec<*const Function>,
    statics: Vec<*const Static>,
    /// The results for initializers. Each `static` is kept alive, so that no other gets its address.
    initialized: HashMap<*const Static, (Rc<Static>, Vec<Reach>)>,
    /// The results for functions of a cycle since the outermost one was entered. Each is read once.
    seen: HashMap<*const Function, Reaches>,
    /// The lowest depth that a cycle of calls leads back to. The results for deeper functions are incomplete.
    circle: Option<usize>,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, Step { name, file, line }) in self.steps.iter().enumerate() {
            let (indent, end) =
                ("  ".repeat(depth + 1), if depth + 1 == self.steps.len() { "" } else { "\n" });
            write!(f, "{indent}-> {name} ({file}:{line}){end}")?;
        }
        write!(f, "  {}", self.class)
    }
}

impl Walker<'_> {
    /// Follows a call of, or a pointer to, a function of the crate.
    pub(super) fn follow(&mut self, function: &Rc<Function>, tokens: &impl ToTokens) {
        if self.krate.is_marked(function) {
            return;
        }
        let chains = reaches(self.krate, function);
        if !chains.is_empty() {
            let what = display(self.krate, function);
            self.hit(tokens, Kind::Reaches { what, chains: chains.as_ref().clone() });
        }
    }

    /// Follows the initializer of a `static`. It runs when the workflow first accesses it.
    pub(super) fn initializer(&self, item: &Rc<Static>, written: &str) -> Vec<Reach> {
        let key = Rc::as_ptr(item);
        let again = OPEN.with_borrow_mut(|open| {
            let again = open.statics.contains(&key);
            open.statics.push(key);
            again
        });
        let known = OPEN.with_borrow(|open| open.initialized.get(&key).cloned());
        let chains = match (again, known) {
            (true, _) => Vec::new(),
            (false, Some((_, chains))) => chains,
            (false, None) => self.read_initializer(item, written),
        };
        OPEN.with_borrow_mut(|open| {
            open.statics.pop();
            if again {
                open.circle = Some(0);
            } else {
                open.initialized.insert(key, (item.clone(), chains.clone()));
            }
        });
        chains
    }

    fn read_initializer(&self, item: &Static, written: &str) -> Vec<Reach> {
        let _forced = Forced::new();
        let mut walker = Walker::new(self.krate, at(item), true);
        walker.visit_expr(&item.init);
        let step = Step { name: written.to_owned(), file: shown(&item.file), line: item.line };
        below(&step, walker.hits, &item.file)
    }
}

impl Open {
    /// Enters a function and returns its depth. If it is open or was read already, returns its result so far.
    fn enter(&mut self, key: *const Function) -> Result<usize, Reaches> {
        if let Some(partial) = self.seen.get(&key) {
            // The result may lack chains through an open function, so only the outermost one will be
            // complete.
            self.circle = Some(0);
            return Err(partial.clone());
        }
        if let Some(at) = self.functions.iter().position(|at| *at == key) {
            self.circle = Some(self.circle.map_or(at, |circle| circle.min(at)));
            return Err(Reaches::default());
        }
        if self.functions.len() >= MAX_DEPTH {
            self.circle = Some(0);
            return Err(Reaches::default());
        }
        self.functions.push(key);
        Ok(self.functions.len() - 1)
    }

    /// Leaves a function. Returns whether its result is complete.
    fn leave(&mut self, key: *const Function, depth: usize, found: &Reaches) -> bool {
        self.functions.pop();
        let complete = self.circle.is_none_or(|circle| circle >= depth);
        if complete {
            self.circle = None;
        } else {
            self.seen.insert(key, found.clone());
        }
        if depth == 0 {
            self.seen.clear();
        }
        complete
    }
}

/// The forbidden calls that a function reaches.
fn reaches(krate: &Crate, function: &Rc<Function>) -> Reaches {
    let key = Rc::as_ptr(function);
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&key).map(|(_, reaches)| reaches.clone())) {
        return known;
    }
    let opened = OPEN.with_borrow_mut(|open| open.enter(key));
    let depth = match opened {
        Ok(depth) => depth,
        Err(partial) => return partial,
    };
    let found = Rc::new(read(krate, function));
    let complete = OPEN.with_borrow_mut(|open| open.leave(key, depth, &found));
    if complete {
        KNOWN.with_borrow_mut(|known| known.insert(key, (function.clone(), found.clone())));
    }
    found
}

fn read(krate: &Crate, function: &Rc<Function>) -> Vec<Reach> {
    let _forced = Forced::new();
    let env = Env { module: function.module, blocks: Vec::new(), self_ty: function.self_ty.clone() };
    let mut walker = Walker::new(krate, env, true);
    walker.function(&function.instrument, &function.sig, &function.block);
    let step = Step { name: display(krate, function), file: shown(&function.file), line: function.line };
    below(&step, walker.hits, &function.file)
}

/// The chains of `hits`, each after `step`. Every forbidden call appears once.
fn below(step: &Step, hits: Vec<Hit>, file: &Path) -> Vec<Reach> {
    let mut found: Vec<Reach> = Vec::new();
    for hit in hits {
        let line = hit.start.start().line;
        let chains = match hit.kind {
            Kind::Rule { code, what, .. } => {
                let plain = what.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
                let name = plain.filter(|plain| !plain.contains('`')).unwrap_or(&what).to_owned();
                let last = Step { name, file: shown(file), line };
                vec![Reach { steps: vec![last], class: class(code) }]
            }
            Kind::Reaches { chains, .. } => chains,
        };
        for mut chain in chains {
            chain.steps.insert(0, step.clone());
            let end = chain.steps.last().cloned();
            let known = found.iter().any(|other| other.steps.last() == end.as_ref());
            if !known && found.len() < MAX_REACHES {
                found.push(chain);
            }
        }
    }
    found
}

/// `util::helper`, `Pricing::quote`.
fn display(krate: &Crate, function: &Function) -> String {
    let of_type = match function.self_ty.as_deref() {
        Some(syn::Type::Path(path)) => {
            path.path.segments.last().map(|last| format!("{}::", last.ident)).unwrap_or_default()
        }
        _ => String::new(),
    };
    krate.display(function.module, &format!("{of_type}{}", function.name))
}

/// The path of a file as the user sees it: relative to the package's folder.
pub(super) fn shown(file: &Path) -> String {
    if file.as_os_str().is_empty() {
        return "in this body".to_owned();
    }
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(std::path::PathBuf::from);
    let from_package = || {
        let package = package?;
        let inside = file.strip_prefix(&package).ok().map(Path::to_path_buf);
        // rustc's paths start in the workspace's folder.
        inside.or_else(|| {
            let here = std::env::current_dir().ok()?;
            here.join(file).strip_prefix(&package).ok().map(Path::to_path_buf)
        })
    };
    from_package().unwrap_or_else(|| file.to_path_buf()).display().to_string()
}

/// The forbidden calls of a `macro_rules!` of the crate, after a step for the macro itself.
pub(super) fn through(name: &str, own: &crate::source::Macro, line: usize, hit: Hit) -> Vec<Reach> {
    let step = Step { name: name.to_owned(), file: shown(&own.file), line: own.line };
    let mut chains = below(&step, vec![hit], &own.file);
    for chain in &mut chains {
        if let [_, last] = chain.steps.as_mut_slice() {
            last.line = line;
        }
    }
    chains
}
