//! `workflow::allow!("why", expr)`: the escape hatch for one expression.

/// What `workflow::allow!` expands to: a field takes attributes where an expression does not on stable, and its value
/// keeps its temporaries to the end of the statement, as the bare expression does.
#[doc(hidden)]
pub struct Allowed<T> {
    pub why: (),
    pub value: T,
}

/// Whether a reason says something; asked while rustc compiles.
#[doc(hidden)]
pub const fn is_reason(why: &str) -> bool {
    !why.as_bytes().trim_ascii().is_empty()
}

/// Allows one expression in workflow code whatever the rules of determinism say of it, for the reason that is written
/// there. The expression stays as it is: its value, its awaits, `?` and `return`, and what it borrows.
///
/// For what its author knows to be the same on every replay, or not to matter. The reason is a text literal that is not
/// empty; tools list all of them. A value that may differ belongs into `workflow::side_effect`, an effect into an
/// activity: an allowed expression is evaluated again on every replay.
///
/// ```
/// use abide_core::__allow as allow; // in a program: `use abide::workflow;` and `workflow::allow!`
///
/// fn debug_build() -> bool {
///     allow!("only logged", std::env::var("DEBUG").is_ok())
/// }
/// # let _ = debug_build();
/// ```
/// ```compile_fail
/// use abide_core::__allow as allow;
/// let home = allow!("", std::env::var("HOME")); // AB0304: the reason is missing
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! __allow {
    ("", $value:expr $(,)?) => {
        $crate::__allow!()
    };
    ($why:literal, $value:expr $(,)?) => {
        $crate::flow::allow::Allowed {
            why: {
                const _: () = ::core::assert!(
                    $crate::flow::allow::is_reason($why),
                    "`workflow::allow!` needs a reason\n\
                     help: say why every replay gives the same: `workflow::allow!(\"a pure table lookup\", ..)`\n\
                     note: AB0304, explained by `cargo abide explain AB0304`"
                );
            },
            #[allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]
            value: $value,
        }
        .value
    };
    ($($anything:tt)*) => {
        ::core::compile_error!(
            "`workflow::allow!` takes a reason and an expression\n\
             help: say why every replay gives the same: `workflow::allow!(\"a pure table lookup\", table.get(key))`\n\
             note: AB0304, explained by `cargo abide explain AB0304`"
        )
    };
}
