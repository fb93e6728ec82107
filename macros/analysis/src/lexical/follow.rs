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
    pub(super) fn initializer(&self, item: &Static, written: &str) -> Vec<Reach> {
        let _forced = Forced::new();
        let mut walker = Walker::new(self.krate, at(item), true);
        walker.visit_expr(&item.init);
        let step = Step { name: written.to_owned(), file: shown(&item.file), line: item.line };
        below(&step, walker.hits, &item.file)
    }
}

/// What a function reaches.
fn reaches(krate: &Crate, function: &Rc<Function>) -> Reaches {
    let key = Rc::as_ptr(function);
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&key).map(|(_, reaches)| reaches.clone())) {
        return known;
    }
    let depth = OPEN.with_borrow_mut(|open| {
        let again = open.functions.iter().position(|at| *at == key);
        if let Some(at) = again {
            open.circle = Some(open.circle.map_or(at, |circle| circle.min(at)));
        }
        let go_on = again.is_none() && open.functions.len() < MAX_DEPTH;
        go_on.then(|| {
            open.functions.push(key);
            open.functions.len() - 1
        })
    });
    let Some(depth) = depth else { return Reaches::default() };
    let found = Rc::new(read(krate, function));
    let complete = OPEN.with_borrow_mut(|open| {
        open.functions.pop();
        let complete = open.circle.is_none_or(|circle| circle >= depth);
        if complete {
            open.circle = None;
        }
        complete
    });
    if complete {
        KNOWN.with_borrow_mut(|known| known.insert(key, (function.clone(), found.clone())));
    }
    found
}

fn read(krate: &Crate, function: &Rc<Function>) -> Vec<Reach> {
    let _forced = Forced::new();
    let env = Env { module: function.module, blocks: Vec::new(), self_ty: function.self_ty.clone() };
    let mut walker = Walker::new(krate, env, true);
    walker.function(&function.sig, &function.block);
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
