//! Whoever is malicious, the honest beside it do not notice: each attack is run against the same match as no attack
//! at all, in virtual time, and the honest clients' p99 latencies stay within 10 %.

mod attacks;
mod door;
mod insider;
mod limits;
#[path = "../../fuzz/src/parts.rs"]
#[allow(dead_code, reason = "shared with the fuzz targets, which use more of it")]
mod parts;
mod stage;
mod thieves;

use std::sync::OnceLock;

use netcode_proto::{ChannelSet, DisconnectReason, LinkError};

use attacks::{Bend, Bent, Flood, Liar, Lie, Racer};
use stage::{Adversary, Report, Stage};
use thieves::{Lurkers, Tokens};

/// The run without an adversary.
fn calm() -> &'static Report {
    static CALM: OnceLock<Report> = OnceLock::new();
    CALM.get_or_init(|| Stage::new().play(&mut []))
}

/// Plays the match against `adversaries`, and holds it against the calm one.
fn undisturbed(mut adversaries: Vec<Box<dyn Adversary>>) -> Report {
    let (calm, report) = (calm(), Stage::new().play(&mut adversaries));
    for (what, calm, attacked) in [
        ("up", calm.up_us.p99(), report.up_us.p99()),
        ("down", calm.down_us.p99(), report.down_us.p99()),
        ("reliable", calm.reliable_us.p99(), report.reliable_us.p99()),
        ("joining", calm.joins_us.p99(), report.joins_us.p99()),
    ] {
        println!("{what:10} p99 {attacked} us under attack, {calm} us without");
        assert!(attacked * 10 <= calm * 11, "{what}: p99 {attacked} us against {calm} us without the attack");
    }
    assert_eq!(report.honest_ends, [], "an honest client was put out");
    assert_eq!(report.joins_us.len(), calm.joins_us.len(), "a newcomer was kept out");
    assert_eq!((report.reliable_us.len(), report.undelivered), (calm.reliable_us.len(), 0));
    // The weather is the same: what it lets through must come through.
    for (came, due) in [(&report.up_us, &calm.up_us), (&report.down_us, &calm.down_us)] {
        assert!(came.len() * 1000 >= due.len() * 999, "{} of {} unreliable messages", came.len(), due.len());
    }
    assert!(report.got <= report.sent, "{} bytes went to those who sent {}", report.got, report.sent);
    assert!(report.injected > 300, "{} datagrams are no attack", report.injected);
    println!("{} datagrams injected, {} dropped at the door", report.injected, report.door_dropped);
    report
}

#[test]
fn the_calm_match_is_what_it_should_be() {
    let calm = calm();
    assert_eq!((calm.undelivered, &calm.honest_ends[..], calm.injected), (0, &[][..], 0));
    // One way of 60 ± 10 ms; for what was lost a tick or two more; two round trips and their ticks.
    for unreliable in [&calm.up_us, &calm.down_us] {
        assert!((30_000..40_000).contains(&unreliable.p99()), "{}", unreliable.p99());
    }
    assert!((40_000..120_000).contains(&calm.reliable_us.p99()), "{}", calm.reliable_us.p99());
    assert!((120_000..500_000).contains(&calm.joins_us.p99()), "{}", calm.joins_us.p99());
    assert_eq!(calm.joins_us.len(), stage::NEWCOMERS);
}

#[test]
fn floods_of_garbage() {
    let report = undisturbed(vec![Box::new(Flood::new(1))]);
    let counters = report.counters;
    assert!(counters.dropped_malformed > 10_000 && counters.dropped_unknown > 10_000, "{counters:?}");
    // Half of the random sequences of 8 bytes are no session's, and are not even opened.
    assert!(counters.dropped_forged > 500 && counters.requests_invalid > 1000, "{counters:?}");
    assert_eq!(report.got, 0);
}

#[test]
fn truncated() {
    undisturbed(vec![Box::new(Bent::new(Bend::Truncate, 2))]);
}

#[test]
fn replayed() {
    let report = undisturbed(vec![Box::new(Bent::new(Bend::Replay, 3))]);
    assert!(report.counters.dropped_replayed > 10_000, "{:?}", report.counters);
}

#[test]
fn bit_flipped() {
    let report = undisturbed(vec![Box::new(Bent::new(Bend::Flip, 4))]);
    // Most of what is flipped was seen before, and is not even opened.
    assert!(report.counters.dropped_forged > 200, "{:?}", report.counters);
}

#[test]
fn spoofed() {
    let report = undisturbed(vec![Box::new(Bent::new(Bend::Spoof, 5))]);
    assert!(report.counters.dropped_forged > 1000, "{:?}", report.counters);
}

#[test]
fn overtaken() {
    undisturbed(vec![Box::new(Racer::new(21))]);
}

#[test]
fn expired_and_stolen_tokens() {
    let report = undisturbed(vec![Box::new(Tokens::new(6))]);
    let counters = report.counters;
    assert!(counters.requests_expired > 100 && counters.requests_reused > 100, "{counters:?}");
    assert!(counters.requests_invalid > 100, "{counters:?}");
    assert_eq!(report.got, 0);
}

#[test]
fn slow_loris_handshakes() {
    // 2 × 64 slots + 64 handshakes may be under way: the lurkers leave some for others, and no more.
    let report = undisturbed(vec![Box::new(Lurkers::new(180))]);
    assert!(report.handshakes_max >= 180 && report.handshakes_max <= 192, "{}", report.handshakes_max);
}

#[test]
fn lies_about_acknowledgements() {
    let report = undisturbed(vec![Box::new(Liar::new(Lie::Acks, 7))]);
    let caught = |reason: &&DisconnectReason| {
        matches!(reason, DisconnectReason::Misbehaved(LinkError::AckOfUnsent(_)))
    };
    assert!(report.other_ends.iter().filter(caught).count() > 5, "{:?}", report.other_ends);
}

#[test]
fn fragment_bombs() {
    let report = undisturbed(vec![Box::new(Liar::new(Lie::Fragments, 8))]);
    let bomb = DisconnectReason::Misbehaved(LinkError::ReassemblyExceeded);
    assert!(
        report.other_ends.iter().filter(|reason| **reason == bomb).count() > 5,
        "{:?}",
        report.other_ends
    );
    let channels = ChannelSet::standard();
    let bound = 2 * (channels.reassembly_bytes_max + channels.message_bytes_max);
    assert!(report.held_max > bound / 4 && report.held_max <= bound, "{} bytes held", report.held_max);
}

#[test]
fn sequence_jumps() {
    let report = undisturbed(vec![Box::new(Liar::new(Lie::Sequences, 9))]);
    assert!(report.counters.dropped_replayed > 1000, "{:?}", report.counters);
}

#[test]
fn a_client_that_gushes() {
    undisturbed(vec![Box::new(Liar::new(Lie::Gush, 10))]);
}

#[test]
fn all_of_it_at_once() {
    undisturbed(vec![
        Box::new(Flood::new(11)),
        Box::new(Bent::new(Bend::Truncate, 12)),
        Box::new(Bent::new(Bend::Replay, 13)),
        Box::new(Bent::new(Bend::Flip, 14)),
        Box::new(Bent::new(Bend::Spoof, 15)),
        Box::new(Racer::new(21)),
        Box::new(Tokens::new(16)),
        Box::new(Lurkers::new(150)),
        Box::new(Liar::new(Lie::Acks, 17)),
        Box::new(Liar::new(Lie::Fragments, 18)),
        Box::new(Liar::new(Lie::Sequences, 19)),
        Box::new(Liar::new(Lie::Gush, 20)),
    ]);
}
