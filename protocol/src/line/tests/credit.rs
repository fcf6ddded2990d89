//! Credit under any schedule: nobody sends what was not granted, all of it comes back, and nobody is ever stuck.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::limits::{DATA_MAX, STREAM_CREDIT_MAX};
use crate::line::Sent;
use crate::reason::{Broken, Dispatched};

/// One thing that somebody does; numbers choose among the streams that there are.
#[derive(Debug, Clone)]
enum Step {
    Open { body: usize, end: bool },
    Answer { of: usize, body: usize, end: bool },
    Send { by: End, of: usize, bytes: usize },
    Finish { by: End, of: usize },
    Reset { by: End, of: usize },
    Consume { by: End, of: usize, bytes: usize },
    Transmit(End),
    Deliver(End),
    Wait(u64),
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Relay), Just(End::Agent)]
}

fn step() -> impl Strategy<Value = Step> {
    let (of, bytes) = (0usize..8, 0usize..90_000);
    prop_oneof![
        2 => (bytes.clone(), any::<bool>()).prop_map(|(body, end)| Step::Open { body, end }),
        2 => (of.clone(), bytes.clone(), any::<bool>())
            .prop_map(|(of, body, end)| Step::Answer { of, body, end }),
        6 => (end(), of.clone(), bytes.clone()).prop_map(|(by, of, bytes)| Step::Send { by, of, bytes }),
        1 => (end(), of.clone()).prop_map(|(by, of)| Step::Finish { by, of }),
        1 => (end(), of.clone()).prop_map(|(by, of)| Step::Reset { by, of }),
        6 => (end(), of, bytes).prop_map(|(by, of, bytes)| Step::Consume { by, of, bytes }),
        12 => end().prop_map(Step::Transmit),
        12 => end().prop_map(Step::Deliver),
        1 => (0u64..500).prop_map(Step::Wait),
    ]
}

/// What an owner of one stream's end knows of it.
#[derive(Debug, Default)]
struct Owner {
    /// Bytes it was given to send and could not yet.
    unsent: Bytes,
    blocked: bool,
    ended: bool,
    /// Bytes it received and did not consume.
    held: usize,
    /// Its stream is over; what it holds is still to be consumed.
    over: bool,
    answered: bool,
}

/// Two ends, their owners, and the laws.
struct World {
    pair: Pair,
    relay: HashMap<StreamId, Owner>,
    agent: HashMap<StreamId, Owner>,
    credit: (u32, u32),
}

impl World {
    fn new(stream_credit: u32, line_credit: u32) -> Self {
        let hello = Hello { stream_credit, line_credit, max_streams: 8, ..hello() };
        let (relay, agent) = (HashMap::new(), HashMap::new());
        Self { pair: Pair::live(&hello), relay, agent, credit: (stream_credit, line_credit) }
    }

    fn owners(&mut self, by: End) -> &mut HashMap<StreamId, Owner> {
        match by {
            End::Relay => &mut self.relay,
            End::Agent => &mut self.agent,
        }
    }

    /// The n-th stream that this end knows.
    fn pick(&mut self, by: End, of: usize) -> Option<StreamId> {
        let mut known: Vec<StreamId> = self.owners(by).keys().copied().collect();
        known.sort_unstable();
        known.get(of % known.len().max(1)).copied()
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Open { body, end } => self.open(body, end),
            Step::Answer { of, body, end } => self.answer(of, body, end),
            Step::Send { by, of, bytes } => self.give(by, of, bytes),
            Step::Finish { by, of } => self.finish(by, of),
            Step::Reset { by, of } => self.reset(by, of),
            Step::Consume { by, of, bytes } => self.consume(by, of, bytes),
            Step::Transmit(by) => drop(self.pair.transmit(by)),
            Step::Deliver(by) => self.deliver(by),
            Step::Wait(ms) => self.pair.now += Duration::from_millis(ms),
        }
        for by in [End::Relay, End::Agent] {
            while let Some(stream) = self.pair.end(by).writable() {
                self.push(by, stream);
            }
        }
        self.check();
    }

    fn open(&mut self, body: usize, end: bool) {
        let mut bytes = zeros(body);
        let Ok(stream) = self.pair.relay.open(self.pair.now, request(), &mut bytes, end) else {
            return;
        };
        let ended = end && bytes.is_empty();
        self.relay.insert(stream, Owner { unsent: bytes, ended, ..Owner::default() });
        self.push(End::Relay, stream);
    }

    fn answer(&mut self, of: usize, body: usize, end: bool) {
        let Some(stream) = self.pick(End::Agent, of) else { return };
        let owner = self.agent.get_mut(&stream).expect("it was picked");
        if owner.answered || owner.over {
            return;
        }
        let mut bytes = zeros(body);
        owner.answered = true;
        owner.over =
            self.pair.agent.answer(stream, answer(), &mut bytes, end).expect("a short head");
        owner.unsent = if owner.over { Bytes::new() } else { bytes };
        self.push(End::Agent, stream);
    }

    fn give(&mut self, by: End, of: usize, bytes: usize) {
        let Some(stream) = self.pick(by, of) else { return };
        let owner = self.owners(by).get_mut(&stream).expect("it was picked");
        let may = !owner.over && !owner.ended && (by == End::Relay || owner.answered);
        if may && owner.unsent.is_empty() {
            owner.unsent = zeros(bytes);
            self.push(by, stream);
        }
    }

    /// Sends what the owner has, as an owner does that is called.
    fn push(&mut self, by: End, stream: StreamId) {
        let Some(mut owner) = self.owners(by).remove(&stream) else { return };
        if !owner.over && !owner.unsent.is_empty() {
            match self.pair.end(by).send(stream, &mut owner.unsent) {
                Sent::All => assert!(owner.unsent.is_empty()),
                Sent::Blocked => assert!(!owner.unsent.is_empty()),
                Sent::Gone => owner.over = true,
            }
            owner.blocked = !owner.over && !owner.unsent.is_empty();
        }
        self.owners(by).insert(stream, owner);
    }

    fn finish(&mut self, by: End, of: usize) {
        let Some(stream) = self.pick(by, of) else { return };
        let owner = self.owners(by).get_mut(&stream).expect("it was picked");
        let may = !owner.over && !owner.ended && (by == End::Relay || owner.answered);
        if may && owner.unsent.is_empty() {
            owner.ended = true;
            owner.over = by == End::Agent;
            self.pair.end(by).end(stream, Fields::default());
        }
    }

    fn reset(&mut self, by: End, of: usize) {
        let Some(stream) = self.pick(by, of) else { return };
        self.pair.end(by).reset(stream, Broken::Cancelled, Dispatched::Maybe, "");
        self.owners(by).get_mut(&stream).expect("it was picked").over = true;
    }

    fn consume(&mut self, by: End, of: usize, bytes: usize) {
        let Some(stream) = self.pick(by, of) else { return };
        let owner = self.owners(by).get_mut(&stream).expect("it was picked");
        let taken = bytes.min(owner.held);
        owner.held -= taken;
        let forget = owner.over && owner.held == 0;
        if forget {
            self.owners(by).remove(&stream);
        }
        let now = self.pair.now;
        self.pair.end(by).consume(now, stream, taken);
    }

    fn deliver(&mut self, by: End) {
        let happened = self.pair.deliver(by).expect("both ends are honest");
        let (stream, bytes, over) = match happened {
            Some(Happened::Opened { stream, body, .. }) => {
                self.agent.insert(stream, Owner::default());
                (stream, body.len(), false)
            }
            Some(Happened::Answered { stream, body, end, .. }) => (stream, body.len(), end),
            Some(Happened::Data { stream, bytes }) => (stream, bytes.len(), false),
            Some(Happened::Ended { stream, .. }) => (stream, 0, by == End::Relay),
            Some(Happened::Reset(reset)) => (reset.stream, 0, true),
            _ => return,
        };
        let owner = self.owners(by).get_mut(&stream).expect("only living streams are heard of");
        owner.held += bytes;
        owner.over |= over;
    }

    /// Memory is bounded, and who is blocked has a reason to be.
    fn check(&mut self) {
        let (stream_credit, line_credit) = self.credit;
        for by in [End::Relay, End::Agent] {
            let owners = self.owners(by);
            let most = owners.values().map(|owner| owner.held).max().unwrap_or(0);
            let held: usize = owners.values().map(|owner| owner.held).sum();
            assert!(most <= STREAM_CREDIT_MAX.max(stream_credit) as usize);
            assert!(held <= line_credit as usize, "{held} held of {line_credit}");
            let line = self.pair.end(by);
            let sum = line.window.open as usize + held + line.window.taken as usize;
            assert!(sum <= line.window.size as usize, "more is open than was ever granted");
        }
    }

    /// Lets everybody do what is due, until all is over.
    fn settle(&mut self) {
        for _ in 0..100_000 {
            let mut moved = false;
            for by in [End::Relay, End::Agent] {
                while self.pair.transmit(by) {
                    moved = true;
                }
            }
            for by in [End::Relay, End::Agent] {
                while !(if by == End::Agent { &self.pair.to_agent } else { &self.pair.to_relay })
                    .is_empty()
                {
                    self.deliver(by);
                    moved = true;
                }
                moved |= self.take_and_finish(by);
            }
            if !moved {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Consumes all that is held, answers, and ends what is sent: as every owner does in the end.
    fn take_and_finish(&mut self, by: End) -> bool {
        let mut moved = false;
        for place in (0..self.owners(by).len()).rev() {
            let Some(stream) = self.pick(by, place) else { continue };
            let owner = &self.owners(by)[&stream];
            let (held, answered) = (owner.held, owner.answered || owner.over);
            if by == End::Agent && !answered {
                self.answer(place, 0, false);
                moved = true;
            }
            if self.owners(by)[&stream].unsent.is_empty() && !self.owners(by)[&stream].ended {
                self.finish(by, place);
                moved = true;
            }
            moved |= held > 0;
            self.step(&Step::Consume { by, of: place, bytes: usize::MAX });
        }
        moved
    }
}

proptest! {
    #[test]
    fn no_schedule_overruns_loses_or_starves_credit(
        credits in (DATA_MAX as u32..200_000, DATA_MAX as u32..400_000),
        steps in prop::collection::vec(step(), 1..250),
    ) {
        let mut world = World::new(credits.0, credits.1);
        steps.iter().for_each(|step| world.step(step));
        world.settle();
        for by in [End::Relay, End::Agent] {
            let stuck = world.owners(by).iter().find(|(_, o)| !o.over && !o.unsent.is_empty());
            prop_assert!(stuck.is_none(), "{:?} is stuck: {:?}", by, stuck);
        }
        for (from, to) in [(End::Relay, End::Agent), (End::Agent, End::Relay)] {
            prop_assert!(world.pair.end(from).is_idle(), "{:?} has something left", from);
            let budget = world.pair.end(from).budget.left();
            let window = &world.pair.end(to).window;
            prop_assert_eq!(budget, window.open as usize, "both count the same");
            prop_assert_eq!(window.open + window.taken, window.size, "all credit has come back");
        }
    }
}
