//! Frames that are sound, and requests that are not (RFC 9113 §8).

use relay_tests::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PROTOCOL_ERROR, STREAM_CLOSED, block, frame,
};

use super::{Case, Expect, Fields, STREAM, World, bare, case, head, post, request};
use Expect::{Ends, Malformed, Taken, Unreadable};

/// A sound request with one more field.
fn with<'a>(path: &'a str, name: &'a str, value: &'a str) -> Fields<'a> {
    let mut fields = post(path);
    fields.push((name, value));
    fields
}

/// A sound request without one of its fields.
fn without<'a>(path: &'a str, name: &str) -> Fields<'a> {
    post(path).into_iter().filter(|(own, _)| *own != name).collect()
}

/// A sound request with another value of one of its fields.
fn instead<'a>(path: &'a str, name: &str, value: &'a str) -> Fields<'a> {
    let other = |(own, old)| if own == name { (own, value) } else { (own, old) };
    post(path).into_iter().map(other).collect()
}

fn malformed(name: &'static str, rfc: &'static str, fields: &Fields<'_>) -> Case {
    case(name, rfc, request(STREAM, fields, ""), Malformed)
}

/// What the library cannot put into words at all.
fn unreadable(name: &'static str, rfc: &'static str, fields: &Fields<'_>) -> Case {
    case(name, rfc, request(STREAM, fields, ""), Unreadable)
}

#[tokio::test]
async fn requests_with_fields_that_http2_does_not_have_are_malformed() {
    let world = World::fresh().await;
    let path = world.path("fields");
    let also = |name, value| with(&path, name, value);
    let mut cases = vec![
        unreadable("an upper-case name", "§8.2.1", &also("X-Upper", "1")),
        unreadable("a name with a space", "§8.2.1", &also("x a", "1")),
        unreadable("a name with a line end", "§8.2.1", &also("x\r\na", "1")),
        unreadable("a name with a colon", "§8.2.1", &also("x:a", "1")),
        unreadable("no name", "§8.2.1", &also("", "1")),
        unreadable("a value with a line end", "§8.2.1", &also("x", "1\r\nx-smuggled: 1")),
        unreadable("a value with LF", "§8.2.1", &also("x", "1\nx-smuggled: 1")),
        unreadable("a value with CR", "§8.2.1", &also("x", "1\rx-smuggled: 1")),
        unreadable("a value with NUL", "§8.2.1", &also("x", "1\0")),
        malformed("a value that begins with a space", "§8.2.1", &also("x", " 1")),
        malformed("a value that ends with a tab", "§8.2.1", &also("x", "1\t")),
        malformed("connection", "§8.2.2", &also("connection", "close")),
        malformed("transfer-encoding", "§8.2.2", &also("transfer-encoding", "chunked")),
        malformed("keep-alive", "§8.2.2", &also("keep-alive", "1")),
        malformed("proxy-connection", "§8.2.2", &also("proxy-connection", "close")),
        malformed("upgrade", "§8.2.2", &also("upgrade", "websocket")),
        malformed("te: gzip", "§8.2.2", &also("te", "gzip")),
    ];
    let sound = world.path("taken");
    let send = request(STREAM, &with(&sound, "te", "trailers"), "");
    cases.push(case("te: trailers", "§8.2.2", send, Taken));
    world.judge(cases).await;
}

#[tokio::test]
async fn requests_without_one_sound_line_are_malformed() {
    let world = World::fresh().await;
    let path = world.path("line");
    let also = |name, value| with(&path, name, value);
    let other = |name, value| instead(&path, name, value);
    let mut late = post(&path);
    late.insert(3, ("x", "1"));
    let mut cases = vec![
        malformed("no :method", "§8.3.1", &without(&path, ":method")),
        malformed("no :scheme", "§8.3.1", &without(&path, ":scheme")),
        malformed("no :path", "§8.3.1", &without(&path, ":path")),
        malformed("neither :authority nor host", "RFC 9110 §4.2.2", &without(&path, ":authority")),
        malformed("two :path", "§8.3", &also(":path", "/other")),
        malformed("two :method", "§8.3", &also(":method", "GET")),
        malformed("two :authority", "§8.3", &also(":authority", "other")),
        malformed("a :path after x", "§8.3", &late),
        unreadable("an unknown one", "§8.3", &also(":what", "1")),
        malformed("a :status", "§8.3", &also(":status", "200")),
        malformed("a :protocol", "RFC 8441 §4", &also(":protocol", "websocket")),
        unreadable("a method with a space", "§8.3.1", &other(":method", "GET /other")),
        unreadable(
            "a method with a line end",
            "§8.3.1",
            &other(":method", "GET / HTTP/1.1\r\nx: y"),
        ),
        malformed("no scheme", "§8.3.1", &other(":scheme", "")),
        malformed("a user", "§8.3.1", &other(":authority", "user@localhost")),
        malformed("a host with a space", "§8.3.1", &other(":authority", "local host")),
        malformed("no host", "RFC 9110 §4.2.2", &other(":authority", "")),
        malformed("another host", "§8.3.1", &also("host", "other.example")),
        malformed("connect", "§8.5", &vec![(":method", "CONNECT"), (":authority", "a:1")]),
    ];
    let sound = world.path("taken");
    let send = request(STREAM, &with(&sound, "host", "localhost"), "");
    cases.push(case("the same host", "§8.3.1", send, Taken));
    world.judge(cases).await;
}

#[tokio::test]
async fn paths_that_are_none_lead_nowhere() {
    let world = World::with(&[("hooks_domain", "hooks.example")], |_| {
        relay_tests::raw::Written::answer(200).bytes()
    })
    .await;
    let host = format!("{}.hooks.example", world.journey.endpoint.key);
    let to = |path| {
        let fields = post(path).into_iter();
        fields.map(|(n, v)| if n == ":authority" { (n, &host[..]) } else { (n, v) }).collect()
    };
    let mut unnamed: Fields<'_> = without("", ":authority");
    unnamed.retain(|(name, _)| *name != ":path");
    unnamed.push(("host", &host));
    world
        .judge(vec![
            malformed("no path at all", "§8.3.1", &unnamed),
            malformed("an empty path", "§8.3.1", &to("")),
            malformed("a path without a slash", "§8.3.1", &to("path")),
            malformed("a whole URL", "§8.3.1", &to("http://localhost:1/path")),
            malformed("a host", "§8.3.1", &to("localhost:1")),
            malformed("a user and a host", "§8.3.1", &to("@localhost:1/")),
            malformed("an asterisk", "§8.3.1", &to("*")),
            malformed("a query only", "§8.3.1", &to("?query")),
            malformed("a path with a space", "§8.3.1", &to("/a b")),
            malformed("a path with a line end", "§8.3.1", &to("/a\r\nx: y")),
            malformed("a path with NUL", "§8.3.1", &to("/a\0")),
            // A fragment is for the caller alone, and goes no further.
            case("a fragment", "RFC 9110 §4.2.5", request(STREAM, &to("/taken#b"), ""), Taken),
        ])
        .await;
}

#[tokio::test]
async fn bodies_that_are_not_as_announced_reach_nobody() {
    let world = World::fresh().await;
    let (path, taken) = (world.path("announced"), world.path("taken"));
    let long = |length, body| request(STREAM, &with(&path, "content-length", length), body);
    let data = |flags, body: &str| frame(DATA, flags, STREAM, body);
    let twice = [with(&path, "content-length", "4"), vec![("content-length", "5")]].concat();
    let trailers = |flags, fields: &[(&str, &str)]| {
        let begun = head(STREAM, &post(&path));
        [begun, data(0, "body"), frame(HEADERS, END_HEADERS | flags, STREAM, block(fields))]
            .concat()
    };
    let odd = [
        head(STREAM, &post(&taken)),
        frame(HEADERS, END_HEADERS | END_STREAM, STREAM, block(&[(":path", "/other")])),
    ]
    .concat();
    let promised = bare(STREAM, &with(&path, "content-length", "4"));
    let short = [
        head(STREAM, &with(&path, "content-length", "5")),
        data(0, "body"),
        frame(HEADERS, END_HEADERS | END_STREAM, STREAM, block(&[("x", "1")])),
    ];
    let bad = |name, send| case(name, "§8.1.1", send, Malformed);
    let again = [request(STREAM, &post(&taken), ""), bare(STREAM, &post(&path))].concat();
    world
        .judge(vec![
            bad("less than announced", long("5", "body")),
            bad("more than announced", long("3", "body")),
            bad("nothing of what was announced", promised),
            bad("less than announced, and trailers", short.concat()),
            bad("two lengths", request(STREAM, &twice, "body")),
            bad("a length with a sign", long("+4", "body")),
            bad("a negative length", long("-1", "body")),
            bad("a list of lengths", long("4, 5", "body")),
            bad("a length above all", long("99999999999999999999999", "body")),
            bad("trailers that are not the end", trailers(0, &[("x", "1")])),
            // The library lets go of it, so nobody behind it sees it either.
            case("trailers with a :path", "§8.1", odd, Taken),
            bad("trailers with a connection", trailers(END_STREAM, &[("connection", "close")])),
            case(
                "trailers with an upper-case name",
                "§8.2.1",
                trailers(END_STREAM, &[("X-Upper", "1")]),
                Unreadable,
            ),
            case(
                "trailers with a line end",
                "§8.2.1",
                trailers(END_STREAM, &[("x", "1\r\ny: 2")]),
                Unreadable,
            ),
            case(
                "a second head after the end",
                "§5.1",
                again,
                Ends(&[STREAM_CLOSED, PROTOCOL_ERROR]),
            ),
        ])
        .await;
}
