//! Which proxy is taken, and what is shown of it.

use super::*;

fn toward(relay: &str, given: Option<&str>, set: &[(&str, &str)]) -> Result<String, BadProxy> {
    let value = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    let proxy = Proxy::toward(&relay.parse().unwrap(), given, value)?;
    Ok(proxy.map_or("direct".into(), |proxy| proxy.to_string()))
}

#[test]
fn the_scheme_of_the_relay_says_which_variable_counts() {
    let set = [
        ("http_proxy", "http://h:1"),
        ("https_proxy", "http://s:2"),
        ("ALL_PROXY", "socks5://a:3"),
    ];
    for (relay, variables, proxy) in [
        ("http://r", &set[..], "http://h:1"),
        ("wss://r", &set[..], "http://s:2"),
        ("https://r", &set[2..], "socks5://a:3"),
        ("https://r", &set[..1], "direct"),
        ("https://r", &[], "direct"),
        ("https://r", &[("https_proxy", ""), ("HTTPS_PROXY", "https://u:3")], "https://u:3"),
        ("https://r", &[("https_proxy", "l:4"), ("HTTPS_PROXY", "https://u:3")], "http://l:4"),
    ] {
        assert_eq!(toward(relay, None, variables).unwrap(), proxy, "{relay} {variables:?}");
    }
}

#[test]
fn what_is_given_comes_before_the_environment() {
    let set = [("HTTPS_PROXY", "http://s:2"), ("NO_PROXY", "inside.example")];
    assert_eq!(toward("https://r", Some("socks5h://g"), &set).unwrap(), "socks5h://g:1080");
    assert_eq!(toward("https://r", Some("direct"), &set).unwrap(), "direct");
    assert_eq!(toward("https://a.inside.example", Some("socks5h://g"), &set).unwrap(), "direct");
}

#[test]
fn no_proxy_names_hosts_domains_and_networks() {
    for (exempt, relay, direct) in [
        ("r.example", "https://r.example", true),
        ("example", "https://r.example", true),
        (".example", "https://r.example", true),
        (".R.Example.", "https://r.eXample:8443", true),
        ("ample", "https://r.example", false),
        ("r.example.org", "https://r.example", false),
        ("a, b ,r.example", "https://r.example", true),
        ("a r.example b", "https://r.example", true),
        ("*", "https://r.example", true),
        ("*.example", "https://r.example", false),
        ("10.0.0.0/8", "https://10.1.2.3", true),
        ("10.0.0.0/8", "https://11.1.2.3", false),
        ("10.1.2.3", "https://10.1.2.3:99", true),
        ("10.0.0.0/8", "https://r.example", false),
        ("fd00::/8", "https://[fd00::1]", true),
        ("[::1]", "https://[::1]:8443", true),
        ("::1", "https://[::2]", false),
        ("", "https://r.example", false),
        (",", "https://r.example", false),
    ] {
        let set = [("ALL_PROXY", "http://p:1"), ("no_proxy", exempt)];
        assert_eq!(toward(relay, None, &set).unwrap() == "direct", direct, "{exempt:?} {relay}");
    }
}

#[test]
fn what_is_no_proxy_is_refused_and_its_password_not_told() {
    for url in [
        "ftp://u:geheim@p:1",
        "socks4://u:geheim@p:1",
        "http://",
        "http://u:geheim@p q/",
        "http://u:ge/geheim@p:1",
        "u:geheim/?#@",
        "://",
    ] {
        let told = toward("https://r", None, &[("HTTPS_PROXY", url)]).unwrap_err().to_string();
        assert!(told.starts_with("HTTPS_PROXY: ") && !told.contains("geheim"), "{told}");
    }
}

fn proxy(url: &str) -> Proxy {
    Proxy::toward(&"https://r".parse().unwrap(), Some(url), |_| None).unwrap().unwrap()
}

/// What is shown to the proxy of whoever asks.
fn shown(proxy: &Proxy) -> String {
    match &proxy.kind {
        Kind::Http { authorization: Some(value), .. } => value.to_str().unwrap().to_owned(),
        Kind::Socks { login: Some(Login { user, password }), .. } => format!("{user} {password}"),
        _ => String::new(),
    }
}

#[test]
fn the_login_comes_from_the_url_or_from_elsewhere_and_is_never_shown() {
    for (url, login) in [
        ("http://Aladdin:open%20sesame@p:1", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("https://p%40q:x%3Ay@p:1", "Basic cEBxOng6eQ=="),
        ("socks5://u:p%40ss@p:1", "u p@ss"),
        ("socks5h://p", ""),
        ("http://[::1]:3128", ""),
    ] {
        let proxy = proxy(url);
        assert_eq!(shown(&proxy), login, "{url}");
        assert!(!format!("{proxy} {proxy:?}").contains('@'), "{proxy:?}");
        let wanted = if url.starts_with("http") { "Basic QTpiOmM=" } else { "A b:c" };
        assert_eq!(shown(&proxy.asked_as("A:b:c")), wanted);
    }
}
