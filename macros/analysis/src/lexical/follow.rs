//! Functions of the same crate, followed to whatever they reach. Each is read once a process; what it reaches is
//! kept as text, for its tokens must not meet the compiler's.

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

/// One way to a forbidden call.
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

/// A longer chain is cut: nobody reads it.
const MAX_DEPTH: usize = 64;
/// Of one function, so many ways are kept.
const MAX_REACHES: usize = 16;

type Reaches = Rc<Vec<Reach>>;

thread_local! {
    /// What is known of the functions of the crate, by address; each is kept, so that no other gets its address.
    static KNOWN: RefCell<HashMap<*const Function, (Rc<Function>, Reaches)>> = RefCell::default();
    /// Those that are being followed.
    static OPEN: RefCell<Open> = RefCell::default();
}

#[derive(Default)]
struct Open {
    functions: Vec<*const Function>,
    statics: Vec<*const Static>,
    /// What initializers reach; each `static` is kept, so that no other gets its address.
    initialized: HashMap<*const Static, (Rc<Static>, Vec<Reach>)>,
    /// What was found in functions of a circle since the outermost one was opened: each is read once.
    seen: HashMap<*const Function, Reaches>,
    /// How far down a circle of calls was met: what is above it is not known in full.
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
    /// A call of, or a pointer to, a function of the crate.
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

    /// What the initializer of a `static` reaches: it runs when the workflow first touches it.
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
    /// Opens a function and gives its depth; or, of one that is open or was read already, what is known of it.
    fn enter(&mut self, key: *const Function) -> Result<usize, Reaches> {
        if let Some(partial) = self.seen.get(&key) {
            // It may lack what goes through an open function: so only the outermost one will be known in full.
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

    /// Closes it. Returns whether what was found is all.
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

/// What a function reaches.
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

/// The chains of `hits`, each behind `step`, every forbidden call once.
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

/// A file as the user names it: from the package's folder.
pub(super) fn shown(file: &Path) -> String {
    if file.as_os_str().is_empty() {
        return "in this body".to_owned();
    }
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(std::path::PathBuf::from);
    let from_package = || {
        let package = package?;
        let inside = file.strip_prefix(&package).ok().map(Path::to_path_buf);
        // rustc's paths start at the workspace's folder.
        inside.or_else(|| {
            let here = std::env::current_dir().ok()?;
            here.join(file).strip_prefix(&package).ok().map(Path::to_path_buf)
        })
    };
    from_package().unwrap_or_else(|| file.to_path_buf()).display().to_string()
}

/// What a `macro_rules!` of the crate brings, behind a step for the macro itself.
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
