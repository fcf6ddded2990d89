//! Handshakes where the secret stays inside the firewall: the relay knows the provider and no secret, and the agent judges
//! what comes then.

use relay_tests::raw::Message;

use super::Inside;

const GRAPH: &str = "provider = 'microsoft_graph', secret_file = 'secret'";

async fn post(inside: &Inside, rest: &str, body: &str) -> Message {
    let mut provider = inside.relay.provider(&inside.endpoint);
    let request = provider.request("POST", rest).body(body);
    provider.send("POST", &request).await
}

#[tokio::test]
async fn the_relay_answers_a_handshake_and_the_agent_judges_what_comes_then() {
    let inside = Inside::with(&[("verify", "microsoft_graph"), ("on_failure", "mark")]).await;
    let answer = post(&inside, "/?validationToken=a+token", "").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "a token"));
    let mut agent = inside.agent("", GRAPH).await;
    let notice = |said: &str| format!(r#"{{"value":[{{"id":"1","clientState":"{said}"}}]}}"#);
    assert_eq!(post(&inside, "/", &notice("another")).await.status(), 401);
    assert_eq!(inside.event("rejected").await["verification"], "failed");
    assert_eq!(post(&inside, "/", &notice(super::SECRET)).await.status(), 200);
    assert_eq!(inside.event("delivered").await["verification"], "authenticated");
    assert_eq!(inside.target.seen().len(), 1);
    agent.kill().await;
}
