//! The handshakes of a profile: which requests ask for one, what they must prove, what they are answered.

use super::check::Hosts;
use super::pattern::Pattern;
use crate::json::{self, Found};
use crate::reading::Reading;
use crate::selector::Selector;
use crate::template::Text;

/// A handshake.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) when: When,
    pub(crate) proof: Proof,
    /// The status of the answer to a bad proof.
    pub(crate) on_bad_signature: u16,
    /// The status of the answer where a value is not what it must be.
    pub(crate) on_mismatch: u16,
    /// What the values must look like, lest they are something else that would be signed.
    pub(crate) guards: Vec<(Selector, Pattern)>,
    /// What the values must be.
    pub(crate) equals: Vec<(Selector, Text)>,
    /// What is the endpoint's secret from now on.
    pub(crate) keep: Option<Selector>,
    /// Whether the operator must see it.
    pub(crate) show: bool,
    /// What is to be visited.
    pub(crate) visit: Option<(Text, Hosts)>,
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) headers: Vec<(String, Text)>,
    pub(crate) body: Body,
}

/// What a handshake must prove before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    None,
    /// As any event of the provider.
    Checked,
    /// As any event, if the endpoint has a secret.
    CheckedIfSecret,
}

/// The body of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Empty,
    Text(Text),
    Json(Json),
}

/// JSON whose strings are templates.
#[derive(Debug, Clone)]
pub(crate) enum Json {
    Text(Text),
    Integer(i64),
    Bool(bool),
    Object(Vec<(String, Self)>),
}

/// Which requests are meant: those to which all of it applies.
#[derive(Debug, Clone, Default)]
pub(crate) struct When(pub(crate) Vec<Condition>);

/// A condition.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    Method(String),
    Is(Selector, Expected),
    Present(Selector),
    Absent(Selector),
    /// The body is a form with these fields and no other.
    FormOnly(Vec<String>),
    /// The body is an object with these keys and no other.
    JsonOnly(Vec<String>),
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    Text(String),
    /// In JSON, a number and no string.
    Integer(i64),
    Bool(bool),
    EmptyList,
}

impl Rule {
    /// The parameters that it takes.
    pub(crate) fn params(&self) -> impl Iterator<Item = &str> {
        let equals = self.equals.iter().flat_map(|(_, text)| text.selectors());
        let headers = self.headers.iter().flat_map(|(_, text)| text.selectors());
        let body = self.body.texts().into_iter().flat_map(Text::selectors);
        equals.chain(headers).chain(body).filter_map(|selector| match selector {
            Selector::Param(name) => Some(&**name),
            _ => None,
        })
    }
}

impl Body {
    /// The templates in it.
    pub(crate) fn texts(&self) -> Vec<&Text> {
        let mut texts = Vec::new();
        match self {
            Self::Empty => {}
            Self::Text(text) => texts.push(text),
            Self::Json(json) => json.texts(&mut texts),
        }
        texts
    }
}

impl Json {
    fn texts<'a>(&'a self, texts: &mut Vec<&'a Text>) {
        match self {
            Self::Text(text) => texts.push(text),
            Self::Object(pairs) => pairs.iter().for_each(|(_, value)| value.texts(texts)),
            Self::Integer(_) | Self::Bool(_) => {}
        }
    }
}

impl When {
    /// Whether this request is meant.
    pub(crate) fn applies(&self, reading: &Reading<'_>) -> bool {
        self.0.iter().all(|condition| condition.applies(reading))
    }
}

impl Condition {
    fn applies(&self, reading: &Reading<'_>) -> bool {
        match self {
            Self::Method(method) => reading.request.method == method,
            Self::Is(Selector::Json(path), expected) => {
                let found = path.find(reading.request.body).unwrap_or_default();
                matches!(found[..], [Some(found)] if expected.is(found))
            }
            Self::Is(selector, expected) => {
                let value = reading.value(selector).ok().flatten();
                matches!((value, expected), (Some(value), Expected::Text(text)) if *value == *text.as_bytes())
            }
            Self::Present(selector) => is_there(reading, selector),
            Self::Absent(selector) => !is_there(reading, selector),
            Self::FormOnly(names) => {
                let form = reading.is_form().then(|| reading.form().ok()).flatten();
                form.is_some_and(|form| {
                    form.len() == names.len()
                        && names.iter().all(|n| form.iter().any(|(m, _)| **m == *n.as_bytes()))
                })
            }
            Self::JsonOnly(names) => json::keys(reading.request.body).is_ok_and(|keys| {
                keys.len() == names.len() && names.iter().all(|n| keys.contains(n))
            }),
        }
    }
}

fn is_there(reading: &Reading<'_>, selector: &Selector) -> bool {
    match selector {
        Selector::Header(name) => reading.headers(name).next().is_some(),
        Selector::Form(_) if !reading.is_form() => false,
        Selector::Json(path) => {
            path.find(reading.request.body).unwrap_or_default().iter().any(Option::is_some)
        }
        other => reading.value(other).ok().flatten().is_some(),
    }
}

impl Expected {
    fn is(&self, found: Found<'_>) -> bool {
        match self {
            Self::Text(text) => {
                found.is_string() && found.text().is_some_and(|found| found == *text)
            }
            Self::Integer(number) => found.raw() == number.to_string(),
            Self::Bool(is) => found.raw() == is.to_string(),
            Self::EmptyList => found.is_empty_list(),
        }
    }
}
