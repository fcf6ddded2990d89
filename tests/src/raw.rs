//! HTTP/1.1 as the bytes it is (RFC 9112): what is sent is written out, what comes is kept as it came.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use relay_client::socket::{Socket, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wait::{PATIENCE, soon};

/// A request or an answer as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The request line or status line.
    pub start: Vec<u8>,
    /// The header fields in their order, names in lower case.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body, without its coding.
    pub body: Vec<u8>,
    /// The trailer fields.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// The statuses of the interim answers before it.
    pub interim: Vec<u16>,
}

impl Message {
    fn parse(head: &[u8]) -> Self {
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let start = lines.next().unwrap_or_default().to_vec();
        Self { start, fields: fields(lines), ..Self::default() }
    }

    /// The first value of a field, as text.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        self.all(name).first().map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Every value of a field, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        self.fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_slice()).collect()
    }

    /// The status of an answer.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn status(&self) -> u16 {
        let word = self.words().get(1).copied().unwrap_or_default();
        let text = String::from_utf8_lossy(word);
        text.parse().unwrap_or_else(|_| panic!("no status: {self:?}"))
    }

    /// The method of a request.
    #[must_use]
    pub fn method(&self) -> String {
        String::from_utf8_lossy(self.words().first().copied().unwrap_or_default()).into_owned()
    }

    /// The target of a request, as raw as it came.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.words().get(1).copied().unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    fn words(&self) -> Vec<&[u8]> {
        self.start.splitn(3, |byte| *byte == b' ').collect()
    }

    fn length(&self) -> Option<usize> {
        self.field("content-length")?.parse().ok()
    }

    fn is_chunked(&self) -> bool {
        self.field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    }
}

fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<(String, Vec<u8>)> {
    let split = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
        Some((name, line[colon + 1..].trim_ascii().to_vec()))
    };
    lines.filter_map(split).collect()
}

/// Writes a message out: start line, fields, and a body with its length or in chunks.
#[derive(Debug, Clone)]
pub struct Written(Vec<u8>, Vec<u8>);

impl Written {
    /// An answer of this status, without a body.
    #[must_use]
    pub fn answer(status: u16) -> Self {
        Self(format!("HTTP/1.1 {status} Told\r\n").into_bytes(), Vec::new())
    }

    /// A request, without a body.
    #[must_use]
    pub fn request(method: &str, path: impl AsRef<[u8]>) -> Self {
        let start = [method.as_bytes(), b" ", path.as_ref(), b" HTTP/1.1\r\n"].concat();
        Self(start, Vec::new())
    }

    /// With one more field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.0.extend([name.as_bytes(), b": ", value.as_ref(), b"\r\n"].concat());
        self
    }

    /// With a body of known length.
    #[must_use]
    pub fn body(self, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut with = self.field("Content-Length", body.len().to_string());
        with.1 = body.to_vec();
        with
    }

    /// With a body whose length its fields tell already.
    #[must_use]
    pub fn with_bytes(mut self, body: impl AsRef<[u8]>) -> Self {
        self.1 = body.as_ref().to_vec();
        self
    }

    /// With a body in chunks, and these trailers.
    #[must_use]
    pub fn chunks(self, chunks: &[&[u8]], trailers: &[(&str, &str)]) -> Self {
        let mut with = self.field("Transfer-Encoding", "chunked");
        chunks.iter().for_each(|bytes| with.1.extend(chunk(bytes)));
        with.1.extend_from_slice(b"0\r\n");
        for (name, value) in trailers {
            with.1.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        with.1.extend_from_slice(b"\r\n");
        with
    }

    /// As bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        [&self.0[..], b"\r\n", &self.1[..]].concat()
    }
}

/// One chunk of the chunked coding (RFC 9112 §7.1).
#[must_use]
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// One connection, from either side.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    buffer: BytesMut,
}

impl Connection {
    /// Opens one.
    ///
    /// # Panics
    /// When nobody takes it.
    pub async fn to(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).await.expect("somebody listens"))
    }

    /// Opens one to `localhost` with TLS on it.
    ///
    /// # Panics
    /// When there is no TLS.
    pub async fn secure(port: u16, trust: &Trust) -> Self {
        let socket = Socket::connect("localhost", port, Some(trust), PATIENCE).await;
        Self::over(socket.expect("TLS"))
    }

    /// One over bytes that somebody else carries.
    #[must_use]
    pub fn over(socket: Socket) -> Self {
        Self { socket, buffer: BytesMut::new() }
    }

    /// One that is open already.
    #[must_use]
    pub fn of(socket: TcpStream) -> Self {
        let _ = socket.set_nodelay(true);
        Self::over(Socket::Tcp(socket))
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// When the other side does not take them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon("the bytes are taken", self.socket.write_all(bytes.as_ref()))
            .await
            .expect("the other side takes the bytes");
    }

    /// Sends bytes that the other side may not want.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Ends this side's direction; the other one stays open.
    pub async fn finish_sending(&mut self) {
        let _ = self.socket.shutdown().await;
    }

    /// Ends the connection the hard way, with a reset.
    pub fn reset(self) {
        if let Socket::Tcp(socket) = self.socket {
            let _ = socket.set_zero_linger();
        }
    }

    /// The next request, whole; `None` when the other side has closed.
    ///
    /// # Panics
    /// When it breaks off.
    pub async fn request(&mut self) -> Option<Message> {
        let mut message = self.head().await.ok()?;
        self.rest(&mut message, false).await.expect("a whole request");
        Some(message)
    }

    /// The next request, whole; `None` when the other side has closed, or breaks off.
    pub async fn try_request(&mut self) -> Option<Message> {
        let mut message = self.head().await.ok()?;
        self.rest(&mut message, false).await.ok()?;
        Some(message)
    }

    /// The final answer to a request of this method, whole.
    ///
    /// # Panics
    /// When it breaks off.
    pub async fn answer_to(&mut self, method: &str) -> Message {
        soon("an answer", self.try_answer_to(method)).await.expect("a whole answer")
    }

    /// The final answer to a request of this method.
    ///
    /// # Errors
    /// When the connection ends before it is whole.
    pub async fn try_answer_to(&mut self, method: &str) -> io::Result<Message> {
        let mut interim = Vec::new();
        let mut message = loop {
            let message = self.head().await?;
            match message.status() {
                status @ 100..=199 => interim.push(status),
                _ => break message,
            }
        };
        message.interim = interim;
        if method != "HEAD" && !matches!(message.status(), 204 | 304) {
            self.rest(&mut message, true).await?;
        }
        Ok(message)
    }

    /// The next head, interim or not.
    ///
    /// # Errors
    /// When the connection ends before it is whole.
    pub async fn head(&mut self) -> io::Result<Message> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        Ok(Message::parse(&self.buffer.split_to(end)))
    }

    async fn rest(&mut self, message: &mut Message, to_the_end: bool) -> io::Result<()> {
        if message.is_chunked() {
            while let Some(bytes) = self.chunk().await? {
                message.body.extend(bytes);
            }
            message.trailers = self.trailers().await?;
        } else if let Some(length) = message.length() {
            message.body = self.exactly(length).await?;
        } else if to_the_end {
            while self.more().await.is_ok() {}
            message.body = self.buffer.split().to_vec();
        }
        Ok(())
    }

    /// The next chunk of a chunked body; `None` after the last.
    ///
    /// # Errors
    /// When the connection ends before it is whole.
    pub async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.line().await?;
        let text = String::from_utf8_lossy(&line).into_owned();
        let length = usize::from_str_radix(text.trim(), 16).map_err(io::Error::other)?;
        if length == 0 {
            return Ok(None);
        }
        let bytes = self.exactly(length).await?;
        self.exactly(2).await?;
        Ok(Some(bytes))
    }

    async fn trailers(&mut self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut lines = Vec::new();
        loop {
            match self.line().await? {
                line if line.is_empty() => return Ok(fields(lines.iter().map(Vec::as_slice))),
                line => lines.push(line),
            }
        }
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
                return Ok(self.buffer.split_to(at + 1).trim_ascii_end().to_vec());
            }
            self.more().await?;
        }
    }

    /// So many bytes.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        let bytes = self.buffer[..length].to_vec();
        self.buffer.advance(length);
        Ok(bytes)
    }

    /// What has come and not been read, then what comes next.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn some(&mut self) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.more().await?;
        }
        Ok(self.buffer.split().to_vec())
    }

    /// Waits until the other side has ended the connection; whatever comes before is let go.
    ///
    /// # Panics
    /// When it does not.
    pub async fn ended(&mut self) {
        soon("the other side ends the connection", async {
            while self.more().await.is_ok() {
                self.buffer.clear();
            }
        })
        .await;
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.buffer.capacity() - self.buffer.len() < 64 * 1024 {
            self.buffer.reserve(256 * 1024);
        }
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
