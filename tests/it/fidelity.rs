//! Through the relay and direct are the same, byte for byte: what the target sees, and what the provider gets.

use std::collections::BTreeMap;

use relay_tests::journey::Journey;
use relay_tests::provider::Provider;
use relay_tests::raw::{Message, Written};
use relay_tests::target::Target;

/// What the relay and the agent say for themselves (README: what is taken off and put on), and how a body is framed.
const BY_THE_WAY: [&str; 12] = [
    "host",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "via",
    "webhook-relay-event-id",
    "webhook-relay-attempt",
    "date",
    "connection",
    "content-length",
    "transfer-encoding",
];

/// The end-to-end fields: which values each has, in which order.
fn end_to_end(message: &Message) -> BTreeMap<&str, Vec<&[u8]>> {
    let mut fields: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
    for (name, value) in message.fields.iter().filter(|(n, _)| !BY_THE_WAY.contains(&n.as_str())) {
        fields.entry(name).or_default().push(value);
    }
    fields
}

fn assert_same_request(direct: &Message, through: &Message) {
    let head = |message: &Message| (message.method(), message.path().to_vec());
    assert_eq!(head(direct), head(through));
    assert_eq!(end_to_end(direct), end_to_end(through));
    assert!(direct.body == through.body, "{} and {}", direct.body.len(), through.body.len());
    assert_eq!(direct.trailers, through.trailers);
}

fn assert_same_answer(direct: &Message, through: &Message) {
    assert_eq!(direct.status(), through.status());
    assert_eq!(end_to_end(direct), end_to_end(through));
    assert!(direct.body == through.body, "{} and {}", direct.body.len(), through.body.len());
    assert_eq!(direct.trailers, through.trailers);
}

/// Sends the same request both ways; the answer, when both ways were the same.
async fn same(journey: &Journey, method: &str, request: impl Fn(&Provider) -> Written) -> Message {
    let (mut direct, mut through) = (journey.direct(), journey.through());
    let before = journey.target.seen().len();
    let plain = direct.send(method, &request(&direct)).await;
    let relayed = through.send(method, &request(&through)).await;
    let seen = journey.target.seen().split_off(before);
    assert_eq!(
        seen.len(),
        2,
        "asked once for each: {} {relayed:?}",
        String::from_utf8_lossy(seen[0].path())
    );
    assert_same_request(&seen[0], &seen[1]);
    assert_same_answer(&plain, &relayed);
    relayed
}

#[tokio::test]
async fn every_method_arrives_as_it_was_sent() {
    let journey = Journey::to(Target::echo().await).await;
    for method in
        ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "x-Own_1"]
    {
        same(&journey, method, |p| p.request(method, "/m")).await;
        same(&journey, method, |p| p.request(method, "/m").body("with a body")).await;
    }
}

#[tokio::test]
async fn sub_paths_and_queries_arrive_raw() {
    let journey = Journey::to(Target::echo().await).await;
    for path in [
        "/",
        "//",
        "/a%2Fb%2fc",
        "/a%20b+c;d=1;e",
        "/%zz%",
        "/\u{fc}\u{4e2d}/%C3%BC",
        "//evil.example/x",
        "/a/./b/../c",
        "/?",
        "/?a=1&a=2&&=&b=%26+%20;c",
        "/?q=\u{fc}",
        "/x?http://other.example/?y",
        "/!$&'()*,=:@-._~",
        "/{\"a\":[1|2]}",
    ] {
        same(&journey, "POST", |p| p.request("POST", path).body("x")).await;
    }
}

#[tokio::test]
async fn what_stands_right_behind_the_key_is_the_path() {
    let journey = Journey::to(Target::echo().await).await;
    for (sent, arrives) in [("", "/"), ("?a=1", "/?a=1"), ("/?a", "/?a")] {
        journey.through().post(sent, "x").await;
        let seen = journey.target.seen();
        assert_eq!(seen.last().unwrap().path(), arrives.as_bytes());
    }
}

#[tokio::test]
async fn repeated_fields_keep_the_order_of_their_values_and_bytes_above_ascii_survive() {
    let target = Target::scripted(|_| {
        Written::answer(200)
            .field("Set-Cookie", "a=1")
            .field("X-Other", b"\xe9\xff\x80")
            .field("Set-Cookie", "b=2")
            .field("X-Empty", "")
            .field("Set-Cookie", "a=1")
            .body("x")
            .bytes()
    })
    .await;
    let journey = Journey::to(target).await;
    let answer = same(&journey, "POST", |p| {
        p.request("POST", "/")
            .field("X-Many", "1")
            .field("X-Other", "between")
            .field("x-many", b"2 \xe9\xff")
            .field("X-MANY", "")
            .field("X-Many", "3, 4")
            .field("Authorization", "Basic abc")
            .field("Cookie", "a=1; b=2")
            .field("Content-Type", "text/plain; charset=latin1")
            .body("x")
    })
    .await;
    assert_eq!(answer.all("set-cookie"), [b"a=1", b"b=2", b"a=1"]);
}

#[tokio::test]
async fn bodies_of_every_size_arrive_whole_both_ways() {
    let journey = Journey::to(Target::echo().await).await;
    let bytes: Vec<u8> =
        (0..1 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let near = |size: usize| [size - 1, size, size + 1];
    let sizes = [16 << 10, 32 << 10, 64 << 10, 256 << 10].into_iter().flat_map(near);
    for size in [0, 1].into_iter().chain(sizes).chain([1 << 20]) {
        same(&journey, "POST", |p| p.request("POST", "/").body(&bytes[..size])).await;
    }
}

#[tokio::test]
async fn twenty_five_mebibytes_arrive_whole_both_ways() {
    let journey = Journey::to(Target::echo().await).await;
    let bytes: Vec<u8> =
        (0..25 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let answer = same(&journey, "POST", |p| p.request("POST", "/").body(&bytes)).await;
    assert_eq!(answer.body.len(), 25 << 20);
}

#[tokio::test]
async fn a_body_in_chunks_without_a_length_arrives_with_its_trailers() {
    let target = Target::scripted(|asked| {
        let half = asked.body.len() / 2;
        let (first, second) = asked.body.split_at(half);
        let chunks: Vec<&[u8]> = [first, second].into_iter().filter(|c| !c.is_empty()).collect();
        Written::answer(200)
            .field("Trailer", "X-Sum, X-Two")
            .chunks(&chunks, &[("X-Sum", "abc"), ("X-Two", "2")])
            .bytes()
    })
    .await;
    let journey = Journey::to(target).await;
    let large = vec![7; 300 << 10];
    for chunks in [vec![], vec![&b"one"[..], b"two", b"\0\r\n\xff"], vec![&large[..]]] {
        let answer = same(&journey, "POST", |p| {
            let request = p
                .request("POST", "/")
                .field("TE", "trailers")
                .field("Trailer", "X-Checksum, X-More");
            request.chunks(&chunks, &[("X-Checksum", "def"), ("X-More", "g")])
        })
        .await;
        assert_eq!(answer.trailers.len(), 2, "{chunks:?}");
    }
}

#[tokio::test]
async fn trailers_of_a_request_need_no_announcement() {
    let journey = Journey::to(Target::echo().await).await;
    let request = |p: &Provider| p.request("PUT", "/").chunks(&[b"one"], &[("X-Sum", "abc")]);
    same(&journey, "PUT", request).await;
    assert_eq!(journey.target.seen()[1].trailers, [("x-sum".to_owned(), b"abc".to_vec())]);
}

#[tokio::test]
async fn every_status_is_passed_on_with_its_fields() {
    let target = Target::scripted(|asked| {
        let status = String::from_utf8_lossy(&asked.path()[1..]).parse().unwrap();
        let answer = Written::answer(status).field("X-Is", "it").field("Retry-After", "7");
        if matches!(status, 204 | 304) { answer.bytes() } else { answer.body("why").bytes() }
    })
    .await;
    let journey = Journey::to(target).await;
    for status in [
        200, 201, 202, 203, 204, 206, 226, 300, 304, 400, 401, 404, 410, 418, 429, 451, 500, 501,
        502, 503, 504, 599, 999,
    ] {
        let path = format!("/{status}");
        let answer = same(&journey, "POST", |p| p.request("POST", &path).body("x")).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.field("webhook-relay-error"), None, "a target's own answer");
    }
}

#[tokio::test]
async fn an_answer_to_head_has_the_length_but_no_body() {
    let target = Target::scripted(|_| {
        Written::answer(200).field("Content-Length", "12345").field("X-Is", "it").bytes()
    })
    .await;
    let journey = Journey::to(target).await;
    let answer = same(&journey, "HEAD", |p| p.request("HEAD", "/")).await;
    assert_eq!(answer.field("content-length").as_deref(), Some("12345"));
}

#[tokio::test]
async fn a_304_may_tell_the_length_it_does_not_have() {
    let target = Target::scripted(|_| {
        Written::answer(304).field("ETag", "\"a\"").field("Content-Length", "77").bytes()
    })
    .await;
    let journey = Journey::to(target).await;
    let answer =
        same(&journey, "GET", |p| p.request("GET", "/").field("If-None-Match", "\"a\"")).await;
    assert_eq!(answer.field("etag").as_deref(), Some("\"a\""));
}

#[tokio::test]
async fn interim_answers_never_spoil_the_final_one() {
    let target = Target::scripted(|_| {
        let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
            HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        [&interim[..], &Written::answer(200).field("X-Is", "it").body("final").bytes()].concat()
    })
    .await;
    let journey = Journey::to(target).await;
    for _ in 0..3 {
        let answer = same(&journey, "POST", |p| p.request("POST", "/").body("x")).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "final"));
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_whole() {
    let target = Target::by_hand().await;
    let journey = Journey::to(target).await;
    let asked = tokio::spawn({
        let mut through = journey.through();
        async move { through.post("/", "x").await }
    });
    let (_, mut connection) = journey.target.asked().await;
    connection.send("HTTP/1.1 200 OK\r\nX-Is: it\r\n\r\nto the").await;
    connection.send(" end").await;
    drop(connection);
    let answer = asked.await.unwrap();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "to the end"));
}

#[tokio::test]
async fn chunks_count_more_than_a_length_beside_them() {
    let target = Target::scripted(|_| {
        Written::answer(200).field("Content-Length", "2").chunks(&[b"all of it"], &[]).bytes()
    });
    let answer = Journey::to(target.await).await.through().post("/", "x").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "all of it"));
}

#[tokio::test]
async fn a_redirect_is_passed_on_and_not_followed() {
    let other = Target::answering(200, "elsewhere").await;
    let location = format!("{}/x", other.url());
    let told = location.clone();
    let target =
        Target::scripted(move |_| Written::answer(307).field("Location", &told).body("").bytes())
            .await;
    let journey = Journey::to(target).await;
    let answer = same(&journey, "POST", |p| p.request("POST", "/").body("x")).await;
    assert_eq!(answer.field("location"), Some(location));
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn nothing_is_compressed_or_unpacked_on_the_way() {
    let target = Target::scripted(|_| {
        Written::answer(200).field("Content-Encoding", "gzip").body(b"\x1f\x8b no gzip").bytes()
    })
    .await;
    let journey = Journey::to(target).await;
    same(&journey, "POST", |p| {
        let request = p.request("POST", "/").field("Content-Encoding", "gzip");
        request.field("Accept-Encoding", "gzip, br").body(b"\x1f\x8b\x08 not gzip at all")
    })
    .await;
}

#[tokio::test]
async fn fields_of_one_hop_stay_behind() {
    let journey = Journey::to(Target::echo().await).await;
    let mut through = journey.through();
    let request = through
        .request("POST", "/")
        .field("Connection", "X-Hop, keep-alive")
        .field("X-Hop", "1")
        .field("Keep-Alive", "timeout=5")
        .field("Proxy-Authorization", "Basic abc")
        .field("Upgrade", "h2c")
        .field("HTTP2-Settings", "AAMAAABkAAQAAP__")
        .field("X-Kept", "yes")
        .body("x");
    assert_eq!(through.send("POST", &request).await.status(), 200);
    let seen = journey.target.only();
    for name in ["x-hop", "keep-alive", "upgrade", "http2-settings"] {
        assert_eq!(seen.field(name), None, "{name}");
    }
    assert_eq!(seen.field("x-kept").as_deref(), Some("yes"));
    // Nobody on the way has asked for it, so it is for the target.
    assert_eq!(seen.field("proxy-authorization").as_deref(), Some("Basic abc"));
}

#[tokio::test]
async fn names_of_ours_are_not_believed_from_outside() {
    let journey = Journey::to(Target::echo().await).await;
    let mut through = journey.through();
    let forged = [
        "Webhook-Relay-Event-Id",
        "webhook-relay-verification",
        "Webhook_Relay_Event_Id",
        "webhook-relay_attempt",
        "WEBHOOK_RELAY-REPLAY",
    ];
    let mut request = through.request("POST", "/");
    for name in forged {
        request = request.field(name, "forged");
    }
    assert_eq!(through.send("POST", &request.body("x")).await.status(), 200);
    let seen = journey.target.only();
    let values: Vec<_> = seen.fields.iter().filter(|(_, value)| value == b"forged").collect();
    assert!(values.is_empty(), "{values:?}");
    assert!(seen.field("webhook-relay-event-id").unwrap().starts_with("evt_"));
    assert_eq!(seen.field("webhook-relay-attempt").as_deref(), Some("1"));
}

#[tokio::test]
async fn a_target_cannot_pass_its_answer_off_as_the_relays() {
    let target = Target::scripted(|_| {
        let answer = Written::answer(503).field("Webhook-Relay-Error", "agent_offline");
        answer.field("Webhook_Relay_Error", "agent_offline").body("x").bytes()
    })
    .await;
    let journey = Journey::to(target).await;
    let answer = journey.through().post("/", "x").await;
    assert_eq!(answer.status(), 503);
    assert!(answer.fields.iter().all(|(_, value)| value != b"agent_offline"), "{answer:?}");
}

#[tokio::test]
async fn the_target_learns_who_sent_it_and_nobody_can_lie_about_that() {
    let journey = Journey::to(Target::echo().await).await;
    let mut through = journey.through();
    let request = through
        .request("POST", "/")
        .field("X-Forwarded-For", "192.0.2.1")
        .field("X-Forwarded-Proto", "https")
        .field("Forwarded", "for=192.0.2.1")
        .body("x");
    through.send("POST", &request).await;
    let seen = journey.target.only();
    assert_eq!(seen.all("x-forwarded-for"), [b"127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), [b"http"]);
    let host = journey.relay.address.to_string();
    assert_eq!(seen.field("x-forwarded-host"), Some(host.clone()));
    assert_eq!(seen.field("forwarded"), Some(format!("for=127.0.0.1;proto=http;host=\"{host}\"")));
    assert!(seen.field("via").unwrap().starts_with("1.1 webhook-relay-"));
    assert_eq!(seen.field("host"), Some(journey.target.address().to_string()));
}

#[tokio::test]
async fn an_endpoint_has_a_host_of_its_own_below_the_hooks_domain() {
    let settings = [("hooks_domain", "hooks.example")];
    let journey = Journey::with(Target::echo().await, &settings, &[]).await;
    let host = format!("{}.Hooks.Example:8080", journey.endpoint.key);
    let mut provider = Provider::of(journey.relay.address, "").for_host(&host);
    let answer = provider.post("/hooks/other/x?y", "hello").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
    assert_eq!(journey.target.only().path(), b"/hooks/other/x?y");
}
