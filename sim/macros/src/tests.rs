//! What the attribute makes of what is written, as tokens.

use quote::quote;

use super::expanded;

/// Compares tokens by their text, which leaves spans and spaces out.
#[track_caller]
fn check(
    arguments: proc_macro2::TokenStream,
    function: proc_macro2::TokenStream,
    expected: proc_macro2::TokenStream,
) {
    let found = expanded(arguments, function).expect("it is well written");
    assert_eq!(found.to_string(), expected.to_string());
}

#[track_caller]
fn refuse(arguments: proc_macro2::TokenStream, function: proc_macro2::TokenStream, parts: &[&str]) {
    let error = expanded(arguments, function).expect_err("it is badly written").to_string();
    for part in parts {
        assert!(error.contains(part), "{error:?} does not say {part:?}");
    }
}

fn plain() -> proc_macro2::TokenStream {
    quote!(
        fn refunds(scenario: &mut Scenario) {
            scenario.size(2);
        }
    )
}

#[test]
fn a_scenario_becomes_a_test_that_checks_it() {
    check(
        quote!(seeds = 300),
        plain(),
        quote! {
            #[::core::prelude::v1::test]
            fn refunds() {
                ::soloist_sim::testing::check(
                    ::core::concat!(::core::module_path!(), "::", "refunds"),
                    {
                        #[allow(clippy::needless_update, reason = "all options may be given")]
                        let options = ::soloist_sim::testing::Options {
                            seeds: ::core::option::Option::Some(300u64),
                            ..::core::default::Default::default()
                        };
                        options
                    },
                    |scenario: &mut Scenario| { scenario.size(2); },
                )
            }
        },
    );
}

#[test]
fn every_argument_becomes_an_option() {
    let found = expanded(quote!(double = 5, size = 4, exhaust = false, seeds = 1_000,), plain());
    let found = found.expect("it is well written").to_string();
    let options = quote! {
        seeds: ::core::option::Option::Some(1000u64),
        exhaust: ::core::option::Option::Some(false),
        size: ::core::option::Option::Some(4u32),
        double: ::core::option::Option::Some(5u32),
    };
    assert!(found.contains(&options.to_string()), "{found}");
}

#[test]
fn other_attributes_and_the_visibility_are_kept() {
    let function = quote! {
        /// Refunds.
        #[should_panic(expected = "effect-once")]
        #[ignore]
        pub(crate) fn r#try(_: &mut soloist_sim::Scenario,) {}
    };
    let expected = quote! {
        /// Refunds.
        #[should_panic(expected = "effect-once")]
        #[ignore]
        #[::core::prelude::v1::test]
        pub(crate) fn r#try() {
            ::soloist_sim::testing::check(
                ::core::concat!(::core::module_path!(), "::", "try"),
                {
                    #[allow(clippy::needless_update, reason = "all options may be given")]
                    let options = ::soloist_sim::testing::Options {
                        ..::core::default::Default::default()
                    };
                    options
                },
                |_: &mut soloist_sim::Scenario| {},
            )
        }
    };
    check(quote!(), function, expected);
}

#[test]
fn an_unknown_argument_is_told_the_known_ones() {
    let known = ["`sedes`", "`seeds = 300`", "`exhaust = true`", "`size = 4`", "`double = 5`"];
    refuse(quote!(sedes = 300), plain(), &known);
    refuse(quote!(300), plain(), &["no argument", "`seeds = 300`"]);
}

#[test]
fn a_wrong_value_is_told_what_would_be_right() {
    refuse(quote!(seeds), plain(), &["`seeds` needs a value"]);
    refuse(quote!(seeds = "many"), plain(), &["`seeds` is a whole number"]);
    refuse(quote!(seeds = -1), plain(), &["not negative"]);
    refuse(quote!(size = 4294967296), plain(), &["too large"]);
    refuse(quote!(exhaust = 1), plain(), &["`true` or `false`"]);
    refuse(quote!(double = 101), plain(), &["percentage", "101"]);
    refuse(quote!(seeds = 1, seeds = 2), plain(), &["given twice"]);
    refuse(quote!(seeds = 1 size = 2), plain(), &["expected `,`"]);
}

#[test]
fn a_wrong_shape_is_told_what_to_write() {
    let shape = "write `fn name(scenario: &mut Scenario)";
    let cases = [
        (
            quote!(
                async fn a(s: &mut Scenario) {}
            ),
            "not async",
        ),
        (
            quote!(
                const fn a(s: &mut Scenario) {}
            ),
            "plain function",
        ),
        (
            quote!(
                unsafe fn a(s: &mut Scenario) {}
            ),
            "plain function",
        ),
        (
            quote!(
                extern "C" fn a(s: &mut Scenario) {}
            ),
            "plain function",
        ),
        (
            quote!(
                fn a() {}
            ),
            "one parameter",
        ),
        (
            quote!(
                fn a(s: &mut Scenario, seed: u64) {}
            ),
            "one parameter",
        ),
        (
            quote!(
                fn a(&mut self) {}
            ),
            "one parameter",
        ),
        (
            quote!(
                fn a(self) {}
            ),
            "one parameter",
        ),
        (
            quote!(
                fn a<T>(s: &mut Scenario<T>) {}
            ),
            "not generic",
        ),
        (
            quote!(
                fn a(s: &mut Scenario) -> Result<(), Error> {}
            ),
            "returns nothing",
        ),
        (
            quote!(
                struct A;
            ),
            "only a function",
        ),
    ];
    for (function, reason) in cases {
        refuse(quote!(), function, &[reason, shape]);
    }
    refuse(
        quote!(),
        quote!(
            #[test]
            fn a(s: &mut Scenario) {}
        ),
        &["leave out"],
    );
}
