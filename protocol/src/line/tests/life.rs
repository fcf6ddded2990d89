//! The life of a line and of its streams, and what once went wrong with them.

use super::*;
use crate::frame::{Both, GoAway, ToAgent, ToRelay};
use crate::limits::{
    CONTROL_QUEUE_MAX, DATA_MAX, HELLO_TIMEOUT, OUTBOX_MAX, SUBSCRIPTIONS_MAX, TOKEN_MAX,
};
use crate::line::{NotOpened, Sent};
use crate::reason::{Broken, Dispatched, Leaving, Refusal};

fn to_relay(frame: &ToRelay) -> Bytes {
    frame.encode().expect("a short frame")
}

fn cancel(line: &mut Line, stream: StreamId) {
    line.reset(stream, Broken::Cancelled, Dispatched::Maybe, "");
}

#[test]
fn a_small_event_is_one_frame_each_way() {
    let mut pair = Pair::live(&hello());
    let stream = pair.open(&mut zeros(100), true);
    assert!(pair.transmit(End::Relay) && !pair.transmit(End::Relay));
    let opened = pair.deliver(End::Agent).unwrap();
    assert!(matches!(opened, Some(Happened::Opened { end: true, .. })));
    assert_eq!(pair.agent.answer(stream, answer(), &mut zeros(100), true), Ok(true));
    assert!(pair.transmit(End::Agent) && !pair.transmit(End::Agent));
    let answered = pair.deliver(End::Relay).unwrap();
    assert!(matches!(answered, Some(Happened::Answered { end: true, .. })));
    assert!(pair.relay.is_idle() && pair.agent.is_idle());
}

#[test]
fn a_stream_reset_before_its_open_has_left_never_was() {
    let mut pair = Pair::live(&hello());
    let gone = pair.open(&mut zeros(500), false);
    assert_eq!(pair.relay.send(gone, &mut zeros(DATA_MAX)), Sent::All);
    cancel(&mut pair.relay, gone);
    assert!(!pair.relay.has_output(), "the agent is not to hear of it");
    assert_eq!(pair.relay.budget.left(), LINE_CREDIT as usize);
    let next = pair.open(&mut zeros(5), true);
    assert!(next > gone);
    let happened = pair.pass_all();
    assert!(
        matches!(happened[..], [(End::Agent, Happened::Opened { stream, .. })] if stream == next)
    );
}

#[test]
fn a_stream_reset_after_its_open_has_left_is_reset() {
    let mut pair = Pair::live(&hello());
    let stream = pair.open(&mut zeros(500), false);
    assert!(pair.transmit(End::Relay));
    cancel(&mut pair.relay, stream);
    let happened = pair.pass_all();
    assert!(matches!(happened[..], [(_, Happened::Opened { .. }), (_, Happened::Reset(_))]));
}

#[test]
fn an_answer_that_is_reset_before_it_has_left_costs_no_credit() {
    let mut pair = Pair::live(&hello());
    let stream = pair.open(&mut Bytes::new(), true);
    pair.pass_all();
    assert_eq!(pair.agent.answer(stream, answer(), &mut zeros(900), false), Ok(false));
    pair.agent.reset(stream, Broken::TargetBadResponse, Dispatched::Yes, "");
    let happened = pair.pass_all();
    assert!(matches!(happened[..], [(End::Relay, Happened::Reset(_))]));
    assert_eq!(pair.agent.budget.left(), LINE_CREDIT as usize);
}

#[test]
fn a_sender_that_waits_for_room_is_called_when_another_stream_leaves_it() {
    let mut pair = Pair::live(&hello());
    let (full, waits) = (pair.open(&mut Bytes::new(), false), pair.open(&mut Bytes::new(), false));
    pair.pass_all();
    assert_eq!(pair.relay.send(full, &mut zeros(OUTBOX_MAX)), Sent::All);
    assert_eq!(pair.relay.send(waits, &mut zeros(10)), Sent::Blocked);
    // The agent's reset takes the bytes with it, and nothing is left that could be transmitted.
    pair.agent.reset(full, Broken::TargetTimeout, Dispatched::Yes, "");
    assert!(pair.transmit(End::Agent));
    pair.deliver(End::Relay).unwrap();
    assert_eq!(pair.relay.writable(), Some(waits));
    assert_eq!(pair.relay.send(waits, &mut zeros(10)), Sent::All);
}

#[test]
fn a_sender_that_waits_for_the_lines_credit_is_called_when_an_early_answer_frees_it() {
    let small = Hello { line_credit: DATA_MAX as u32, ..hello() };
    let mut pair = Pair::live(&small);
    let (full, waits) = (pair.open(&mut Bytes::new(), false), pair.open(&mut Bytes::new(), false));
    pair.pass_all();
    assert_eq!(pair.relay.send(full, &mut zeros(DATA_MAX)), Sent::All);
    assert_eq!(pair.relay.send(waits, &mut zeros(10)), Sent::Blocked);
    assert_eq!(pair.agent.answer(full, answer(), &mut Bytes::new(), true), Ok(true));
    assert!(pair.transmit(End::Agent));
    pair.deliver(End::Relay).unwrap();
    assert_eq!(pair.relay.writable(), Some(waits));
    assert_eq!(pair.relay.send(waits, &mut zeros(10)), Sent::All);
}

#[test]
fn senders_that_compete_get_equal_shares() {
    let mut pair = Pair::live(&hello());
    let streams: Vec<StreamId> = (0..7).map(|_| pair.open(&mut Bytes::new(), false)).collect();
    pair.pass_all();
    let mut sent = [0usize; 7];
    let mut ready: VecDeque<StreamId> = streams.iter().copied().collect();
    for _ in 0..20 {
        while let Some(stream) = ready.pop_front() {
            let mut bytes = zeros(1 << 20);
            let _ = pair.relay.send(stream, &mut bytes);
            sent[stream.0 as usize - 1] += (1 << 20) - bytes.len();
        }
        // A socket that takes everything at once.
        while pair.relay.transmit().is_some() {}
        ready.extend(std::iter::from_fn(|| pair.relay.writable()));
    }
    let (least, most) = (sent.iter().min().unwrap(), sent.iter().max().unwrap());
    assert!(most - least <= OUTBOX_MAX, "{sent:?}");
}

#[test]
fn a_welcome_that_does_not_fit_is_an_error_and_not_a_panic() {
    let names: Vec<String> = (0..SUBSCRIPTIONS_MAX).map(|n| format!("{n:0>46}")).collect();
    let hello = Hello { subscriptions: names.iter().map(|n| subscription(n)).collect(), ..hello() };
    let mut pair = Pair::dialled(&hello);
    assert_eq!(pair.pass_all().len(), 1);
    let long = |length: usize| {
        let endpoints = names.iter().map(|name| served(name, "u".repeat(length))).collect();
        Welcome { endpoints, ..welcome() }
    };
    assert!(pair.relay.welcome(pair.now, &hello, long(400)).is_err());
    assert!(!pair.relay.has_output() && !pair.relay.has_room());
    // The longest names below a host of usual length do fit.
    assert_eq!(pair.relay.welcome(pair.now, &hello, long(120)), Ok(()));
    assert!(matches!(pair.pass_all()[..], [(End::Agent, Happened::Welcome(_))]));
}

#[test]
fn credit_above_the_limit_ends_the_line_on_a_stream_and_on_the_line() {
    for stream in [StreamId(0), StreamId(1)] {
        let mut pair = Pair::live(&hello());
        pair.open(&mut Bytes::new(), false);
        pair.pass_all();
        let credit = |bytes| to_relay(&ToRelay::Both(Both::Credit { stream, bytes }));
        let granted = if stream.0 == 0 { LINE_CREDIT } else { STREAM_CREDIT };
        let rest = i32::MAX as u32 - granted;
        assert_eq!(pair.relay.receive(pair.now, credit(rest)), Ok(None));
        assert_eq!(pair.relay.receive(pair.now, credit(1)), Err(Violation::CreditOverflow(stream)));
        let mut fresh = Pair::live(&hello());
        fresh.open(&mut Bytes::new(), false);
        assert!(fresh.relay.receive(fresh.now, credit(u32::MAX)).is_err());
    }
}

#[test]
fn more_bytes_than_were_granted_end_the_line() {
    let mut pair = Pair::live(&Hello { stream_credit: DATA_MAX as u32, ..hello() });
    let stream = pair.open(&mut Bytes::new(), false);
    pair.pass_all();
    assert_eq!(pair.agent.answer(stream, answer(), &mut Bytes::new(), false), Ok(false));
    pair.pass_all();
    let data = || to_relay(&ToRelay::Both(Both::Data { stream, bytes: zeros(DATA_MAX) }));
    assert!(pair.relay.receive(pair.now, data()).is_ok());
    let over = pair.relay.receive(pair.now, data());
    assert_eq!(over, Err(Violation::CreditOverrun(stream)));
}

#[test]
fn frames_for_a_stream_that_never_was_end_the_line_and_late_ones_do_not() {
    let mut pair = Pair::live(&hello());
    let stream = pair.open(&mut Bytes::new(), true);
    pair.pass_all();
    pair.agent.refuse(stream, Refusal::Overloaded, "");
    pair.pass_all();
    let late = Both::Data { stream, bytes: zeros(9) };
    assert_eq!(pair.relay.receive(pair.now, to_relay(&ToRelay::Both(late))), Ok(None));
    let unknown = Both::End { stream: StreamId(stream.0 + 1), trailers: Fields::default() };
    let violation = pair.relay.receive(pair.now, to_relay(&ToRelay::Both(unknown)));
    assert_eq!(violation, Err(Violation::UnknownStream(StreamId(stream.0 + 1))));
}

#[test]
fn a_peer_that_provokes_answers_and_reads_none_is_cut_off() {
    let mut pair = Pair::live(&hello());
    let ping = || to_relay(&ToRelay::Both(Both::Ping(1)));
    let mut told = 0;
    while pair.relay.receive(pair.now, ping()).is_ok() {
        told += 1;
        assert!(told <= CONTROL_QUEUE_MAX, "nobody reads them");
    }
    let mut leaving = Pair::live(&hello());
    let (reason, detail) = (Leaving::Shutdown, String::new());
    leaving.agent.go_away(GoAway { reason, deadline_ms: 1, reconnect_after_ms: 1, detail });
    for stream in 1..=CONTROL_QUEUE_MAX as u64 + 1 {
        let (stream, request, body) = (StreamId(stream), request(), Bytes::new());
        let open = ToAgent::Open(crate::frame::Open { stream, request, body, end: true });
        let heard = leaving.agent.receive(leaving.now, open.encode().unwrap());
        assert_eq!(heard.is_err(), stream.0 >= CONTROL_QUEUE_MAX as u64, "{stream}");
        if heard.is_err() {
            return;
        }
    }
}

#[test]
fn answers_that_the_relay_does_not_read_are_bounded() {
    let mut pair = Pair::live(&Hello { max_streams: 4, ..hello() });
    for stream in (1..10).map(StreamId) {
        let open = crate::frame::Open { stream, request: request(), body: Bytes::new(), end: true };
        let heard = pair.agent.receive(pair.now, ToAgent::Open(open).encode().unwrap());
        if stream.0 > 4 {
            assert_eq!(heard, Err(Violation::TooManyStreams(4)));
            return;
        }
        assert!(heard.is_ok());
        assert_eq!(pair.agent.answer(stream, answer(), &mut Bytes::new(), true), Ok(true));
    }
}

#[test]
fn a_request_that_races_goaway_is_refused_and_not_lost() {
    let mut pair = Pair::live(&hello());
    let stream = pair.open(&mut zeros(50), true);
    let (reason, detail) = (Leaving::Shutdown, String::new());
    pair.agent.go_away(GoAway { reason, deadline_ms: 1, reconnect_after_ms: 1, detail });
    let happened = pair.pass_all();
    let refused = |(end, happened): &(End, Happened)| {
        *end == End::Relay
            && matches!(happened, Happened::Refused { stream: s, reason: Refusal::Draining, .. } if *s == stream)
    };
    assert!(happened.iter().any(refused), "{happened:?}");
    assert_eq!(
        pair.relay.open(pair.now, request(), &mut Bytes::new(), true),
        Err(NotOpened::Leaving)
    );
}

#[test]
fn what_is_no_token_is_not_sent_as_one() {
    let mut pair = Pair::live(&hello());
    assert!(pair.agent.renew(&"x".repeat(TOKEN_MAX + 1)).is_err());
    assert_eq!(pair.agent.renew(&"x".repeat(TOKEN_MAX)), Ok(()));
    assert!(matches!(pair.pass_all()[..], [(End::Relay, Happened::Renewed(_))]));
}

#[test]
fn a_first_frame_that_does_not_come_ends_the_line() {
    let now = Instant::now();
    let mut relay = Line::relay(now, Setup::default());
    assert_eq!(relay.timeout(now + HELLO_TIMEOUT - TRIP), Ok(()));
    assert_eq!(relay.next_timeout(), now + HELLO_TIMEOUT);
    assert_eq!(relay.timeout(now + HELLO_TIMEOUT), Err(Violation::HelloTimeout));
}
