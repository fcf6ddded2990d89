//! Filters: which events a group takes, as an expression in CEL (the Common Expression Language). Pure.
//!
//! An expression knows `method`, `path`, `query`, `raw_query`, `headers`, `event_type`, `body` and `size`. It is checked
//! when it is set, so that at an event only the event can be at fault.

mod check;
mod view;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::parser::{Expression, PrattParser};
use cel::{Context, Env, ExecutionError, Value};

pub use view::View;

/// The longest expression, in bytes: parsing it takes at most half the stack of a thread (2 MiB).
pub const TEXT_MAX: usize = 4 << 10;
/// The longest explanation, in characters: some quote the value they stumbled over.
const WORDS_MAX: usize = 200;

/// What the language offers beyond its operators: the standard library, without dates.
static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A filter, checked and ready.
#[derive(Clone)]
pub struct Filter {
    text: Arc<str>,
    expression: Arc<Expression>,
    names: Arc<[&'static str]>,
}

/// What a filter says about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The group takes it.
    Taken,
    /// It does not.
    NotTaken,
    /// The expression makes no sense of this event, which is not taken; why, in words.
    Error(String),
}

impl Filter {
    /// The filter in this text.
    ///
    /// # Errors
    /// What is wrong and where, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > TEXT_MAX {
            return Err(format!("at most {TEXT_MAX} bytes"));
        }
        let expression = unless_it_panics(|| PrattParser::new().parse(text))
            .ok_or("an expression that cannot be read")?
            .map_err(|errors| in_words(&errors))?;
        let names = check::check(&expression, text)?;
        Ok(Self { text: text.into(), expression: Arc::new(expression), names: names.into() })
    }

    /// Whether it looks into the body: then a long one is read, which is work for a thread that may block (a JSON body of
    /// 1 MiB takes up to 200 ms).
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.names.contains(&"body")
    }

    /// Whether the group takes this event.
    #[must_use]
    pub fn takes(&self, event: &View<'_>) -> Verdict {
        let mut context = Context::with_env(Arc::clone(&LANGUAGE));
        for name in self.names.iter() {
            context.add_variable_from_value(*name, event.value(name));
        }
        match unless_it_panics(|| Value::resolve(&self.expression, &context)) {
            Some(Ok(Value::Bool(true))) => Verdict::Taken,
            Some(Ok(Value::Bool(false))) => Verdict::NotTaken,
            Some(Ok(other)) => {
                Verdict::Error(format!("it gives a {}, neither true nor false", other.type_of()))
            }
            Some(Err(error)) => Verdict::Error(why(&error)),
            None => Verdict::Error("it cannot be evaluated".into()),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({:?})", self.text)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Filter {}

/// The interpreter is young and runs what strangers send: a fault in it costs one verdict, not the task that asked.
fn unless_it_panics<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

/// The first parse error, with its place.
fn in_words(errors: &cel::ParseErrors) -> String {
    errors.errors.first().map_or_else(
        || "no expression".to_owned(),
        |error| {
            let (line, column) = (error.pos.0.max(1), error.pos.1.max(1));
            short(&format!("line {line}, column {column}: {}", error.msg))
        },
    )
}

fn why(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => short(&format!("there is no {key:?} in this event")),
        other => short(&other.to_string()),
    }
}

fn short(words: &str) -> String {
    words.chars().take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests;
