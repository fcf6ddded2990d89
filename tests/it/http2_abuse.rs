//! HTTP/2 with bad intentions, frame by frame: what RFC 9113 asks for comes of it, the target sees nothing of it, and
//! neither the caller's other requests nor anybody else notices.

mod floods;
mod framing;
mod messages;
mod patience;

use std::sync::Arc;

use relay_client::notice::Notice;
use relay_tests::authority::Authority;
use relay_tests::frames::PROTOCOL_ERROR;
use relay_tests::frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, Word, block, frame};
use relay_tests::journey::Journey;
use relay_tests::raw::{Message, Written};
use relay_tests::target::Target;

/// The stream that a case is about; the last one that it uses.
const STREAM: u32 = 7;

/// Fields of a request, in order.
type Fields<'a> = Vec<(&'a str, &'a str)>;

/// One case.
struct Case {
    name: &'static str,
    /// Where it is written.
    rfc: &'static str,
    send: Vec<u8>,
    expect: Expect,
}

/// What is to come of a case.
enum Expect {
    /// The connection ends, with one of these codes.
    Ends(&'static [u32]),
    /// The request is malformed (RFC 9113 §8.1.1): reset, or answered 400. The connection goes on.
    Malformed,
    /// The request is malformed, and the whole connection ends with it (§5.4 lets a server choose).
    Unreadable,
    /// The stream is reset with one of these codes, and the connection goes on.
    Reset(&'static [u32]),
    /// The request is answered so, and not passed on.
    Told(u16),
    /// The request is passed on, to `/taken`.
    Taken,
}

fn case(name: &'static str, rfc: &'static str, send: Vec<u8>, expect: Expect) -> Case {
    Case { name, rfc, send, expect }
}

/// A relay with an agent and a target that are never to see anything bad.
struct World {
    journey: Journey,
    authority: Arc<Authority>,
}

impl World {
    async fn with(relay: &[(&str, &str)], script: fn(&Message) -> Vec<u8>) -> Self {
        Self::to(Target::scripted(script).await, relay, &[("fallback", "fail")]).await
    }

    async fn to(target: Target, relay: &[(&str, &str)], endpoint: &[(&str, &str)]) -> Self {
        let authority = Arc::new(Authority::fresh());
        let journey = Journey::secure(&authority, target, relay, endpoint).await;
        Self { journey, authority }
    }

    async fn fresh() -> Self {
        Self::with(&[], |asked| Written::answer(200).body(&asked.body).bytes()).await
    }

    async fn caller(&self) -> Frames {
        Frames::open(self.journey.relay.address, &self.authority, &[]).await
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.journey.endpoint.path)
    }

    /// Sends a sound request and says whether it got through.
    async fn serves(&self, caller: &mut Frames, stream: u32, name: &str) -> bool {
        let path = self.path(name);
        if !caller.try_send(request(stream, &post(&path), "sound")).await {
            return false;
        }
        loop {
            match caller.word().await {
                Word::Answer(on, status) if on == stream => return status == 200,
                Word::Away(_) | Word::Gone => return false,
                Word::Answer(..) | Word::Reset(..) => {}
            }
        }
    }

    /// Whether the agent's line has dropped at any time until now.
    async fn line_dropped(&mut self) -> bool {
        let last = self.journey.through().post("/last", "").await;
        assert_eq!(last.status(), 200);
        let dropped = |notice: &Notice| matches!(notice, Notice::Disconnected { .. });
        let last = |notice: &Notice| matches!(notice, Notice::Started(it) if it.path == "/last");
        dropped(&self.journey.agent.notice(|notice| dropped(notice) || last(notice)).await)
    }

    /// Runs cases one after the other, beside a neighbour, and tells what is wrong with what comes of them.
    async fn judge(&self, cases: Vec<Case>) {
        let mut neighbour = self.caller().await;
        let mut wrong = Vec::new();
        for (number, case) in cases.iter().enumerate() {
            let mut caller = self.caller().await;
            caller.try_send(&case.send).await;
            let word = word_on_stream(&mut caller).await;
            let says = case.expect.covers(word);
            let goes_on = match case.expect {
                Expect::Ends(_) | Expect::Unreadable => {
                    caller.ended().await;
                    true
                }
                _ => self.serves(&mut caller, 101, "alive").await,
            };
            if !says || !goes_on {
                wrong.push(format!("{} [{}]: {word:?}, goes on: {goes_on}", case.name, case.rfc));
            }
            let stream = 1 + 2 * u32::try_from(number).expect("few");
            assert!(self.serves(&mut neighbour, stream, "neighbour").await, "{}", case.name);
        }
        for seen in self.journey.target.seen() {
            let path = String::from_utf8_lossy(seen.path()).into_owned();
            if !["/taken", "/alive", "/neighbour"].contains(&&path[..]) {
                wrong.push(format!("the target has seen {path}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

impl Expect {
    fn covers(&self, word: Word) -> bool {
        match (self, word) {
            (Self::Ends(codes), Word::Away(code)) => codes.contains(&code),
            // Who is cut may lose the word about it.
            (Self::Ends(_), Word::Gone) => true,
            (Self::Unreadable, Word::Away(code)) => code == PROTOCOL_ERROR,
            (Self::Malformed, Word::Answer(_, status)) => status == 400,
            (Self::Malformed, Word::Reset(_, code)) => code == PROTOCOL_ERROR,
            (Self::Reset(codes), Word::Reset(_, code)) => codes.contains(&code),
            (Self::Told(status), Word::Answer(_, told)) => *status == told,
            (Self::Taken, Word::Answer(_, status)) => status == 200,
            _ => false,
        }
    }
}

/// The first word about the stream of a case, or about the connection.
async fn word_on_stream(caller: &mut Frames) -> Word {
    loop {
        match caller.word().await {
            Word::Answer(stream, _) | Word::Reset(stream, _) if stream != STREAM => {}
            word => return word,
        }
    }
}

/// The fields of a sound request, for `localhost`.
fn post(path: &str) -> Fields<'_> {
    vec![(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
}

/// The head of a request, with more to come.
fn head(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, block(fields))
}

/// The head of a request that has nothing else.
fn bare(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, block(fields))
}

/// A whole request.
fn request(stream: u32, fields: &[(&str, &str)], body: &str) -> Vec<u8> {
    [head(stream, fields), frame(DATA, END_STREAM, stream, body)].concat()
}
