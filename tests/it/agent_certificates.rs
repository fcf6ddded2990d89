//! A relay that demands a client certificate: of agents, of the API if it is told so, never of providers.

use std::sync::Arc;

use relay_tests::authority::{Authority, Issued};
use relay_tests::folder::Folder;
use relay_tests::http2::Caller;
use relay_tests::process::{Program, run};
use relay_tests::raw::{Message, Written};
use relay_tests::relay::Relay;
use relay_tests::wait::until;
use rustls::HandshakeKind;

/// A relay that demands certificates of the agents' authority, which is another than its own.
struct Demanding {
    relay: Relay,
    web: Arc<Authority>,
    agents: Authority,
}

impl Demanding {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let (web, agents) = (Arc::new(Authority::fresh()), Authority::fresh());
        let file = agents.ca_file().display().to_string();
        let demand = [("agent_ca_file", &file[..])];
        let relay = Relay::secure(&web, &[&demand, settings].concat()).await;
        Self { relay, web, agents }
    }

    /// The answer to who shows this certificate, or none.
    async fn answer(&self, shows: Option<&Issued>, method: &str, request: &Written) -> Message {
        let caller = Caller::of(&self.web, &["http/1.1"]);
        let caller = shows.map_or(caller.clone(), |issued| caller.showing(issued));
        self.answer_to(&caller, method, request).await
    }

    async fn answer_to(&self, caller: &Caller, method: &str, request: &Written) -> Message {
        let mut connection = caller.speaks(self.relay.address).await;
        connection.send(request.bytes()).await;
        let mut message = connection.head().await.expect("an answer");
        if message.status() != 101 {
            let length = message.field("content-length").unwrap().parse().unwrap();
            message.body = connection.exactly(length).await.expect(method);
        }
        message
    }

    async fn connects(&self, shows: Option<&Issued>) -> Message {
        self.answer(shows, "GET", &self.upgrade().await).await
    }

    async fn upgrade(&self) -> Written {
        let token = self.relay.token(&[]).await;
        Written::request("GET", "/agent/v1/connect")
            .field("Host", "localhost")
            .field("Authorization", format!("Bearer {token}"))
            .field("Connection", "Upgrade")
            .field("Upgrade", "websocket")
            .field("Sec-WebSocket-Version", "13")
            .field("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
    }

    async fn asks(&self, path: &str, shows: Option<&Issued>) -> Message {
        let bearer = format!("Bearer {}", self.relay.admin);
        let request = Written::request("GET", path).field("Host", "localhost");
        self.answer(shows, "GET", &request.field("Authorization", bearer)).await
    }
}

fn assert_refused(answer: &Message, status: u16, words: &str) {
    assert_eq!(answer.status(), status, "{answer:?}");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(words), "{detail}");
}

#[tokio::test]
async fn an_agent_shows_a_certificate_of_its_authority_and_a_provider_none() {
    let demanding = Demanding::start(&[]).await;
    let agent = demanding.agents.issue("agent", &["agent-1"]);
    assert_eq!(demanding.connects(Some(&agent)).await.status(), 101);
    assert_refused(&demanding.connects(None).await, 401, "no client certificate was shown");
    let endpoint = demanding.relay.endpoint("story").await;
    assert_eq!(demanding.relay.provider(&endpoint).post("/", "x").await.status(), 202);
    // The API is not what it was demanded for.
    assert_eq!(demanding.asks("/api/v1/endpoints", None).await.status(), 200);
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_refused_where_one_is_demanded_and_only_there() {
    let demanding = Demanding::start(&[]).await;
    let elsewhere = Authority::fresh();
    let stranger = elsewhere.issue("stranger", &["agent-1"]);
    let expired = demanding.agents.issue_as("expired", &["agent-1"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let answer = demanding.connects(Some(&stranger)).await;
    assert_refused(&answer, 403, "the client certificate is not accepted");
    assert_refused(&demanding.connects(Some(&expired)).await, 403, "expired");
    // A provider that shows a certificate of its own does so for its own reasons.
    let endpoint = demanding.relay.endpoint("story").await;
    let post = Written::request("POST", &endpoint.path).field("Host", "localhost").body("x");
    assert_eq!(demanding.answer(Some(&stranger), "POST", &post).await.status(), 202);
}

#[tokio::test]
async fn a_session_that_is_resumed_is_looked_at_as_well() {
    let demanding = Demanding::start(&[]).await;
    let caller = Caller::of(&demanding.web, &["http/1.1"]);
    let (mut resumed, upgrade) = (0, demanding.upgrade().await);
    let agent = demanding.agents.issue("agent", &["agent-1"]);
    let (without, with) = (caller.clone(), caller.showing(&agent));
    for _ in 0..3 {
        assert_eq!(demanding.answer_to(&with, "GET", &upgrade).await.status(), 101);
        let stream = with.connect(demanding.relay.address).await.unwrap();
        resumed += usize::from(stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed));
    }
    assert!(resumed > 0, "nothing was resumed");
    assert_refused(&demanding.answer_to(&without, "GET", &upgrade).await, 401, "no client");
}

#[tokio::test]
async fn the_api_demands_one_where_it_is_told_to() {
    let demanding = Demanding::start(&[]).await;
    let Demanding { relay, web, agents } = demanding;
    let file = agents.ca_file().display().to_string();
    drop(relay);
    let settings = [("agent_ca_file", &file[..]), ("agent_ca_for", "agents,api")];
    let relay = Relay::secure(&web, &settings).await;
    let demanding = Demanding { relay, web, agents };
    let agent = demanding.agents.issue("agent", &["agent-1"]);
    assert_refused(&demanding.asks("/api/v1/endpoints", None).await, 401, "no client certificate");
    assert_eq!(demanding.asks("/api/v1/endpoints", Some(&agent)).await.status(), 200);
    // Whoever balances load asks this, and is no agent.
    assert_eq!(demanding.asks("/readyz", None).await.status(), 200);
}

#[tokio::test]
async fn a_new_authority_is_taken_over() {
    let demanding = Demanding::start(&[]).await;
    let next = Authority::fresh();
    let agent = next.issue("agent", &["agent-1"]);
    assert_eq!(demanding.connects(Some(&agent)).await.status(), 403);
    let authority = std::fs::read_to_string(next.ca_file()).unwrap();
    let _ = demanding.agents.file("ca.pem", &authority);
    until("it is accepted", async || demanding.connects(Some(&agent)).await.status() == 101).await;
}

#[tokio::test]
async fn an_authority_that_makes_no_sense_is_told_at_start() {
    let folder = Folder::fresh();
    let empty = folder.file("ca.pem", "");
    let mut serve = Program::Server.command();
    let ended = run(serve.arg("serve").arg("--agent-ca-file").arg(&empty)).await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for told in ["ca.pem: there is no certificate in it", "for a relay that speaks TLS itself"] {
        assert!(ended.stderr.contains(told), "{told} in: {}", ended.stderr);
    }
}
