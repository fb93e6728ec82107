//! Snapshots of the attributes' expansions. Also checks that mistakes leave an expansion, and that no token
//! stream causes a panic.

mod expansions {
    mod arguments;
    mod cases;
    mod conditions;
    mod deep;
    mod forms;
    mod mistakes;
    mod mutations;
    mod total;
    mod tree;

    use proc_macro2::TokenStream;

    /// The expansion, formatted. `which` is the attribute.
    pub(crate) fn expand(which: &str, args: &str, item: &str) -> TokenStream {
        let (args, item) = (args.parse().expect("tokens"), item.parse().expect("tokens"));
        expand_tokens(which, args, item)
    }

    pub(crate) fn expand_tokens(which: &str, args: TokenStream, item: TokenStream) -> TokenStream {
        match which {
            "activity" => abide_analysis::activity(args, item),
            "workflow" => abide_analysis::workflow(args, item),
            "helper" => abide_analysis::helper(args, item),
            "deterministic" => abide_analysis::deterministic(args, item),
            name => abide_analysis::misplaced(name, args, item),
        }
    }

    /// Formatted, without repeated paths. How proc-macro2 numbers its sources depends on the thread.
    pub(crate) fn show(tokens: &TokenStream) -> String {
        let file = syn::parse2::<syn::File>(tokens.clone()).expect("an expansion is a list of items");
        let shown = prettyplease::unparse(&file)
            .replace("::abide::__private::", "__::")
            .replace("::core::", "core::");
        let parts = shown.split("<parsed string ");
        let unnumbered = parts.map(|part| part.split_once(">\"").map_or(part, |(_, rest)| rest));
        unnumbered.collect::<Vec<_>>().join("orders.rs\"")
    }

    /// The body of `run` in a workflow with state, rewritten.
    pub(crate) fn run_body(statements: &str) -> String {
        let item = format!("impl Order {{ #[run] async fn run(&mut self) -> u32 {{ {statements} }} }}");
        let shown = show(&expand("workflow", "", &item));
        let start =
            shown.find("fn run(\n            __abide_slot").or_else(|| shown.find("fn run(__abide_slot"));
        let body = shown.get(start.unwrap_or(0)..).unwrap_or_default();
        let body = body.split_once("__::block(").map_or(body, |(_, body)| body);
        body.split_once("\n        }\n").map_or(body, |(body, _)| body).to_owned()
    }
}
