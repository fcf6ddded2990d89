//! The public door: reads one bounded request, resolves its endpoint once, hands it on, and answers.
//!
//! It never meets a socket of an agent; what it learns of them comes as an outcome from the dispatcher.

mod admission;
mod answer;
mod checked;
mod fields;
mod head;
pub mod intake;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::budget::Budget;
use crate::dispatcher::{Arrived, Dispatcher, NoAnswer, Payload, Reply};
use crate::endpoint::{Directory, Endpoint};
use crate::event::Head;
use crate::http::{Peer, ResponseBody};
use crate::problem::{Code, Problem, request_id};
use crate::store::Store;
use crate::trust::Gate;
use intake::{Bounds, FirstLook, Intake, Whole};

pub use admission::Admission;
pub use answer::{AnswerBody, Said};
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
    /// Who looks at what comes for endpoints that verify.
    pub gate: Gate,
    /// Who may send, and how often.
    pub admission: Admission,
}

impl Ingress {
    /// Takes one request for the endpoint that its key led to; `path` is what stood after the key.
    ///
    /// # Errors
    /// The [`Problem`] to be told, and the id to tell it with.
    pub async fn take(
        &self,
        request: Request<Incoming>,
        endpoint: Option<Arc<Endpoint>>,
        path: Bytes,
        peer: &Peer,
    ) -> Result<Said, (Problem, String)> {
        let since = Instant::now();
        let unnamed = |problem| (problem, request_id());
        let remote = self.trusted.sender(request.headers(), peer);
        self.admission.at_the_door(remote).map_err(unnamed)?;
        let endpoint = endpoint.ok_or_else(|| {
            unnamed(
                Problem::new(Code::UnknownEndpoint, "there is no endpoint with this key").closing(),
            )
        })?;
        self.admission.to(&endpoint, remote, &self.directory).map_err(unnamed)?;
        let (head, headers, body) = {
            let (parts, body) = request.into_parts();
            let head = self.head(&endpoint, &parts, path, (remote, peer)).map_err(unnamed)?;
            let verifies = endpoint.settings.verify.is_some();
            (head, verifies.then(|| checked::all_fields(&parts.headers)), body)
        };
        let id = head.id;
        let named = |problem: Problem| (problem, id.to_string());
        let max = endpoint.settings.max_body;
        let bounds = || Bounds { max, budget: self.budget.clone() };
        intake::refuse_declared(&body, max).map_err(named)?;
        let length = http_body::Body::size_hint(&body).exact();
        let first = intake::first_look(body, max, &self.budget).await.map_err(named)?;
        if let Some(headers) = headers {
            let proved = async {
                let whole = self.whole(id, first, bounds(), peer).await?;
                self.proved(checked::Unproved { head, headers, endpoint, whole, since }).await
            };
            return Box::pin(proved).await.map_err(named);
        }
        let head = Arc::new(head);
        let arrived = |payload| Arrived { head, endpoint, payload, since };
        let (begun, rest) = match first {
            FirstLook::Whole(Whole { bytes, trailers, held }) => {
                peer.has_all();
                let payload = Payload::Whole { bytes, trailers, held: held.map(Arc::new) };
                let taken = self.dispatcher.take(arrived(payload)).await;
                return taken.map(Said::Reply).map_err(no_answer).map_err(named);
            }
            FirstLook::More { begun, rest } => (begun, rest),
        };
        let intake = Intake::new(id, Arc::clone(self.store.spool()), bounds());
        let arrived = arrived(Payload::Growing(Arc::clone(&intake), length));
        let growing = Growing { intake, begun, rest, peer: peer.clone() };
        let taken = Box::pin(self.growing(arrived, growing)).await;
        taken.map(Said::Reply).map_err(named)
    }

    /// A request whose body comes: passed on while it comes, unless its endpoint wants it whole first.
    async fn growing(&self, mut arrived: Arrived, growing: Growing) -> Result<Reply, Problem> {
        let Growing { intake, begun, rest, peer } = growing;
        if self.dispatcher.wants_whole(&arrived.endpoint) {
            intake.pull(begun, rest).await?;
            peer.has_all();
            let whole = intake.finished().await.expect("it was pulled to its end");
            arrived.payload = checked::payload(whole);
            return self.dispatcher.take(arrived).await.map_err(no_answer);
        }
        let (failed, failure) = oneshot::channel();
        // A task of its own: the target may have answered long before the caller has sent everything.
        tokio::spawn(async move {
            match intake.pull(begun, rest).await {
                Ok(()) => peer.has_all(),
                Err(problem) => drop(failed.send(problem)),
            }
        });
        tokio::select! {
            biased;
            outcome = self.dispatcher.take(arrived) => outcome.map_err(no_answer),
            Ok(problem) = failure => Err(problem),
        }
    }

    fn head(
        &self,
        endpoint: &Endpoint,
        parts: &http::request::Parts,
        path: Bytes,
        from: (IpAddr, &Peer),
    ) -> Result<Head, Problem> {
        let pseudonym = self.dispatcher.pseudonym();
        let id = (self.store.new_id(), endpoint.id);
        head::read(id, parts, path, from, &self.trusted, &self.bounds, pseudonym)
    }
}

/// The answer to a request that was taken, or not.
pub async fn answer(taken: Result<Said, (Problem, String)>, peer: &Peer) -> Response<ResponseBody> {
    match taken {
        Ok(said) => answer::respond(said, peer).await,
        Err((problem, id)) => {
            let code = problem.code.as_str();
            tracing::debug!(code, detail = problem.detail, id, "a request was refused");
            problem.response(&id).map(ResponseBody::whole)
        }
    }
}

/// A body that has begun.
struct Growing {
    intake: Arc<Intake>,
    begun: Vec<Bytes>,
    rest: Incoming,
    peer: Peer,
}

fn no_answer(no_answer: NoAnswer) -> Problem {
    let NoAnswer { code, dispatched, detail } = no_answer;
    let detail = answer::proved_nothing(code, &detail).unwrap_or(detail);
    Problem { dispatched, ..Problem::new(code, detail) }
}
