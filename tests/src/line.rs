//! The network between two of them: a TCP proxy that can be cut, frozen (half-open), delayed and slowed.
//!
//! The one place where time is waited for: a delay is what it is for.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use crate::wait::soon;

/// How much is read at once.
const PIECE: usize = 16 * 1024;

/// How much may be on its way in one direction: 16 MiB fill 100 Mbit/s at a second.
const UNDER_WAY_MAX: usize = 16 << 20;

/// What the network does at the moment.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    delay: Duration,
    bytes_a_second: Option<u64>,
    frozen: bool,
    refusing: bool,
    /// How often everything was cut.
    cuts: u64,
}

/// A line to one address.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    open: watch::Receiver<usize>,
    accepting: AbortHandle,
}

impl Line {
    /// A line that leads to this address.
    ///
    /// # Panics
    /// When the system has no port.
    pub async fn to(address: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = listener.local_addr().expect("an address");
        let (weather, watched) = watch::channel(Weather::default());
        let (count, open) = watch::channel(0);
        let accepting = tokio::spawn(accept(listener, address, watched, count)).abort_handle();
        Self { address: own, weather, open, accepting }
    }

    /// Where it begins.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends every connection; new ones are taken.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Ends every connection and takes no new ones until [`mend`](Self::mend).
    pub fn sever(&self) {
        self.weather.send_modify(|weather| {
            weather.cuts += 1;
            weather.refusing = true;
        });
    }

    /// Passes nothing on any more and tells nobody: half-open, as after a NAT has forgotten the connection.
    pub fn freeze(&self) {
        self.weather.send_modify(|weather| weather.frozen = true);
    }

    /// As it was in the beginning; frozen connections go on.
    pub fn mend(&self) {
        self.weather
            .send_modify(|weather| *weather = Weather { cuts: weather.cuts, ..Weather::default() });
    }

    /// Everything takes this much longer, each way.
    pub fn delay(&self, each_way: Duration) {
        self.weather.send_modify(|weather| weather.delay = each_way);
    }

    /// Passes on so many bytes a second, each way.
    pub fn slow(&self, bytes_a_second: u64) {
        self.weather.send_modify(|weather| weather.bytes_a_second = Some(bytes_a_second));
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.open.borrow()
    }

    /// Waits until there are so many connections.
    ///
    /// # Panics
    /// When there never are.
    pub async fn has_connections(&self, wanted: usize) {
        let mut open = self.open.clone();
        let waited = open.wait_for(|count| *count == wanted);
        drop(soon("so many connections", waited).await.expect("the line is there"));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    to: SocketAddr,
    weather: watch::Receiver<Weather>,
    count: watch::Sender<usize>,
) {
    let mut carried = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((near, _)) = accepted else { return };
                if weather.borrow().refusing {
                    continue;
                }
                count.send_modify(|count| *count += 1);
                carried.spawn(carry(near, to, weather.clone()));
            }
            Some(_) = carried.join_next() => count.send_modify(|count| *count -= 1),
        }
    }
}

async fn carry(near: TcpStream, to: SocketAddr, mut weather: watch::Receiver<Weather>) {
    let cuts = weather.borrow().cuts;
    let Ok(far) = TcpStream::connect(to).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let there = pass(near_in, far_out, weather.clone());
    let back = pass(far_in, near_out, weather.clone());
    tokio::select! {
        _ = async { tokio::join!(there, back) } => {}
        _ = weather.wait_for(|weather| weather.cuts != cuts) => {}
    }
}

/// One direction: what was read leaves when its delay is over.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
) {
    let mut under_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let (mut buffer, mut ended, mut waiting) = (vec![0; PIECE], false, 0);
    while !ended || !under_way.is_empty() {
        let due = under_way.front().map(|(due, _)| *due);
        tokio::select! {
            read = from.read(&mut buffer), if !ended && waiting < UNDER_WAY_MAX => match read {
                Ok(length @ 1..) => {
                    let due = Instant::now() + weather.borrow().delay;
                    under_way.push_back((due, buffer[..length].to_vec()));
                    waiting += length;
                }
                Ok(_) | Err(_) => ended = true,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if weather.wait_for(|weather| !weather.frozen).await.is_err() {
                    return;
                }
                let (_, bytes) = under_way.pop_front().expect("it was there");
                waiting -= bytes.len();
                let rate = weather.borrow().bytes_a_second;
                if let Some(rate) = rate {
                    sleep(Duration::from_secs_f64(bytes.len() as f64 / rate as f64)).await;
                }
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    }
    let _ = to.shutdown().await;
}
