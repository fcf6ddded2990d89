//! From an entry of `handshake` as it is written to a rule that can be used; what does not fit together is told.

use super::check::Hosts;
use super::row::{RespondRow, RuleRow, VerifyRow, WhenRow};
use super::rule::{Body, Condition, Expected, Json, Proof, Rule, When};
use crate::json::Path;
use crate::selector::{self, Selector};
use crate::template::Text;

type Built<T> = Result<T, String>;

impl RuleRow {
    /// The rule in this row.
    pub(super) fn build(self) -> Built<Rule> {
        let proof = match self.verify {
            VerifyRow::Is(true) => Proof::Checked,
            VerifyRow::Is(false) => Proof::None,
            VerifyRow::Text(_) => Proof::CheckedIfSecret,
        };
        let visit = self.fetch.map(|fetch| {
            let hosts = Hosts { names: Vec::new(), pattern: Some(fetch.host_re), path: None };
            if fetch.method == "GET" && proof == Proof::Checked {
                Ok((fetch.url, hosts))
            } else {
                Err("fetch is a GET, and only after verify = true".to_owned())
            }
        });
        let rule = Rule {
            when: self.when.build()?,
            proof,
            on_bad_signature: status(self.on_bad_sig.unwrap_or(401), 400..=499)?,
            on_mismatch: status(self.on_mismatch.unwrap_or(403), 400..=499)?,
            guards: self.guard.into_iter().collect(),
            equals: self.equals.into_iter().collect(),
            keep: self.store_secret,
            show: self.show_operator,
            visit: visit.transpose()?,
            status: status(self.respond.status, 200..=299)?,
            content_type: self.respond.r#type.clone(),
            headers: headers(&self.respond)?,
            body: self.respond.body()?,
        };
        rule.signs_nothing_unasked()?;
        Ok(rule)
    }
}

fn status(given: u16, allowed: std::ops::RangeInclusive<u16>) -> Built<u16> {
    if allowed.contains(&given) {
        return Ok(given);
    }
    Err(format!("{given} is no status from {} to {}", allowed.start(), allowed.end()))
}

fn headers(respond: &RespondRow) -> Built<Vec<(String, Text)>> {
    respond
        .headers
        .iter()
        .map(|(name, value)| {
            selector::header(name)?;
            Ok((name.clone(), value.clone()))
        })
        .collect()
}

impl Rule {
    /// Who may have any text signed may forge events: what is signed is proved first, or has a guard.
    fn signs_nothing_unasked(&self) -> Built<()> {
        let headers = self.headers.iter().map(|(_, text)| text);
        let texts = headers.chain(self.body.texts());
        let guarded =
            |selector: &Selector| self.guards.iter().any(|(guarded, _)| guarded == selector);
        if texts.flat_map(Text::signs).all(guarded) {
            return Ok(());
        }
        Err("what is signed in the answer needs a guard: else anybody could have events signed"
            .into())
    }
}

impl Json {
    fn build(value: &toml::Value) -> Built<Self> {
        match value {
            toml::Value::String(text) => text.parse().map(Self::Text),
            toml::Value::Integer(number) => Ok(Self::Integer(*number)),
            toml::Value::Boolean(is) => Ok(Self::Bool(*is)),
            toml::Value::Table(table) => Self::object(table),
            other => Err(format!("respond.json has no place for a {}", other.type_str())),
        }
    }

    fn object(table: &toml::Table) -> Built<Self> {
        let pairs = table.iter().map(|(key, value)| Ok((key.clone(), Self::build(value)?)));
        pairs.collect::<Built<_>>().map(Self::Object)
    }
}

impl RespondRow {
    fn body(self) -> Built<Body> {
        match (self.body, self.json) {
            (Some(_), Some(_)) => Err("respond has a body or json, not both".into()),
            (Some(text), None) => Ok(Body::Text(text)),
            (None, Some(table)) => Json::object(&table).map(Body::Json),
            (None, None) => Ok(Body::Empty),
        }
    }
}

impl WhenRow {
    /// The conditions in this row, those first that cost least.
    pub(super) fn build(self) -> Built<When> {
        let text = |value: String| Expected::Text(value);
        let header = |name: String| selector::header(&name).map(Selector::Header);
        let query = |name: String| Selector::Query(name.into());
        let json = |path: String| Path::parse(&path).map(Selector::Json);
        let mut all = Vec::new();
        all.extend(self.method.map(Condition::Method));
        for (name, value) in self.hdr {
            all.push(Condition::Is(header(name)?, text(value)));
        }
        for name in self.hdr_present {
            all.push(Condition::Present(header(name)?));
        }
        for name in self.hdr_absent {
            all.push(Condition::Absent(header(name)?));
        }
        all.extend(self.query.into_iter().map(|(n, v)| Condition::Is(query(n), text(v))));
        all.extend(self.query_present.into_iter().map(|name| Condition::Present(query(name))));
        let form = self.form_present.into_iter().map(|name| Selector::Form(name.into()));
        all.extend(form.map(Condition::Present));
        all.extend(self.form_only.map(Condition::FormOnly));
        for (path, value) in self.json {
            all.push(Condition::Is(json(path)?, expected(value)?));
        }
        for path in self.json_present {
            all.push(Condition::Present(json(path)?));
        }
        for path in self.json_absent {
            all.push(Condition::Absent(json(path)?));
        }
        all.extend(self.json_only.map(Condition::JsonOnly));
        Ok(When(all))
    }
}

fn expected(value: toml::Value) -> Built<Expected> {
    match value {
        toml::Value::String(text) => Ok(Expected::Text(text)),
        toml::Value::Integer(number) => Ok(Expected::Integer(number)),
        toml::Value::Boolean(is) => Ok(Expected::Bool(is)),
        toml::Value::Array(list) if list.is_empty() => Ok(Expected::EmptyList),
        other => Err(format!("when.json cannot compare with a {}", other.type_str())),
    }
}
