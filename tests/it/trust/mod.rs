//! Who has sent it: what providers sign is verified at the edge, what they ask for is answered there, and what is forwarded
//! is signed anew.

mod certificates;
mod handshakes;
mod profiles;
mod rejected;
mod resign;
mod tokens;
mod vectors;
mod verify;

use std::collections::BTreeMap;

use relay_tests::raw::Written;
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::tls::TlsFront;
use serde_json::Value;

/// The web as the providers of some vectors have it, to be fetched from.
struct Web {
    /// What is asked.
    pages: Target,
    front: TlsFront,
}

impl Web {
    async fn of(pages: BTreeMap<String, String>) -> Self {
        let pages = Target::scripted(move |asked| {
            let host = asked.field("host").unwrap_or_default();
            let url = format!("https://{host}{}", String::from_utf8_lossy(asked.path()));
            let answer = match pages.get(&url) {
                Some(page) => Written::answer(200).body(page),
                None => Written::answer(404).body("no such page"),
            };
            answer.bytes()
        });
        let pages = pages.await;
        let front = TlsFront::of(pages.address()).await;
        Self { pages, front }
    }

    /// The settings with which a relay finds it.
    fn settings(&self) -> [(&'static str, String); 2] {
        let at = self.front.url().trim_start_matches("https://").to_owned();
        [("fetch_from", at), ("fetch_ca_file", self.front.ca_file().display().to_string())]
    }
}

/// The events of an endpoint, the newest first.
async fn events(relay: &Relay, endpoint: &str) -> Vec<Value> {
    let all = relay.api().get(&format!("/events?endpoint={endpoint}&limit=100")).await.unwrap();
    all["events"].as_array().or(all.as_array()).unwrap().clone()
}
