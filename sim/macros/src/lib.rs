//! The attribute `#[soloist_sim::test]`: a scenario becomes a test that is simulated with many seeds.
//!
//! What it promises is described in `soloist-sim`, which re-exports it. `arguments.rs` reads what stands in its parentheses,
//! `scenario.rs` the function beneath it; both work on plain tokens, so that their tests need no compiler.

mod arguments;
mod scenario;

use proc_macro::TokenStream;

/// Makes `fn name(scenario: &mut Scenario)` a test.
///
/// `seeds` says how many seeds are simulated, `exhaust` whether each single fault is tried as well, `size` how much work
/// there is at most, and `double` what percentage of the seeds is simulated twice, to compare their traces. What is not
/// given is as in `soloist_sim::testing::Options`. Other attributes of the function, `#[should_panic]` among them, are kept.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, function: TokenStream) -> TokenStream {
    expanded(arguments.into(), function.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

fn expanded(
    arguments: proc_macro2::TokenStream,
    function: proc_macro2::TokenStream,
) -> syn::Result<proc_macro2::TokenStream> {
    let arguments: arguments::Arguments = syn::parse2(arguments)?;
    let scenario: scenario::Scenario = syn::parse2(function)?;
    Ok(scenario.test(&arguments))
}

#[cfg(test)]
mod tests;
