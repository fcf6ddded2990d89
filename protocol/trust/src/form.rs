//! Forms and queries (`application/x-www-form-urlencoded`), as bytes: what they encode need not be UTF-8.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// The most pairs that are read. More is no form that a provider sends, but a way to fill the memory.
pub(crate) const PAIRS_MAX: usize = 10_000;

/// Name and value, decoded.
pub(crate) type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// The pairs in their order; `None` if there are too many.
///
/// As in the URL standard, an escape that is none stands for itself.
pub(crate) fn parse(text: &[u8]) -> Option<Vec<Pair<'_>>> {
    let pairs = text.split(|c| *c == b'&').filter(|pair| !pair.is_empty());
    let pairs: Vec<Pair<'_>> = pairs.take(PAIRS_MAX + 1).map(pair).collect();
    (pairs.len() <= PAIRS_MAX).then_some(pairs)
}

fn pair(text: &[u8]) -> Pair<'_> {
    let mark = text.iter().position(|c| *c == b'=').unwrap_or(text.len());
    (decode(&text[..mark]), decode(text.get(mark + 1..).unwrap_or_default()))
}

fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'+') {
        return percent_decode(text).into();
    }
    let spaced: Vec<u8> = text.iter().map(|c| if *c == b'+' { b' ' } else { *c }).collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let pairs = parse(text).expect("few pairs");
        pairs.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    #[test]
    fn pairs_are_decoded_as_bytes() {
        let wanted = vec![
            (b"a b".to_vec(), b"1+2 \xff".to_vec()),
            (b"a".to_vec(), Vec::new()),
            (b"odd".to_vec(), b"%zz%4".to_vec()),
            (Vec::new(), b"=x".to_vec()),
        ];
        assert_eq!(pairs(b"a+b=1%2B2+%ff&&a&odd=%zz%4&==x"), wanted);
    }

    #[test]
    fn a_form_has_a_bound() {
        assert!(parse(&b"a&".repeat(PAIRS_MAX)).is_some());
        assert!(parse(&b"a&".repeat(PAIRS_MAX + 1)).is_none());
    }
}
