//! The public door: reads one bounded request, resolves its endpoint once, hands it on, and answers.
//!
//! It never meets a socket of an agent; what it learns of them comes as an outcome from the dispatcher.

mod answer;
mod head;
pub mod intake;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::budget::Budget;
use crate::dispatcher::{Caller, Dispatcher, LiveCall, NoAnswer, Payload};
use crate::endpoint::{Directory, Endpoint};
use crate::event::{Body, Event, Head};
use crate::http::{Peer, ResponseBody};
use crate::problem::{Code, Problem, request_id};
use crate::store::{Store, StoreError};
use intake::{Bounds, FirstLook, Intake, Whole};

pub use answer::AnswerBody;
pub use head::{HeadBounds, TrustedProxies};

/// The public door.
#[derive(Debug)]
pub struct Ingress {
    /// What can be reached.
    pub directory: Arc<Directory>,
    /// Who brings it there.
    pub dispatcher: Arc<Dispatcher>,
    /// Who keeps it.
    pub store: Arc<Store>,
    /// The memory for requests in flight.
    pub budget: Budget,
    /// The bounds of a request's head.
    pub bounds: HeadBounds,
    /// Whose word about the caller is believed.
    pub trusted: TrustedProxies,
}

impl Ingress {
    /// Takes one request for the endpoint that its key led to; `path` is what stood after the key.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        endpoint: Option<Arc<Endpoint>>,
        path: Bytes,
        peer: &Peer,
    ) -> Response<ResponseBody> {
        match self.take(request, endpoint, path, peer).await {
            Ok(caller) => answer::respond(caller, peer),
            Err((problem, id)) => {
                tracing::debug!(
                    code = problem.code.as_str(),
                    detail = problem.detail,
                    id,
                    "a request was refused"
                );
                problem.response(&id).map(ResponseBody::whole)
            }
        }
    }

    async fn take(
        &self,
        request: Request<Incoming>,
        endpoint: Option<Arc<Endpoint>>,
        path: Bytes,
        peer: &Peer,
    ) -> Result<Caller, (Problem, String)> {
        let since = Instant::now();
        let unnamed = |problem| (problem, request_id());
        let endpoint = endpoint.ok_or_else(|| {
            unnamed(
                Problem::new(Code::UnknownEndpoint, "there is no endpoint with this key").closing(),
            )
        })?;
        let (parts, body) = request.into_parts();
        let head = self.head(&endpoint, &parts, path, peer).map_err(unnamed)?;
        let head = Arc::new(head);
        let named = |problem: Problem| (problem, head.id.to_string());
        let bounds = Bounds { max: endpoint.settings.max_body, budget: self.budget.clone() };
        intake::refuse_declared(&body, bounds.max).map_err(named)?;
        let length = http_body::Body::size_hint(&body).exact();
        match intake::first_look(body, &bounds).await.map_err(named)? {
            FirstLook::Whole(whole) => {
                peer.has_all();
                self.whole(&endpoint, &head, whole, since).await.map_err(named)
            }
            FirstLook::More { begun, rest } => {
                let intake = Intake::new(head.id, Arc::clone(self.store.spool()), bounds);
                let growing = Growing { intake, begun, rest, length, peer: peer.clone() };
                Box::pin(self.growing(&endpoint, &head, growing, since)).await.map_err(named)
            }
        }
    }

    /// A request that was there at once.
    async fn whole(
        &self,
        endpoint: &Endpoint,
        head: &Arc<Head>,
        whole: Whole,
        since: Instant,
    ) -> Result<Caller, Problem> {
        let Whole { bytes, trailers, held } = whole;
        let payload = Payload::Whole(bytes, trailers.clone());
        let recording = self.dispatcher.record(head, endpoint.settings.capture);
        let mut held = held;
        if let Some(recording) = &recording {
            let (head, body) = (Arc::clone(head), Body::Memory(payload.copy()));
            recording
                .note(Event { head, body, trailers, held: held.take() })
                .map_err(not_stored)?;
        }
        let call = LiveCall { head, endpoint, payload: &payload, recording, since };
        let outcome = self.dispatcher.live(call).await;
        drop(held);
        outcome.map_err(no_answer)
    }

    /// A request whose body is passed on while it comes.
    async fn growing(
        &self,
        endpoint: &Endpoint,
        head: &Arc<Head>,
        growing: Growing,
        since: Instant,
    ) -> Result<Caller, Problem> {
        let Growing { intake, begun, rest, length, peer } = growing;
        let mut recording = self.dispatcher.record(head, endpoint.settings.capture);
        if let Some(recording) = &mut recording {
            self.store.health().map_err(not_stored)?;
            recording.note_when_whole(Arc::clone(head), Arc::clone(&intake));
        }
        let (failed, failure) = oneshot::channel();
        let pulled = Arc::clone(&intake);
        // A task of its own: the target may have answered long before the caller has sent everything.
        tokio::spawn(async move {
            match pulled.pull(begun, rest).await {
                Ok(()) => peer.has_all(),
                Err(problem) => drop(failed.send(problem)),
            }
        });
        let payload = Payload::Growing(intake, length);
        let call = LiveCall { head, endpoint, payload: &payload, recording, since };
        tokio::select! {
            biased;
            outcome = self.dispatcher.live(call) => outcome.map_err(no_answer),
            Ok(problem) = failure => Err(problem),
        }
    }

    fn head(
        &self,
        endpoint: &Endpoint,
        parts: &http::request::Parts,
        path: Bytes,
        peer: &Peer,
    ) -> Result<Head, Problem> {
        let pseudonym = self.dispatcher.pseudonym();
        head::read(endpoint.id, parts, path, peer, &self.trusted, &self.bounds, pseudonym)
    }
}

/// A body that has begun.
struct Growing {
    intake: Arc<Intake>,
    begun: Vec<Bytes>,
    rest: Incoming,
    length: Option<u64>,
    peer: Peer,
}

fn no_answer(no_answer: NoAnswer) -> Problem {
    let NoAnswer { code, dispatched, detail } = no_answer;
    Problem { dispatched, ..Problem::new(code, detail) }
}

fn not_stored(error: StoreError) -> Problem {
    match error {
        StoreError::Overloaded => Problem::new(Code::RelayOverloaded, "the store cannot keep up"),
        error => {
            tracing::debug!(%error, "an event is not stored");
            Problem::new(Code::StoreUnavailable, "the relay cannot keep events at the moment")
        }
    }
}
