//! A request while it is read: its form and query are parsed when somebody asks, and once.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use crate::finding::Reason;
use crate::form::{self, Pair};
use crate::json;
use crate::request::Request;
use crate::selector::Selector;

/// Bytes of the request, decoded where they are encoded there.
pub(crate) type Value<'r> = Cow<'r, [u8]>;

/// A request with what was parsed of it.
pub(crate) struct Reading<'r> {
    pub(crate) request: &'r Request<'r>,
    pub(crate) params: &'r BTreeMap<String, String>,
    form: OnceCell<Option<Vec<Pair<'r>>>>,
    query: OnceCell<Option<Vec<Pair<'r>>>>,
}

impl<'r> Reading<'r> {
    pub(crate) const fn new(
        request: &'r Request<'r>,
        params: &'r BTreeMap<String, String>,
    ) -> Self {
        Self { request, params, form: OnceCell::new(), query: OnceCell::new() }
    }

    /// The values of this field, in their order.
    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        let named = self.request.headers.iter();
        named.filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| *value)
    }

    /// The one value of this field; the same value twice is one.
    pub(crate) fn header(&self, name: &str) -> Result<Option<&'r [u8]>, Reason> {
        let mut values = self.headers(name).map(<[u8]>::trim_ascii);
        let first = values.next();
        match first {
            Some(first) if values.any(|value| value != first) => Err(Reason::DuplicateHeader),
            _ => Ok(first),
        }
    }

    /// The path and the query, as they were sent.
    pub(crate) fn path_and_query(&self) -> &'r [u8] {
        let url = self.request.url;
        let authority = url.windows(3).position(|w| w == b"://").map_or(0, |at| at + 3);
        let rest = &url[authority..];
        &rest[rest.iter().position(|c| *c == b'/' || *c == b'?').unwrap_or(rest.len())..]
    }

    /// Whether the body is declared as a form, or is not declared at all.
    pub(crate) fn is_form(&self) -> bool {
        let declared = self.headers("content-type").next().map(<[u8]>::trim_ascii);
        declared.is_none_or(|declared| {
            let kind = declared.split(|c| *c == b';').next().unwrap_or_default().trim_ascii();
            kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
        })
    }

    /// The pairs of the form in the body.
    pub(crate) fn form(&self) -> Result<&[Pair<'r>], Reason> {
        let form = self.form.get_or_init(|| form::parse(self.request.body));
        form.as_deref().ok_or(Reason::MalformedBody)
    }

    /// The pairs of the query.
    pub(crate) fn query(&self) -> Result<&[Pair<'r>], Reason> {
        let query = self.query.get_or_init(|| {
            let url = self.request.url;
            let mark = url.iter().position(|c| *c == b'?').map_or(url.len(), |at| at + 1);
            let query = &url[mark..];
            let end = query.iter().position(|c| *c == b'#').unwrap_or(query.len());
            form::parse(&query[..end])
        });
        query.as_deref().ok_or(Reason::MalformedUrl)
    }

    /// The value there; of several only one with the same text is taken.
    pub(crate) fn value(&self, selector: &Selector) -> Result<Option<Value<'r>>, Reason> {
        match selector {
            Selector::Header(name) => Ok(self.header(name)?.map(Cow::Borrowed)),
            Selector::Query(name) => the_one(self.query()?, name, Reason::MalformedUrl),
            Selector::Form(name) => the_one(self.form()?, name, Reason::MalformedBody),
            Selector::Json(path) => match path.find(self.request.body) {
                Ok(found) => Ok(found.into_iter().next().flatten().and_then(text)),
                Err(json::Unreadable) => Err(Reason::MalformedBody),
            },
            Selector::JsonKeyBut(other) => {
                let keys = json::keys(self.request.body).map_err(|_| Reason::MalformedBody)?;
                let key = keys.into_iter().find(|key| **key != **other);
                Ok(key.map(|key| Cow::Owned(key.into_bytes())))
            }
            Selector::FormJson(field, path) => {
                let Some(value) = the_one(self.form()?, field, Reason::MalformedBody)? else {
                    return Ok(None);
                };
                let found = path.find(&value).map_err(|_| Reason::MalformedBody)?;
                let found = found.into_iter().next().flatten().and_then(text);
                Ok(found.map(|value| Cow::Owned(value.into_owned())))
            }
            Selector::Param(name) => {
                Ok(self.params.get(&**name).map(|value| Cow::Borrowed(value.as_bytes())))
            }
        }
    }

    /// The values there: as many as a `*` in a JSON path finds, `None` for each place without one.
    pub(crate) fn values(&self, selector: &Selector) -> Result<Vec<Option<Value<'r>>>, Reason> {
        let Selector::Json(path) = selector else { return Ok(vec![self.value(selector)?]) };
        let found = path.find(self.request.body).map_err(|_| Reason::MalformedBody)?;
        Ok(found.into_iter().map(|found| found.and_then(text)).collect())
    }

    /// The first of these that is there and not empty, as text.
    pub(crate) fn first(&self, selectors: &[Selector]) -> Option<String> {
        let values = selectors.iter().filter_map(|selector| self.value(selector).ok().flatten());
        let mut texts = values.filter_map(|value| String::from_utf8(value.into_owned()).ok());
        texts.find(|text| !text.is_empty())
    }
}

fn text(found: json::Found<'_>) -> Option<Value<'_>> {
    found.text().map(|text| match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

/// The value of this name; the same value twice is one.
fn the_one<'r>(pairs: &[Pair<'r>], name: &str, twice: Reason) -> Result<Option<Value<'r>>, Reason> {
    let mut values = pairs.iter().filter(|(n, _)| **n == *name.as_bytes()).map(|(_, value)| value);
    let first = values.next();
    if first.is_some_and(|first| values.any(|value| value != first)) {
        return Err(twice);
    }
    Ok(first.cloned())
}
