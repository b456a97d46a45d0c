//! A client that lies about what it saw, against a real room: it gains nothing, and is counted.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod table;

use netcode_proto::ClientState;
use netcode_snapshot::{Ack, InputPacket, Receiver, ReceiverLimits, ViewTime};
use netcode_wire::{BitReader, BitWriter};
use server_runtime::prelude::*;
use table::{PROTOCOL, SERVER, Table, UNIX_AT_ZERO_S, Walk, Walking, walking};

/// A client without a clock or a view: it says what it is told to say.
struct Liar {
    table: Table,
    session: netcode_proto::Client,
    receiver: Receiver,
}

impl Liar {
    fn new() -> Self {
        let table = Table::open(walking());
        let token = table::token(3, 0, SERVER.parse().unwrap(), UNIX_AT_ZERO_S);
        let config = netcode_proto::ClientConfig::new(PROTOCOL);
        let session = netcode_proto::Client::connect(table.now, &token[..], config).unwrap();
        Self { table, session, receiver: Receiver::new(ReceiverLimits::default()) }
    }

    fn newest(&self) -> Option<Tick> {
        self.receiver.latest().map(netcode_snapshot::Frame::tick)
    }

    /// One tick in which it claims to have seen `view` at the input for `input`, and to hold what `ack` says.
    fn claim(&mut self, input: Tick, view: Tick, ack: Option<Ack>) {
        let packet = InputPacket {
            ack,
            view: ViewTime { tick: view, fraction: 0 },
            newest: input,
            inputs: vec![Walk::default()],
        };
        let mut bits = BitWriter::new();
        packet.encode(&mut bits);
        self.session.send(self.table.now, channels::STATE, bits.as_bytes()).unwrap();
    }

    fn tick(&mut self) {
        let Self { table, session, receiver } = self;
        table.tick_with(session);
        while let Some((channel, message)) = session.poll_message() {
            if channel == channels::STATE {
                receiver.decode(&table::schema(), &mut BitReader::new(&message)).unwrap();
            }
        }
    }

    /// Ticks of an honest client: its input is for two ticks after the newest snapshot, its view three before it.
    fn honest(&mut self, ticks: u32) {
        for _ in 0..ticks {
            if let Some(newest) = self.newest()
                && self.session.state() == ClientState::Connected
            {
                self.claim(newest.offset(2), newest.offset(-3), self.receiver.ack());
            }
            self.tick();
        }
    }

    /// How far back its shots reach now, ticks, and how many of its claims were refused.
    fn granted(&mut self) -> (f32, u64) {
        let world = self.table.room.world_mut();
        let rewind = world.query::<&InputOf<Walking>>().single(world).unwrap().rewind;
        (rewind.ticks, self.table.room.status(self.table.now).players[0].views_refused)
    }
}

#[test]
fn a_view_that_was_never_sent_or_is_too_old_gains_nothing_and_is_counted() {
    let mut liar = Liar::new();
    liar.honest(120);
    assert_eq!(liar.granted(), (5.0, 0));
    let mut refused = 0;
    // From long before it came, from before what it held lately, from the future: once each, then honest again.
    for view in [-5000, -40, -14, 9, 5000] {
        let newest = liar.newest().unwrap();
        liar.claim(newest.offset(2), newest.offset(view), liar.receiver.ack());
        liar.tick();
        // The input is for the tick after: by then it lies on the table.
        liar.tick();
        refused += 1;
        assert_eq!(liar.granted(), (5.0, refused), "view {view}");
        liar.honest(4);
    }
    // For a whole minute.
    for _ in 0..3600 {
        let newest = liar.newest().unwrap();
        liar.claim(newest.offset(2), newest.offset(-60), liar.receiver.ack());
        liar.tick();
    }
    assert_eq!(liar.granted(), (5.0, refused + 3600));
}

#[test]
fn what_was_never_sent_cannot_be_acknowledged_into_evidence() {
    let mut liar = Liar::new();
    liar.honest(120);
    for lie in [400, 70, 5] {
        let newest = liar.newest().unwrap();
        // It "holds" a snapshot of the future, and "saw" it.
        liar.claim(newest.offset(2), newest.offset(lie), Some(Ack::only(newest.offset(lie))));
        liar.tick();
        liar.tick();
        assert_eq!(liar.granted().0, 5.0, "{lie}");
        liar.honest(4);
    }
    assert_eq!(liar.granted().1, 3);
}
