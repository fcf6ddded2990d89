//! An HTTP target: sends one request to its address, and hands back the answer as it comes.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use relay_protocol::reason::Broken;
use relay_protocol::webhook::{Answer, Request};

use super::Failure;
use super::address::{Address, BadTarget};
use super::answer::Bad;
use super::body::{Piece, RequestBody};
use super::connection::Connection;
use super::message::Message;
use super::pool::Pool;
use crate::socket::Trust;

/// How a target is to be treated.
#[derive(Debug, Clone)]
pub struct Options {
    /// Send the `Host` that the provider used instead of the target's own.
    pub preserve_host: bool,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long the target may take until its answer begins, if the relay asks for no less.
    pub answer_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let (connect_timeout, answer_timeout) = (Duration::from_secs(5), Duration::from_secs(300));
        Self { preserve_host: false, connect_timeout, answer_timeout }
    }
}

/// One target.
pub struct HttpTarget {
    address: Address,
    trust: Trust,
    options: Options,
    pool: Pool,
}

impl HttpTarget {
    /// A target at `http://host[:port][/base]`, `https://...`, `unix:/path/to.sock[:/base]`, or just a port number.
    ///
    /// # Errors
    /// [`BadTarget`] says what is wrong with the URL.
    pub fn new(url: &str, trust: Trust, options: Options) -> Result<Self, BadTarget> {
        Ok(Self { address: Address::parse(url)?, trust, options, pool: Pool::new() })
    }

    /// The same target over connections of its own.
    #[must_use]
    pub fn apart(&self) -> Self {
        let (address, trust) = (self.address.clone(), self.trust.clone());
        Self { address, trust, options: self.options.clone(), pool: Pool::new() }
    }

    /// The URL, written out.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.address.url
    }

    /// How long the target may take until its answer begins.
    #[must_use]
    pub fn answer_timeout(&self) -> Duration {
        self.options.answer_timeout
    }

    /// Closes kept connections that stay unused; run it beside the target.
    pub fn sweep(&self) -> impl Future<Output = ()> + use<> {
        self.pool.sweep()
    }

    /// Sends one request and waits for the head of the answer. Redirects are answers like any other.
    ///
    /// # Errors
    /// [`Failure`]: whether something was dispatched is in its kind.
    pub async fn send(
        &self,
        request: &Request,
        body: RequestBody,
    ) -> Result<Answering<'_>, Failure> {
        let message = Message::new(request, body, &self.address, self.options.preserve_host)?;
        let mut connection = match self.pool.take().await {
            Some(kept) => kept,
            // Boxed: rare beside the other, so it does not weigh on it.
            None => Box::pin(self.connect()).await?,
        };
        match connection.send(message).await {
            Ok(head) => Ok(Answering { head, connection, target: self }),
            Err(bad) => Err(Failure::Broken(Broken::TargetBadResponse, bad.to_string())),
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let limit = self.options.connect_timeout;
        self.address.connect(&self.trust, limit).await.map(Connection::new)
    }
}

/// An answer whose head has come.
pub struct Answering<'a> {
    /// The head; its body is read through [`piece`](Self::piece).
    pub head: Answer,
    connection: Connection,
    target: &'a HttpTarget,
}

impl Answering<'_> {
    /// The next piece of the body.
    ///
    /// # Errors
    /// When it broke off.
    pub async fn piece(&mut self) -> Result<Piece, Bad> {
        poll_fn(|cx| self.connection.poll_piece(cx)).await
    }

    /// The next piece of the body, if it is there already.
    pub async fn ready_piece(&mut self) -> Poll<Result<Piece, Bad>> {
        poll_fn(|cx| Poll::Ready(self.connection.poll_piece(cx))).await
    }

    /// Keeps the connection for the next request, if the answer is complete.
    pub fn finish(self) {
        self.target.pool.give(self.connection);
    }
}
