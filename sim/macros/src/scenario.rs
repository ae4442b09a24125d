//! The function beneath the attribute, and the test that it becomes.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{
    Attribute, Error, Result, Token, Type, Visibility, braced,
    ext::IdentExt,
    parenthesized,
    parse::{Parse, ParseStream},
};

use crate::arguments::Arguments;

/// What to write instead, as an error says it.
const SHAPE: &str = "write `fn name(scenario: &mut Scenario) { … }`";

/// `fn name(scenario: &mut Scenario) { … }`, with its attributes.
pub(crate) struct Scenario {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    name: Ident,
    parameter: TokenStream,
    body: TokenStream,
}

impl Parse for Scenario {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        if let Some(test) = attributes.iter().find(|attribute| attribute.path().is_ident("test")) {
            let path = test.path();
            return Err(Error::new_spanned(path, "it is a test already; leave out this `#[test]`"));
        }
        let visibility = input.parse()?;
        refuse_qualifiers(input)?;
        input.parse::<Token![fn]>().map_err(|error| {
            Error::new(error.span(), format!("only a function can be a scenario: {SHAPE}"))
        })?;
        let name = input.call(Ident::parse_any)?;
        if input.peek(Token![<]) {
            return Err(input.error(format!("a scenario is not generic: {SHAPE}")));
        }
        let parameter = parameter(input, &name)?;
        if input.peek(Token![->]) {
            let problem =
                "a scenario returns nothing: it says what happens, and is simulated later";
            return Err(input.error(format!("{problem}; {SHAPE}")));
        }
        let body;
        braced!(body in input);
        let body = body.parse()?;
        Ok(Self { attributes, visibility, name, parameter, body })
    }
}

/// A scenario is called by the simulator, as a plain function.
fn refuse_qualifiers(input: ParseStream<'_>) -> Result<()> {
    if input.peek(Token![async]) {
        let problem = "a scenario is not async: what waits belongs into its workload";
        return Err(input.error(format!("{problem}; {SHAPE}")));
    }
    let qualifiers = ["const", "unsafe", "extern"];
    let next = input.fork().call(Ident::parse_any).map(|word| word.to_string()).unwrap_or_default();
    match qualifiers.contains(&&*next) {
        true => Err(input.error(format!("a scenario is a plain function: {SHAPE}"))),
        false => Ok(()),
    }
}

/// The one parameter, as a closure takes it.
fn parameter(input: ParseStream<'_>, name: &Ident) -> Result<TokenStream> {
    let inside;
    let parentheses = parenthesized!(inside in input);
    let problem = |span: Span| {
        Error::new(span, format!("a scenario has one parameter, the scenario to set up: {SHAPE}"))
    };
    if inside.is_empty() {
        return Err(problem(parentheses.span.join()));
    }
    let mutable: Option<Token![mut]> = inside.parse()?;
    let pattern = match inside.peek(Token![_]) {
        true => {
            let underscore: Token![_] = inside.parse()?;
            quote!(#underscore)
        }
        false => {
            let binding = inside.call(Ident::parse_any).map_err(|error| problem(error.span()))?;
            quote!(#binding)
        }
    };
    if !inside.peek(Token![:]) {
        return Err(problem(name.span()));
    }
    inside.parse::<Token![:]>()?;
    let kind: Type = inside.parse()?;
    inside.parse::<Option<Token![,]>>()?;
    match inside.is_empty() {
        true => Ok(quote!(#mutable #pattern: #kind)),
        false => Err(problem(inside.span())),
    }
}

impl Scenario {
    /// The test.
    pub(crate) fn test(&self, arguments: &Arguments) -> TokenStream {
        let Self { attributes, visibility, name, parameter, body } = self;
        let text = name.unraw().to_string();
        quote! {
            #(#attributes)*
            #[::core::prelude::v1::test]
            #visibility fn #name() {
                ::soloist_sim::testing::check(
                    ::core::concat!(::core::module_path!(), "::", #text),
                    {
                        #[allow(clippy::needless_update, reason = "all options may be given")]
                        let options = ::soloist_sim::testing::Options {
                            #arguments
                            ..::core::default::Default::default()
                        };
                        options
                    },
                    |#parameter| { #body },
                )
            }
        }
    }
}
