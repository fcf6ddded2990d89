//! What happens to URLs between the provider and the settings of an endpoint.

use crate::request::Request;

/// Each other way of writing the URL, with what is wrong then.
pub(super) fn variants(request: &Request<'_>) -> Vec<(Vec<u8>, String)> {
    let Ok(url) = std::str::from_utf8(request.url) else { return Vec::new() };
    let (front, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let (scheme, rest) = front.split_once("://").unwrap_or(("https", front));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let other = if scheme == "https" { "http" } else { "https" };
    let mut found = vec![
        (
            format!("{other}://{rest}{query}"),
            format!("It was signed for {other}://, not for {scheme}://."),
        ),
        (
            format!("{scheme}://{host}{path}{query}"),
            "It was signed for the URL without its port.".to_owned(),
        ),
        (
            format!("{scheme}://{host}:443{path}{query}"),
            "It was signed for the URL with its port, 443.".to_owned(),
        ),
        (
            format!("{scheme}://{host}:80{path}{query}"),
            "It was signed for the URL with its port, 80.".to_owned(),
        ),
        (front.to_owned(), "It was signed for the URL without its query.".to_owned()),
        (
            format!("{front}/{query}"),
            "It was signed for the URL with a slash at its end.".to_owned(),
        ),
        (
            format!("{}{query}", front.strip_suffix('/').unwrap_or(front)),
            "It was signed for the URL without the slash at its end.".to_owned(),
        ),
        (url.to_lowercase(), "It was signed for the URL in small letters.".to_owned()),
    ];
    let hosts = request.headers.iter().filter(|(name, _)| {
        [&b"host"[..], b"x-forwarded-host", b"x-original-host"]
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own))
    });
    for (name, value) in hosts {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        let why = format!(
            "It was signed for the host {value} (in the field {name}), not for {authority}."
        );
        found.push((format!("{scheme}://{value}{path}{query}"), why.clone()));
        found.push((
            format!("{other}://{value}{path}{query}"),
            format!("{why} And for {other}://."),
        ));
    }
    found.retain(|(other, _)| other != url);
    found.into_iter().map(|(url, why)| (url.into_bytes(), why)).collect()
}
