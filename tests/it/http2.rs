//! Providers that speak HTTP/2: what they send arrives as it was sent, and what bounds HTTP/1.1 bounds them too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{Full, StreamBody};
use hyper::body::Frame;
use relay_tests::authority::Authority;
use relay_tests::http2::{Answer, Http2, whole};
use relay_tests::journey::Journey;
use relay_tests::process::run;
use relay_tests::raw::Written;
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::{slow, soon, until};
use tokio::process::Command;

/// A relay with TLS, an agent and a target, and a provider that speaks HTTP/2.
async fn journey(target: Target, relay: &[(&str, &str)]) -> (Journey, Http2) {
    let authority = Arc::new(Authority::fresh());
    let journey = Journey::secure(&authority, target, relay, &[]).await;
    let provider = Http2::to(journey.relay.address, &authority).await;
    (journey, provider)
}

fn request(
    journey: &Journey,
    method: &str,
    path: &str,
    body: &'static str,
) -> Request<Full<Bytes>> {
    let url = format!("https://localhost{}{path}", journey.endpoint.path);
    let request = Request::builder().method(method).uri(url);
    request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()
}

fn assert_refused(answer: &Answer, code: &str, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.headers["webhook-relay-error"], code);
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(told["code"], code);
}

#[tokio::test]
async fn a_request_arrives_as_it_was_sent() {
    let (journey, mut provider) = journey(Target::echo().await, &[]).await;
    let mut asked = request(&journey, "PUT", "/a%2Fb/%c3?q=%20&q", "a body");
    let fields = asked.headers_mut();
    for (name, value) in
        [("x-a", "1"), ("x-b", "2"), ("x-a", "3"), ("cookie", "a=1"), ("cookie", "b=2")]
    {
        fields.append(name, value.parse().unwrap());
    }
    fields.append("x-high", http::HeaderValue::from_bytes(b"\xe9\xff").unwrap());
    fields.append("webhook-relay-event-id", "forged".parse().unwrap());
    let answer = provider.send(asked).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"a body"[..]));
    let seen = &journey.target.seen()[0];
    assert_eq!((seen.method(), seen.path()), ("PUT".into(), &b"/a%2Fb/%c3?q=%20&q"[..]));
    assert_eq!(seen.all("x-a"), [b"1", b"3"]);
    assert_eq!(seen.all("x-high"), [b"\xe9\xff"]);
    assert_eq!(seen.all("cookie"), [b"a=1; b=2"]);
    assert_eq!(seen.body, b"a body");
    assert!(seen.field("via").unwrap().starts_with("2 "), "{seen:?}");
    assert_eq!(seen.field("x-forwarded-host").unwrap(), "localhost");
    assert_eq!(seen.field("x-forwarded-proto").unwrap(), "https");
    assert_ne!(seen.field("webhook-relay-event-id").unwrap(), "forged");
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let script =
        |_: &_| Written::answer(200).chunks(&[b"told ", b"whole"], &[("X-Sum", "1")]).bytes();
    let authority = Arc::new(Authority::fresh());
    let journey = Journey::secure(&authority, Target::scripted(script).await, &[], &[]).await;
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-end", "yes".parse().unwrap());
    let frames = [
        Frame::data(Bytes::from_static(b"some ")),
        Frame::data(Bytes::from_static(b"pieces")),
        Frame::trailers(trailers),
    ];
    let frames = frames.map(Ok::<_, std::convert::Infallible>);
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let mut provider = Http2::to(journey.relay.address, &authority).await;
    let asked = request(&journey, "POST", "/", "").map(|_| body);
    let (mut head, body) = asked.into_parts();
    head.headers.insert("te", "trailers".parse().unwrap());
    head.headers.insert("trailer", "x-end".parse().unwrap());
    let answer = provider.send(Request::from_parts(head, body)).await;
    assert_eq!(&answer.body[..], b"told whole");
    assert_eq!(answer.trailers.unwrap()["x-sum"], "1");
    let seen = &journey.target.seen()[0];
    assert_eq!(seen.body, b"some pieces");
    assert_eq!(seen.trailers, [("x-end".to_owned(), b"yes".to_vec())]);
}

#[tokio::test]
async fn an_answer_without_a_body_has_none() {
    let script = |asked: &relay_tests::raw::Message| match asked.method().as_str() {
        "HEAD" => Written::answer(200).field("Content-Length", "77").bytes(),
        "DELETE" => Written::answer(204).field("X-Left", "0").bytes(),
        _ => Written::answer(304).field("ETag", "\"1\"").bytes(),
    };
    let (journey, mut provider) = journey(Target::scripted(script).await, &[]).await;
    for (method, status, name, value) in [
        ("HEAD", 200, "content-length", "77"),
        ("DELETE", 204, "x-left", "0"),
        ("GET", 304, "etag", "\"1\""),
    ] {
        let answer = provider.send(request(&journey, method, "/", "")).await;
        assert_eq!((answer.status, answer.body.len()), (status, 0), "{method}");
        assert_eq!(answer.headers[name], value, "{method}");
    }
    // The relay's own words are no body of a HEAD either.
    let nothing = Request::head("https://localhost/hooks/nothing").body(Full::default()).unwrap();
    let answer = provider.send(nothing).await;
    assert_eq!((answer.status, answer.body.len()), (404, 0), "{answer:?}");
}

#[tokio::test]
async fn requests_share_a_connection_and_none_waits_for_another() {
    let (journey, mut provider) = journey(Target::by_hand().await, &[]).await;
    let mut sender = provider.sender.clone();
    let slow = request(&journey, "POST", "/slow", "1");
    let slow = tokio::spawn(async move { sender.send_request(slow).await });
    let (_, mut held) = journey.target.asked().await;
    let quick = request(&journey, "POST", "/quick", "2");
    let (answer, ()) = tokio::join!(provider.send(quick), async {
        let (_, mut target) = journey.target.asked().await;
        target.send(Written::answer(200).body("quick").bytes()).await;
    });
    assert_eq!(&answer.body[..], b"quick");
    held.send(Written::answer(200).body("slow").bytes()).await;
    let slow = soon("the slow one", slow).await.unwrap().unwrap();
    assert_eq!(&whole(slow).await.body[..], b"slow");
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_connection_lives_on() {
    let authority = Arc::new(Authority::fresh());
    let target = Target::echo().await;
    let journey = Journey::secure(&authority, target, &[], &[("max_body", "1MiB")]).await;
    let mut provider = Http2::to(journey.relay.address, &authority).await;
    let mut long = request(&journey, "POST", "/", "");
    long.headers_mut().insert("x-long", "a".repeat(33 << 10).parse().unwrap());
    assert_refused(&provider.send(long).await, "headers_too_large", 431);
    let far = format!("/{}", "p".repeat(9 << 10));
    let answer = provider.send(request(&journey, "POST", &far, "")).await;
    assert_refused(&answer, "uri_too_long", 414);
    let large = request(&journey, "POST", "/", "").map(|_| Full::new(vec![7; 2 << 20].into()));
    assert_refused(&provider.send(large).await, "body_too_large", 413);
    let nowhere = Request::post("https://localhost/hooks/nothing");
    let nowhere = nowhere.body(Full::new(vec![7; 2 << 20].into())).unwrap();
    assert_refused(&provider.send(nowhere).await, "unknown_endpoint", 404);
    let connect = Request::get("https://localhost/agent/v1/connect").body(Full::default()).unwrap();
    assert_eq!(provider.send(connect).await.status, 401);
    let mut user = request(&journey, "POST", "/", "");
    *user.uri_mut() = format!("https://u@localhost{}", journey.endpoint.path).parse().unwrap();
    let answer = provider.send(user).await;
    assert_refused(&answer, "bad_request", 400);
    assert_eq!(provider.send(request(&journey, "POST", "/", "on")).await.status, 200);
}

#[tokio::test]
async fn a_large_body_goes_through_both_ways() {
    let (journey, mut provider) = journey(Target::echo().await, &[]).await;
    let body: Vec<u8> = (0..5_000_000_u32).map(|n| (n >> 8) as u8).collect();
    let asked = request(&journey, "POST", "/", "").map(|_| Full::new(body.clone().into()));
    let answer = provider.send(asked).await;
    assert!(answer.status == 200 && answer.body == body, "{} {}", answer.status, answer.body.len());
}

#[tokio::test]
async fn a_caller_that_gives_up_takes_its_request_with_it() {
    let (journey, mut provider) = journey(Target::by_hand().await, &[]).await;
    let asked = request(&journey, "POST", "/", "never mind");
    let given_up = tokio::spawn(async move { provider.send(asked).await });
    let (_, mut target) = journey.target.asked().await;
    given_up.abort();
    target.ended().await;
}

#[tokio::test]
async fn a_connection_without_requests_is_let_go() {
    let (journey, mut provider) = journey(Target::echo().await, &[("header_timeout", "1s")]).await;
    assert_eq!(provider.send(request(&journey, "POST", "/", "")).await.status, 200);
    let started = Instant::now();
    soon("it ends", &mut provider.connection).await.unwrap().ok();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    // One that has settled on HTTP/2 and says nothing at all.
    let authority = Arc::new(Authority::fresh());
    let relay = Relay::secure(&authority, &[("header_timeout", "1s")]).await;
    let caller = relay_tests::http2::Caller::of(&authority, &["h2"]);
    let mut silent = caller.connect(relay.address).await.unwrap();
    let mut said = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut said);
    let _ = soon("it is cut", read).await;
}

#[tokio::test]
async fn a_flood_of_requests_that_are_given_up_is_cut() {
    let (journey, provider) = journey(Target::by_hand().await, &[]).await;
    let mut sent = 0;
    while sent < 2000 {
        let mut sender = provider.sender.clone();
        if soon("room", sender.ready()).await.is_err() {
            break;
        }
        // Begun, then given up.
        let asked = sender.send_request(request(&journey, "POST", "/", "x"));
        let _ = tokio::time::timeout(Duration::from_millis(1), asked).await;
        sent += 1;
    }
    // Twenty that nobody has looked at yet are enough: so many it is where the relay is busy.
    assert!((20..1000).contains(&sent), "{sent} were taken");
    soon("it ends", provider.connection).await.unwrap().ok();
}

#[tokio::test]
async fn a_caller_that_takes_nothing_of_an_answer_is_cut() {
    if !slow("a caller that takes nothing of an answer is cut") {
        return;
    }
    let script = |_: &_| Written::answer(200).body(vec![7; 8 << 20]).bytes();
    let (journey, mut provider) = journey(Target::scripted(script).await, &[]).await;
    let answer = provider.begin(request(&journey, "POST", "/", "")).await.expect("a head");
    // It answers pings all the while, and only reads nothing.
    let cut = tokio::time::timeout(Duration::from_secs(100), provider.connection).await;
    cut.expect("it is cut").unwrap().ok();
    drop(answer);
}

#[tokio::test]
async fn a_relay_that_leaves_answers_what_it_has() {
    let (mut journey, mut provider) = journey(Target::by_hand().await, &[]).await;
    let mut sender = provider.sender.clone();
    let asked = request(&journey, "POST", "/", "last");
    let answer = tokio::spawn(async move { sender.send_request(asked).await });
    let (_, mut target) = journey.target.asked().await;
    journey.relay.ask_to_stop();
    until("the door is closed", async || {
        let port = journey.relay.address.port();
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err()
            || provider.sender.ready().await.is_err()
    })
    .await;
    target.send(Written::answer(200).body("done").bytes()).await;
    let answer = soon("the answer", answer).await.unwrap().unwrap();
    assert_eq!(&whole(answer).await.body[..], b"done");
    journey.relay.stop().await;
}

#[tokio::test]
async fn curl_speaks_both_versions_with_it() {
    if Command::new("curl").arg("--version").output().await.is_err() {
        eprintln!("skipped, curl is not installed: curl speaks both versions with it");
        return;
    }
    let authority = Arc::new(Authority::fresh());
    let journey = Journey::secure(&authority, Target::echo().await, &[], &[]).await;
    let url = format!("{}{}/curl", journey.relay.url(), journey.endpoint.path);
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let mut curl = Command::new("curl");
        curl.args(["-sS", flag, "--data-binary", "hi", "-w", " %{http_version}", &url]);
        let ended = run(curl.arg("--cacert").arg(authority.ca_file())).await;
        assert_eq!(ended.stdout, format!("hi {version}"), "{}", ended.stderr);
    }
}
