//! The arguments of the attribute: `seeds = 300, exhaust = true, size = 4, double = 5`.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Error, LitBool, LitInt, Result, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream},
};

/// The arguments that there are, as an error lists them.
const KNOWN: &str = "`seeds = 300`, `exhaust = true`, `size = 4` and `double = 5`";

/// What was given, each at most once.
#[derive(Default)]
pub(crate) struct Arguments {
    seeds: Option<u64>,
    exhaust: Option<bool>,
    size: Option<u32>,
    double: Option<u32>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            arguments.read(input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

impl Arguments {
    /// Reads one argument.
    fn read(&mut self, input: ParseStream<'_>) -> Result<()> {
        let name = input.call(Ident::parse_any).map_err(|error| {
            Error::new(error.span(), format!("this is no argument; there are {KNOWN}"))
        })?;
        match name.to_string().as_str() {
            "seeds" => once(&mut self.seeds, &name, input, number),
            "exhaust" => once(&mut self.exhaust, &name, input, truth),
            "size" => once(&mut self.size, &name, input, number),
            "double" => once(&mut self.double, &name, input, percent),
            _ => Err(Error::new(name.span(), format!("there is no `{name}`; there are {KNOWN}"))),
        }
    }
}

/// Reads the value of `name` into `place`, which must still be free.
fn once<T>(
    place: &mut Option<T>,
    name: &Ident,
    input: ParseStream<'_>,
    read: fn(&Ident, ParseStream<'_>) -> Result<T>,
) -> Result<()> {
    if place.is_some() {
        return Err(Error::new(name.span(), format!("`{name}` is given twice")));
    }
    if !input.peek(Token![=]) {
        return Err(Error::new(name.span(), format!("`{name}` needs a value, as in {KNOWN}")));
    }
    input.parse::<Token![=]>()?;
    *place = Some(read(name, input)?);
    Ok(())
}

fn number<N: std::str::FromStr<Err: std::fmt::Display>>(
    name: &Ident,
    input: ParseStream<'_>,
) -> Result<N> {
    let span = input.span();
    let number = input.parse::<LitInt>().and_then(|literal| literal.base10_parse());
    number.map_err(|error| {
        Error::new(span, format!("`{name}` is a whole number that is not negative: {error}"))
    })
}

fn percent(name: &Ident, input: ParseStream<'_>) -> Result<u32> {
    let span = input.span();
    let percent = number(name, input)?;
    match percent {
        0..=100 => Ok(percent),
        _ => Err(Error::new(span, format!("`{name}` is a percentage, and {percent} is above 100"))),
    }
}

fn truth(name: &Ident, input: ParseStream<'_>) -> Result<bool> {
    let literal = input.parse::<LitBool>();
    let literal = literal
        .map_err(|error| Error::new(error.span(), format!("`{name}` is `true` or `false`")))?;
    Ok(literal.value)
}

/// As the fields of `Options`.
impl ToTokens for Arguments {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { seeds, exhaust, size, double } = self;
        let given = [
            seeds.map(|seeds| quote!(seeds: ::core::option::Option::Some(#seeds),)),
            exhaust.map(|exhaust| quote!(exhaust: ::core::option::Option::Some(#exhaust),)),
            size.map(|size| quote!(size: ::core::option::Option::Some(#size),)),
            double.map(|double| quote!(double: ::core::option::Option::Some(#double),)),
        ];
        tokens.extend(given.into_iter().flatten());
    }
}
