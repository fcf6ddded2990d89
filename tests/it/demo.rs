//! The first command of the README: what it shows, what can be done with what it shows, and its end.

use relay_tests::folder::Folder;
use relay_tests::process::{Process, Program, Terminal};
use relay_tests::provider::Provider;
use relay_tests::raw::Message;
use rustix::process::Signal;

/// The webhook that the demo prints as a `curl`, taken apart as a shell would.
struct Printed {
    provider: Provider,
    fields: Vec<(String, String)>,
    body: String,
}

impl Printed {
    /// Reads `curl -i 'URL' -H 'NAME: VALUE' ... --data-binary 'BODY'`.
    fn read(curl: &str) -> Self {
        let quoted: Vec<&str> = curl.split('\'').skip(1).step_by(2).collect();
        let [url, fields @ .., body] = &quoted[..] else { panic!("{curl}") };
        let (authority, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let field =
            |field: &&str| field.split_once(": ").map(|(n, v)| (n.to_owned(), v.to_owned()));
        Self {
            provider: Provider::of(authority.parse().unwrap(), &format!("/{path}")),
            fields: fields.iter().map(|one| field(one).expect("a field")).collect(),
            body: (*body).to_owned(),
        }
    }

    /// Posts it with this body.
    async fn post(&mut self, body: &str) -> Message {
        let request = self.provider.request("POST", "");
        let fields = self.fields.iter();
        let request = fields.fold(request, |request, (name, value)| request.field(name, value));
        self.provider.send("POST", &request.body(body)).await
    }
}

#[tokio::test]
async fn what_the_demo_prints_can_be_sent_until_a_signal_ends_it() {
    let mut demo = Process::start(Program::Server.command().arg("demo"));
    let ready = demo.event("ready").await;
    let mut printed = Printed::read(ready["curl"].as_str().unwrap());
    let body = printed.body.clone();
    let sent = printed.post(&body).await;
    assert_eq!((sent.status(), &sent.json()["signature"]), (200, &"verified".into()));
    assert_eq!(demo.event("delivery").await["status"], 200);
    assert_eq!(printed.post(&body.replace("awesome", "changed")).await.status(), 401);
    demo.signal(Signal::TERM);
    assert!(demo.ended().await.success(), "{}", demo.said());
    assert!(!demo.said().contains("ERROR"), "{}", demo.said());
}

#[tokio::test]
async fn the_demo_shows_people_the_journey_and_what_to_do_next() {
    let folder = Folder::fresh();
    let mut command = Program::Server.command();
    command.arg("demo").arg("--data").arg(folder.path().join("store"));
    let mut demo = Terminal::start(&mut command);
    for step in ["made the endpoint", "--> POST", "signature is verified", "<-- 200"] {
        demo.line(|line| line.contains(step)).await;
    }
    let url = demo.line(|line| line.starts_with("http://")).await;
    assert!(!url.contains(' '), "alone on its line: {url}");
    let mut curl = demo.line(|line| line.starts_with("curl ")).await;
    while !curl.contains("--data-binary") {
        curl = format!("{curl}\n{}", demo.line(|_| true).await);
    }
    let mut printed = Printed::read(&curl);
    let body = printed.body.clone();
    assert_eq!(printed.post(&body).await.status(), 200);
    demo.line(|line| line.contains("--> POST /github")).await;
    demo.kill().await;
}
