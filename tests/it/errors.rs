//! Every refusal says what it is: its code, its status, whether the target may have seen the request.

use bytes::Bytes;
use relay_protocol::frame::{Answered, Both, Reset, ToRelay};
use relay_protocol::reason::{Broken, Dispatched};
use relay_protocol::webhook::{Answer, Fields};
use relay_tests::agent::{Agent, Wanted};
use relay_tests::journey::Journey;
use relay_tests::place::Place;
use relay_tests::provider::Provider;
use relay_tests::raw::{Message, Written};
use relay_tests::relay::{Endpoint, Relay};
use relay_tests::target::Target;
use relay_tests::wire::{ByHand, hello};

/// Endpoints that say honestly what went wrong, at once.
const HONEST: [(&str, &str); 2] = [("fallback", "fail"), ("hold", "0ms")];

/// Checks a problem document against the table of the product (RFC 9457).
pub(crate) fn assert_problem(answer: &Message, code: &str, status: u16, dispatched: &str) {
    assert_eq!(answer.status(), status, "{}", answer.text());
    assert_eq!(answer.field("webhook-relay-error").as_deref(), Some(code));
    assert_eq!(answer.field("content-type").as_deref(), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["code"], code);
    assert_eq!(problem["status"], status);
    assert_eq!(problem["dispatched"], dispatched);
    assert!(!problem["detail"].as_str().unwrap().is_empty());
    assert!(!problem["request_id"].as_str().unwrap().is_empty());
    let come_back = answer.field("retry-after").and_then(|after| after.parse::<u32>().ok());
    let may = matches!(code, "target_refused" | "target_dns" | "target_tls" | "link_lost");
    assert_eq!(come_back.is_some(), matches!(status, 429 | 503) || may, "{code}");
}

/// A relay with an endpoint and a token for it.
async fn honest() -> (Relay, Endpoint, String) {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint_with("story", &HONEST).await;
    let token = relay.token(&["story"]).await;
    (relay, endpoint, token)
}

/// What a provider hears when the target is at this URL.
async fn with_target_at(url: &str) -> Message {
    let (relay, endpoint, token) = honest().await;
    let _agent = Agent::start(&Wanted::for_one(&relay.url(), &token, "story", url)).await;
    relay.provider(&endpoint).post("/", "x").await
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_unknown() {
    let relay = Relay::start().await;
    for path in ["/hooks/nothing", "/hooks/", "/hooks/a%2Fb", "/hooks/nothing/below?q"] {
        let answer = Provider::of(relay.address, path).post("", "x").await;
        assert_problem(&answer, "unknown_endpoint", 404, "no");
    }
}

#[tokio::test]
async fn an_endpoint_without_agents_says_offline() {
    let (relay, endpoint, _) = honest().await;
    let answer = relay.provider(&endpoint).post("/", "x").await;
    assert_problem(&answer, "agent_offline", 503, "no");
}

#[tokio::test]
async fn a_target_that_takes_no_connection_has_refused() {
    let nowhere = Place::fresh();
    let answer = with_target_at(&format!("http://{nowhere}")).await;
    assert_problem(&answer, "target_refused", 502, "no");
}

#[tokio::test]
async fn a_target_whose_name_does_not_resolve_is_told() {
    let answer = with_target_at("http://nowhere.invalid:1").await;
    assert_problem(&answer, "target_dns", 502, "no");
}

#[tokio::test]
async fn a_target_that_speaks_no_tls_is_told() {
    let plain = Target::by_hand().await;
    let url = format!("https://localhost:{}", plain.address().port());
    let hang_up = async { drop(plain.connection().await) };
    let (answer, ()) = tokio::join!(with_target_at(&url), hang_up);
    assert_problem(&answer, "target_tls", 502, "no");
}

#[tokio::test]
async fn a_target_that_answers_nonsense_or_hangs_up_has_answered_badly() {
    for nonsense in [
        "",
        "hello\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbroken",
        "HTTP/1.1 99 x\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        // Where these end, nobody can say (RFC 9112 §6.3).
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
    ] {
        let journey = Journey::with(Target::by_hand().await, &[], &HONEST).await;
        let asked = tokio::spawn({
            let mut through = journey.through();
            async move { through.post("/", "x").await }
        });
        let (_, mut target) = journey.target.asked().await;
        target.send(nonsense).await;
        drop(target);
        assert_problem(&asked.await.unwrap(), "target_bad_response", 502, "yes");
    }
}

#[tokio::test]
async fn a_target_that_closes_what_is_kept_open_is_asked_anew() {
    let journey = Journey::with(Target::by_hand().await, &[], &HONEST).await;
    // Each of the agent's lines keeps connections of its own.
    for _ in 0..10 {
        let asked = tokio::spawn({
            let mut through = journey.through();
            async move { through.post("/", "x").await }
        });
        let (_, mut target) = journey.target.asked().await;
        target.send(Written::answer(200).body("taken").bytes()).await;
        assert_eq!(asked.await.unwrap().text(), "taken");
        drop(target);
    }
}

#[tokio::test]
async fn what_a_target_says_without_being_asked_answers_nobody() {
    let journey = Journey::with(Target::by_hand().await, &[], &HONEST).await;
    let answer = |body: &str| Written::answer(200).body(body).bytes();
    let mut targets = Vec::new();
    for round in 0..10 {
        let asked = tokio::spawn({
            let mut through = journey.through();
            async move { through.post("/", "x").await }
        });
        let (_, mut target) = journey.target.asked().await;
        if round % 2 == 0 {
            target.send([answer("asked"), answer("more")].concat()).await;
            assert_eq!(asked.await.unwrap().text(), "asked");
        } else {
            target.send(answer("asked")).await;
            assert_eq!(asked.await.unwrap().text(), "asked");
            // On a connection that lies by, if the agent has kept it.
            target.try_send(answer("late")).await;
        }
        targets.push(target);
    }
}

#[tokio::test]
async fn a_target_that_does_not_answer_in_time_is_told() {
    let settings = [("fallback", "fail"), ("reply_timeout", "300ms")];
    let journey = Journey::with(Target::by_hand().await, &[], &settings).await;
    let answer = journey.through().post("/", "x").await;
    assert_problem(&answer, "target_timeout", 504, "yes");
}

#[tokio::test]
async fn an_agent_that_does_not_answer_in_time_is_told() {
    let relay = Relay::start().await;
    let settings = [("fallback", "fail"), ("reply_timeout", "300ms")];
    let endpoint = relay.endpoint_with("story", &settings).await;
    let token = relay.token(&["story"]).await;
    let (_line, _) = ByHand::live(relay.address, &token, hello("silent", &["story"])).await;
    let answer = relay.provider(&endpoint).post("/", "x").await;
    assert_problem(&answer, "agent_timeout", 504, "maybe");
}

#[tokio::test]
async fn an_agent_that_has_its_hands_full_is_told() {
    let (relay, endpoint, token) = honest().await;
    let target = Target::by_hand().await;
    let mut wanted = Wanted::for_one(&relay.url(), &token, "story", &target.url());
    wanted.max_streams = 1;
    let _agent = Agent::start(&wanted).await;
    let provider = relay.provider(&endpoint);
    let mut first = provider.begin(&provider.request("POST", "/").body("x")).await;
    let (_, mut asked) = target.asked().await;
    let answer = relay.provider(&endpoint).post("/", "x").await;
    assert_problem(&answer, "agent_overloaded", 503, "no");
    asked.send(Written::answer(200).body("done").bytes()).await;
    assert_eq!(first.answer_to("POST").await.text(), "done");
}

#[tokio::test]
async fn a_line_that_breaks_under_a_request_is_lost() {
    let (relay, endpoint, token) = honest().await;
    let (mut line, _) = ByHand::live(relay.address, &token, hello("short", &["story"])).await;
    let asked = tokio::spawn({
        let mut provider = relay.provider(&endpoint);
        async move { provider.post("/", "x").await }
    });
    line.opened().await;
    drop(line);
    assert_problem(&asked.await.unwrap(), "link_lost", 502, "maybe");
}

#[tokio::test]
async fn a_reset_says_itself_whether_the_target_was_asked() {
    let (relay, endpoint, token) = honest().await;
    let (mut line, _) = ByHand::live(relay.address, &token, hello("by-hand", &["story"])).await;
    for (dispatched, told) in
        [(Dispatched::No, "no"), (Dispatched::Maybe, "maybe"), (Dispatched::Yes, "yes")]
    {
        let asked = tokio::spawn({
            let mut provider = relay.provider(&endpoint);
            async move { provider.post("/", "x").await }
        });
        let (stream, detail) = (line.opened().await.stream, "by hand".to_owned());
        let reset = Reset { stream, reason: Broken::Internal, dispatched, detail };
        line.send(ToRelay::Both(Both::Reset(reset))).await;
        assert_problem(&asked.await.unwrap(), "link_lost", 502, told);
    }
}

#[tokio::test]
async fn a_request_that_comes_round_again_and_again_is_stopped() {
    let (relay, endpoint, token) = honest().await;
    let own = format!("{}{}", relay.url(), endpoint.path);
    let _agent = Agent::start(&Wanted::for_one(&relay.url(), &token, "story", &own)).await;
    let answer = relay.provider(&endpoint).post("/", "x").await;
    assert_eq!(answer.status(), 508, "{}", answer.text());
    assert_eq!(answer.json()["code"], "loop_detected");
}

#[tokio::test]
async fn a_path_that_could_leave_the_base_is_refused_and_the_target_not_asked() {
    let (relay, endpoint, token) = honest().await;
    let target = Target::echo().await;
    let base = format!("{}/base", target.url());
    let _agent = Agent::start(&Wanted::for_one(&relay.url(), &token, "story", &base)).await;
    for path in ["/../x", "/..%2fx", "/%2e%2e/x", "/a/..;b/x", "/..\\x", "/a%5c..%5cb"] {
        let answer = relay.provider(&endpoint).post(path, "x").await;
        assert!((400..500).contains(&answer.status()), "{path}: {}", answer.text());
    }
    assert!(target.seen().is_empty());
    for (path, arrives) in [("//evil.example/x", "/base//evil.example/x"), ("/...", "/base/...")] {
        assert_eq!(relay.provider(&endpoint).post(path, "x").await.status(), 200);
        assert_eq!(target.seen().last().unwrap().path(), arrives.as_bytes());
    }
}

#[tokio::test]
async fn a_request_in_absolute_form_stays_with_its_endpoint() {
    let journey = Journey::with(Target::echo().await, &[], &HONEST).await;
    let through = journey.through();
    let path = format!("http://evil.example{}/x?y", journey.endpoint.path);
    let request = Written::request("POST", path).field("Host", "evil.example").body("x");
    let mut caller = through.begin(&request).await;
    assert_eq!(caller.answer_to("POST").await.status(), 200);
    let seen = journey.target.only();
    assert_eq!(seen.path(), b"/x?y");
    assert_eq!(seen.field("host"), Some(journey.target.address().to_string()));
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_told_and_the_line_stays() {
    let (relay, endpoint, token) = honest().await;
    let (mut line, _) = ByHand::live(relay.address, &token, hello("bad", &["story"])).await;
    for round in 0..2 {
        let provider = relay.provider(&endpoint);
        let mut caller = provider.begin(&provider.request("GET", "/")).await;
        let stream = line.opened().await.stream;
        let fields: Fields = [(&b"x-split"[..], &b"a\r\nb: c"[..])].into_iter().collect();
        let answer = Answer { status: 200, fields };
        line.send(ToRelay::Answer(Answered { stream, answer, body: Bytes::new(), end: true }))
            .await;
        let answer = caller.answer_to("GET").await;
        assert_eq!(answer.json()["code"], "target_bad_response", "round {round}");
    }
}

#[tokio::test]
async fn an_answer_whose_length_is_a_lie_ends_where_it_ends() {
    let (relay, endpoint, token) = honest().await;
    let (mut line, _) = ByHand::live(relay.address, &token, hello("liar", &["story"])).await;
    let provider = relay.provider(&endpoint);
    let mut caller = provider.begin(&provider.request("GET", "/")).await;
    for lies in [vec![&b"2"[..]], vec![b"90"], vec![b"9", b"9"], vec![b"+9"], vec![b"9"]] {
        let stream = line.opened().await.stream;
        let fields = lies.iter().map(|lie| (&b"content-length"[..], *lie)).collect();
        let (answer, body) = (Answer { status: 200, fields }, Bytes::from_static(b"all of it"));
        line.send(ToRelay::Answer(Answered { stream, answer, body, end: true })).await;
        let heard = caller.answer_to("GET").await;
        assert_eq!((heard.status(), heard.text().as_str()), (200, "all of it"), "{lies:?}");
        assert_eq!(heard.field("content-length").as_deref(), Some("9"), "{lies:?}");
        caller.send(provider.request("GET", "/").bytes()).await;
    }
}
