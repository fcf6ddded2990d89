//! `Signature-Input`, `Signature` and `Content-Digest`: as much of structured fields (RFC 9651) as they are made of.

/// A member of a dictionary, its value as it is written.
pub(super) struct Labelled<'t> {
    pub(super) label: &'t str,
    pub(super) value: &'t str,
}

/// The members of a dictionary; `None` if it is none, or names one twice.
pub(super) fn dictionary(text: &str) -> Option<Vec<Labelled<'_>>> {
    let mut members: Vec<Labelled<'_>> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = end_of_member(rest)?;
        let (label, value) = rest[..end].trim().split_once('=')?;
        if !is_key(label) || value.is_empty() || members.iter().any(|known| known.label == label) {
            return None;
        }
        members.push(Labelled { label, value });
        rest = match rest[end..].strip_prefix(',') {
            Some(more) => Some(more.trim()).filter(|more| !more.is_empty())?,
            None => "",
        };
    }
    (!members.is_empty()).then_some(members)
}

/// Where a member ends: at a comma outside of strings and lists.
fn end_of_member(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    (!quoted && depth == 0).then_some(text.len())
}

fn is_key(text: &str) -> bool {
    let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '*');
    first
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c))
}

/// What is signed, and how.
pub(super) struct Input<'t> {
    pub(super) components: Vec<Component<'t>>,
    params: Vec<(&'t str, &'t str)>,
}

/// A component that is signed.
pub(super) struct Component<'t> {
    pub(super) name: &'t str,
    /// Its parameters, as they are written.
    pub(super) params: &'t str,
}

impl<'t> Input<'t> {
    /// The inner list and its parameters.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let (list, params) = text.strip_prefix('(')?.split_once(')')?;
        let mut components: Vec<Component<'t>> = Vec::new();
        for item in list.split(' ').filter(|item| !item.is_empty()) {
            let (name, params) = item.strip_prefix('"')?.split_once('"')?;
            let lower = |c: char| c.is_ascii_graphic() && !c.is_ascii_uppercase() && c != '\\';
            let twice = components.iter().any(|known| known.name == name && known.params == params);
            if name.is_empty() || !name.chars().all(lower) || twice {
                return None;
            }
            components.push(Component { name, params });
        }
        Some(Self { components, params: parameters(params)? })
    }

    /// Whether this component is signed, whole.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.components
            .iter()
            .any(|component| component.name == name && component.params.is_empty())
    }

    /// A parameter that is a string.
    pub(super) fn text(&self, name: &str) -> Option<&'t str> {
        self.get(name)?.strip_prefix('"')?.strip_suffix('"')
    }

    /// A parameter that is a number from 0; `Some(None)` if it is there and is none.
    pub(super) fn number(&self, name: &str) -> Option<Option<u64>> {
        let value = self.get(name)?;
        Some(if value.bytes().all(|c| c.is_ascii_digit()) { value.parse().ok() } else { None })
    }

    fn get(&self, name: &str) -> Option<&'t str> {
        self.params.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// `;key=value` pairs; a key twice makes none.
fn parameters(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut params: Vec<(&str, &str)> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let pair = rest.strip_prefix(';')?.trim_start();
        let mut quoted = false;
        let end = pair.find(|c| {
            quoted ^= c == '"';
            c == ';' && !quoted
        });
        let end = end.unwrap_or(pair.len());
        let (key, value) = pair[..end].split_once('=').unwrap_or((&pair[..end], "?1"));
        if !is_key(key) || quoted || params.iter().any(|(known, _)| *known == key) {
            return None;
        }
        params.push((key, value));
        rest = &pair[end..];
    }
    Some(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_read() {
        let text = r#"("date" "@authority" "content-type");created=1618884473;keyid="a;b\,c""#;
        let input = Input::parse(text).expect("an input");
        let names: Vec<&str> = input.components.iter().map(|component| component.name).collect();
        assert_eq!(names, ["date", "@authority", "content-type"]);
        assert_eq!(input.number("created"), Some(Some(1_618_884_473)));
        assert_eq!(input.text("keyid"), Some(r"a;b\,c"));
        assert_eq!(input.number("expires"), None);
        assert!(input.covers("date") && !input.covers("Date"));
    }

    #[test]
    fn a_dictionary_is_read() {
        let members = dictionary(r#"a=("x" "y");k="1,2", b=:YQ==:"#).expect("a dictionary");
        let pairs: Vec<_> = members.iter().map(|member| (member.label, member.value)).collect();
        assert_eq!(pairs, [("a", r#"("x" "y");k="1,2""#), ("b", ":YQ==:")]);
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in
            ["", "a", "a=", "A=1", "a=1,", "a=1,,b=2", "a=1,a=2", "a=(", "a=)", "a=\"", "=1"]
        {
            assert!(dictionary(text).is_none(), "{text}");
        }
        for text in
            ["", "(", "(a)", "(\"a\" \"a\")", "(\"A\")", "(\"a\")x", "(\"a\");a;a", "(\"a\");a=\""]
        {
            assert!(Input::parse(text).is_none(), "{text}");
        }
        let odd = Input::parse("();created=-1;expires=99999999999999999999").expect("an input");
        assert_eq!((odd.number("created"), odd.number("expires")), (Some(None), Some(None)));
    }
}
