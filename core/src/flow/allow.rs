//! `workflow::allow!("why", expr)`: allows one expression that a rule refuses.

/// The expansion of `workflow::allow!`. A field can have attributes, but on stable an expression cannot. The
/// field's value keeps its temporaries until the end of the statement, as the bare expression does.
#[doc(hidden)]
pub struct Allowed<T> {
    pub why: (),
    pub value: T,
}

/// Whether a reason is not blank. Evaluated at compile time.
#[doc(hidden)]
pub const fn is_reason(why: &str) -> bool {
    !why.as_bytes().trim_ascii().is_empty()
}

/// Allows one expression in workflow code that the determinism rules refuse, for the reason given. The
/// expression does not change: its value, its awaits, `?` and `return`, and its borrows stay the same.
///
/// Use it for an expression that you know to be the same on every replay, or whose value does not matter. The
/// reason is a text literal that is not empty, and tools list all reasons. An allowed expression is evaluated
/// again on every replay. Put a value that may differ into `workflow::side_effect`, and an effect into an
/// activity.
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
