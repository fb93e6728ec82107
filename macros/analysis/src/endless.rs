//! Loops of workflows that never end (AB0151): each round adds to a history that every load reads.

use crate::depth;
use crate::errors::Code;
use syn::visit::{self, Visit};

/// A loop with awaits, without an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndlessLoop {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// The function that has it.
    pub function: String,
}

impl EndlessLoop {
    /// The code of the warning.
    pub fn code() -> &'static str {
        Code::EndlessLoop.text()
    }
}

/// All endless loops of the workflows in a file, in source order: a `loop` that awaits, and has no `break` of its own
/// and no `return`. A loop that only ends by an error is one too. Returns an error if the text is not a Rust file.
pub fn endless_loops(file_text: &str) -> Result<Vec<EndlessLoop>, syn::Error> {
    let file = depth::parse_file(file_text)?;
    let mut found = Found::default();
    found.visit_file(&file);
    Ok(found.loops)
}

#[derive(Default)]
struct Found {
    loops: Vec<EndlessLoop>,
    /// Within an item that a `workflow` attribute marks.
    marked: bool,
    function: String,
}

/// Whether an attribute is `workflow`, by any path, or one of its own attributes, as `workflow::helper`.
fn is_of_a_workflow(attribute: &syn::Attribute) -> bool {
    attribute.path().segments.iter().any(|segment| segment.ident == "workflow")
}

impl Found {
    fn within(&mut self, attributes: &[syn::Attribute], visit: impl FnOnce(&mut Self)) {
        let outer = self.marked;
        self.marked |= attributes.iter().any(is_of_a_workflow);
        visit(self);
        self.marked = outer;
    }

    fn of_function(&mut self, name: &syn::Ident, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.function, name.to_string());
        visit(self);
        self.function = outer;
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.within(&item.attrs, |found| visit::visit_item_impl(found, item));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.within(&item.attrs, |found| {
            found.of_function(&item.sig.ident, |found| visit::visit_item_fn(found, item));
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.within(&item.attrs, |found| {
            found.of_function(&item.sig.ident, |found| visit::visit_impl_item_fn(found, item));
        });
    }

    fn visit_expr_loop(&mut self, item: &'ast syn::ExprLoop) {
        let mut body = Body { label: item.label.as_ref().map(|label| &label.name), ..Body::default() };
        body.visit_block(&item.body);
        if self.marked && body.awaits && !body.ends {
            let start = item.loop_token.span.start();
            let (line, column, function) = (start.line, start.column + 1, self.function.clone());
            self.loops.push(EndlessLoop { line, column, function });
        }
        visit::visit_expr_loop(self, item);
    }
}

/// What the body of a loop does.
#[derive(Default)]
struct Body<'ast> {
    label: Option<&'ast syn::Lifetime>,
    awaits: bool,
    ends: bool,
    /// How many loops are around, inside of this one: their breaks are not its own.
    inner: u32,
}

impl<'ast> Visit<'ast> for Body<'ast> {
    fn visit_expr_await(&mut self, item: &'ast syn::ExprAwait) {
        self.awaits = true;
        visit::visit_expr_await(self, item);
    }

    fn visit_expr_return(&mut self, item: &'ast syn::ExprReturn) {
        self.ends = true;
        visit::visit_expr_return(self, item);
    }

    fn visit_expr_break(&mut self, item: &'ast syn::ExprBreak) {
        self.ends |= match (&item.label, self.label) {
            (Some(label), Some(own)) => label.ident == own.ident || self.inner == 0,
            // A label of a loop around ends this one too; one of an inner loop does not, and is rare.
            (Some(_), None) => true,
            (None, _) => self.inner == 0,
        };
        visit::visit_expr_break(self, item);
    }

    fn visit_expr_loop(&mut self, item: &'ast syn::ExprLoop) {
        self.inner += 1;
        visit::visit_expr_loop(self, item);
        self.inner -= 1;
    }

    fn visit_expr_while(&mut self, item: &'ast syn::ExprWhile) {
        self.inner += 1;
        visit::visit_expr_while(self, item);
        self.inner -= 1;
    }

    fn visit_expr_for_loop(&mut self, item: &'ast syn::ExprForLoop) {
        self.inner += 1;
        visit::visit_expr_for_loop(self, item);
        self.inner -= 1;
    }

    // Macros are not read: one may hide an end.
    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let text = item.tokens.to_string();
        let words = || text.split(|c: char| !c.is_alphanumeric() && c != '_');
        self.ends |= words().any(|word| word == "return" || word == "break");
        self.awaits |= words().any(|word| word == "await");
    }

    // What these return from and await is their own.
    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}

    fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(body: &str) -> Vec<usize> {
        let file = format!("#[workflow]\nasync fn watch() -> u32 {{\n{body}\n}}");
        endless_loops(&file).unwrap().into_iter().map(|found| found.line).collect()
    }

    #[test]
    fn a_loop_that_awaits_and_does_not_end_is_told() {
        assert_eq!(lines("loop { check().await?; }"), [3]);
        assert_eq!(lines("loop { for x in all { if x { break; } check(x).await; } }"), [3]);
        assert_eq!(lines("loop { loop { check().await; break; } }"), [3]);
        assert_eq!(lines("loop { let f = || return 1; check().await; }"), [3]);
        for ends in [
            "loop { if check().await { break; } }",
            "loop { if check().await { return 1; } }",
            "'all: loop { loop { check().await; break 'all; } }",
            "loop { workflow::select! { x = check() => return x, } }",
            "loop { total += 1; }",
            "for n in 0..10 { check(n).await; }",
            "loop { return workflow::continue_as_new(watch()).await; }",
        ] {
            assert_eq!(lines(ends), [0; 0], "{ends}");
        }
    }

    #[test]
    fn only_workflows_have_a_history() {
        let of = |file: &str| {
            let found = endless_loops(file).unwrap();
            found.into_iter().map(|found| (found.function, found.line)).collect::<Vec<_>>()
        };
        let body = "loop { check().await; }";
        assert_eq!(of(&format!("async fn serve() {{ {body} }}")), []);
        assert_eq!(of(&format!("#[activity] async fn serve() {{ {body} }}")), []);
        let workflow = format!("#[workflow]\nimpl W {{\n#[run]\nasync fn run(&self) {{\n{body}\n}}\n}}");
        assert_eq!(of(&workflow), [("run".to_owned(), 5)]);
        let helper = format!("#[abide::workflow::helper]\nasync fn step() {{ {body} }}");
        assert_eq!(of(&helper), [("step".to_owned(), 2)]);
        assert!(endless_loops("fn {").is_err());
    }
}
