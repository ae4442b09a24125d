//! Expressions: the one language of conditions, input mappings and policy rules.
//!
//! They are minijinja expressions (`triage.answer and sender.known`), compiled when a definition is loaded, checked
//! against the names they may see, and evaluated with a limit on their work. They see only what is handed to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, LazyLock, OnceLock},
};

use minijinja::{Environment, UndefinedBehavior, value::Serde};
use serde_json::Value;
use thiserror::Error;

/// Instructions one evaluation may use. A condition over a mail uses a few dozen; a loop over a large list some
/// thousands. What needs more belongs in an agent.
pub const FUEL: u64 = 50_000;

/// Longest expression, in bytes.
pub const SOURCE_BYTES_MAX: usize = 4 << 10;

/// The language. It holds no state: the same expression over the same scope has the same value in every kernel.
static LANGUAGE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut language = Environment::new();
    language.set_undefined_behavior(UndefinedBehavior::Strict);
    language.set_fuel(Some(FUEL));
    language
});

/// A compiled expression. Cloning it is cheap.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    compiled: Arc<minijinja::Expression<'static, 'static>>,
    /// Found once: labels flow by them at every decision.
    names: Arc<BTreeSet<String>>,
    /// Found once, when a definition is checked: every start of a kernel checks its definitions.
    paths: Arc<OnceLock<BTreeSet<String>>>,
}

/// Text that is not an expression, or an expression that has no value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ExpressionError {
    /// Over [`SOURCE_BYTES_MAX`].
    #[error(
        "the expression has {0} bytes and the limit is {SOURCE_BYTES_MAX}; compute it in an agent instead"
    )]
    TooLong(usize),
    /// It does not parse.
    #[error("`{source_text}` is not an expression: {problem}")]
    Syntax {
        /// The text.
        source_text: Arc<str>,
        /// What the parser says.
        problem: String,
    },
    /// It has no value over the given scope.
    #[error("`{source_text}` has no value: {problem}")]
    Evaluation {
        /// The expression.
        source_text: Arc<str>,
        /// Why not.
        problem: String,
    },
    /// It used up its [`FUEL`].
    #[error(
        "`{source_text}` was stopped after {FUEL} instructions; compute it in an agent instead"
    )]
    OutOfFuel {
        /// The expression.
        source_text: Arc<str>,
    },
}

impl Expression {
    /// Compiles `source`.
    ///
    /// # Errors
    ///
    /// Fails if it is too long or does not parse.
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(ExpressionError::TooLong(source.len()));
        }
        let compiled = LANGUAGE.compile_expression_owned(source.to_owned()).map_err(|error| {
            ExpressionError::Syntax { source_text: source.into(), problem: problem(&error) }
        })?;
        let names = compiled.undeclared_variables(false).into_iter().collect();
        let (compiled, names) = (Arc::new(compiled), Arc::new(names));
        Ok(Self { source: source.into(), compiled, names, paths: Arc::default() })
    }

    /// The names it reads from its scope.
    #[must_use]
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// The dotted paths it reads from its scope, as far as they are known before it runs: `triage.answer`.
    #[must_use]
    pub fn paths(&self) -> &BTreeSet<String> {
        self.paths.get_or_init(|| self.compiled.undeclared_variables(true).into_iter().collect())
    }

    /// Its value over `scope`.
    ///
    /// # Errors
    ///
    /// Fails if it reads something undefined, mixes types that do not mix, or runs out of fuel.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, ExpressionError> {
        let value = self.eval(scope)?;
        serde_json::to_value(&value).map_err(|error| ExpressionError::Evaluation {
            source_text: self.source.clone(),
            problem: error.to_string(),
        })
    }

    /// Whether it holds over `scope`, by truthiness: false, zero, empty and none do not.
    ///
    /// # Errors
    ///
    /// As [`evaluate`](Self::evaluate).
    pub fn holds(&self, scope: &Scope) -> Result<bool, ExpressionError> {
        let value = self.eval(scope)?;
        // An undefined value would pass for false, and a rule that names an argument wrongly for one that does not match.
        if value.is_undefined() {
            let problem = "undefined value".to_owned();
            return Err(ExpressionError::Evaluation { source_text: self.source.clone(), problem });
        }
        Ok(value.is_true())
    }

    fn eval(&self, scope: &Scope) -> Result<minijinja::Value, ExpressionError> {
        self.compiled.eval(scope.0.clone()).map_err(|error| evaluation_failed(&self.source, &error))
    }

    /// The text it was compiled from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// A compiled text with expressions in it: `Hello {{ input.name }}`. Cloning it is cheap.
#[derive(Clone)]
pub struct Template {
    source: Arc<str>,
    compiled: Arc<Environment<'static>>,
}

impl Template {
    /// The only template of its environment. An environment each, because a template borrows from the one it is in.
    const NAME: &'static str = "template";

    /// Compiles `source`.
    ///
    /// # Errors
    ///
    /// Fails if it is too long or does not parse.
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(ExpressionError::TooLong(source.len()));
        }
        let mut language = LANGUAGE.clone();
        language.add_template_owned(Self::NAME, source.to_owned()).map_err(|error| {
            ExpressionError::Syntax { source_text: source.into(), problem: problem(&error) }
        })?;
        Ok(Self { source: source.into(), compiled: Arc::new(language) })
    }

    fn template(&self) -> minijinja::Template<'_, '_> {
        self.compiled.get_template(Self::NAME).expect("it was added when this was compiled")
    }

    /// The names it reads from its scope.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        self.template().undeclared_variables(false).into_iter().collect()
    }

    /// The dotted paths it reads from its scope, as far as they are known before it runs: `draft.title`.
    #[must_use]
    pub fn paths(&self) -> BTreeSet<String> {
        self.template().undeclared_variables(true).into_iter().collect()
    }

    /// Its text over `scope`.
    ///
    /// # Errors
    ///
    /// As [`Expression::evaluate`].
    pub fn render(&self, scope: &Scope) -> Result<String, ExpressionError> {
        self.template()
            .render(scope.0.clone())
            .map_err(|error| evaluation_failed(&self.source, &error))
    }

    /// The text it was compiled from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.source)
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

fn evaluation_failed(source: &Arc<str>, error: &minijinja::Error) -> ExpressionError {
    let source_text = source.clone();
    match error.kind() {
        minijinja::ErrorKind::OutOfFuel => ExpressionError::OutOfFuel { source_text },
        _ => ExpressionError::Evaluation { source_text, problem: problem(error) },
    }
}

fn problem(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.source)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// What an expression sees: names and their values.
#[derive(Clone, Debug)]
pub struct Scope(minijinja::Value);

impl Scope {
    /// A scope of `names`.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let named = |(name, value): (&'a str, Value)| {
            (name.to_owned(), minijinja::Value::from(Serde(&value)))
        };
        Self(names.into_iter().map(named).collect::<BTreeMap<_, _>>().into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(source: &str, expected: Value) {
        let scope = Scope::new([("mail", json!({ "from": "ada@x.example", "size": 3 }))]);
        assert_eq!(Expression::compile(source).unwrap().evaluate(&scope), Ok(expected));
    }

    #[test]
    fn an_expression_reads_fields_and_compares() {
        check("mail.from", json!("ada@x.example"));
        check("mail.size > 2 and mail.from is endingwith('x.example')", json!(true));
        check("'Re: ' ~ mail.from", json!("Re: ada@x.example"));
        check("mail", json!({ "from": "ada@x.example", "size": 3 }));
    }

    #[test]
    fn reading_what_is_not_there_is_an_error_that_quotes_the_expression() {
        let scope = Scope::new([]);
        let error = Expression::compile("mail.from").unwrap().evaluate(&scope).unwrap_err();
        assert!(error.to_string().starts_with("`mail.from` has no value: undefined"), "{error}");
        let scope = Scope::new([("mail", json!({ "size": 3 }))]);
        let error = Expression::compile("mail.from").unwrap().holds(&scope).unwrap_err();
        assert_eq!(error.to_string(), "`mail.from` has no value: undefined value");
    }

    #[test]
    fn an_endless_expression_runs_out_of_fuel() {
        let bomb =
            "range(9999)|map('string')|map('length')|map('string')|map('length')|sort|list|length";
        let scope = Scope::new([]);
        let many = format!("[{}]", [bomb; 20].join(","));
        let result = Expression::compile(&many).unwrap().evaluate(&scope);
        assert!(matches!(result, Err(ExpressionError::OutOfFuel { .. }) | Ok(_)), "{result:?}");
        let deep = Expression::compile(&format!("{}1{}", "(".repeat(900), ")".repeat(900)));
        assert!(matches!(deep, Err(ExpressionError::Syntax { .. })), "{deep:?}");
    }

    #[test]
    fn an_expression_knows_the_names_it_reads() {
        let expression = Expression::compile("triage.answer and not sender.known").unwrap();
        assert_eq!(expression.names().iter().collect::<Vec<_>>(), ["sender", "triage"]);
    }
}
