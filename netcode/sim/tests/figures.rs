//! The link's promises in figures, on the loss benchmark's path: 5 % loss each way, 50 ± 5 ms, 60 Hz.

use std::time::Duration;

use netcode_sim::{Aqm, Manner, Meddling, Profile, bulk, bulk_with, reliable_latency, shared, shared_with};

#[test]
fn a_lost_packet_costs_a_small_reliable_message_one_tick() {
    for seed in 0..8 {
        let latency =
            reliable_latency(Profile::lossy(), Duration::from_secs(60), seed).expect("keeps the laws");
        // One way 25 ± 2.5 ms. 95 of 100 come at once, all but 1 in 400 a tick of 16.7 ms later.
        assert!(latency.p50_us < 26_000, "seed {seed}: {latency:?}");
        assert!(latency.p99_us < 45_000, "seed {seed}: {latency:?}");
        // Acknowledgements and the message 41, four repeats of 36, and what a map of losses costs.
        assert!(latency.body_bytes_per_flush < 41 + 4 * 36, "seed {seed}: {latency:?}");
    }
}

#[test]
fn a_clean_path_delivers_at_once_and_repeats_little() {
    let latency = reliable_latency(Profile::clean(50.0), Duration::from_secs(60), 1).expect("keeps the laws");
    assert_eq!((latency.p50_us, latency.max_us), (25_000, 25_000));
    // Head and acknowledgements 4, message 35 (it ends the body), and a second of repeats at the start.
    assert!((39..=42).contains(&latency.body_bytes_per_flush), "{latency:?}");
}

#[test]
fn a_mebibyte_neither_floods_nor_stalls() {
    for seed in 0..8 {
        let bulk = bulk(Profile::lossy(), 1 << 20, seed).expect("keeps the laws");
        assert!(bulk.took < Duration::from_millis(450), "seed {seed}: {bulk:?}");
        assert!(bulk.overhead_percent < 15, "seed {seed}: {bulk:?}");
        // What a socket buffer of 208 KiB takes unread.
        assert!(bulk.flush_packets_max < 90, "seed {seed}: {bulk:?}");
    }
    let clean = bulk(Profile::clean(50.0), 1 << 20, 1).expect("keeps the laws");
    assert!(clean.took < Duration::from_millis(400) && clean.overhead_percent <= 1, "{clean:?}");
    // 12 Mbit/s need 0.72 s for it, 4 Mbit/s 2.2 s.
    let phone = bulk(Profile::mobile4g(), 1 << 20, 1).expect("keeps the laws");
    assert!(phone.took < Duration::from_millis(1200) && phone.overhead_percent < 15, "{phone:?}");
    for seed in 0..8 {
        let bad = bulk(Profile::bad(), 1 << 20, seed).expect("keeps the laws");
        assert!(bad.took < Duration::from_secs(5), "seed {seed}: {bad:?}");
        // What the path itself loses goes again, and a tenth beyond it: headers, reordering taken for loss, the start.
        let own_percent = f64::from(bad.overhead_percent) - bad.lost_percent[1] * 1.1;
        assert!(own_percent <= 12.0, "seed {seed}: {own_percent} of {bad:?}");
        assert!(bad.lost_percent[0] < 4.0, "seed {seed}: {bad:?}");
    }
}

#[test]
fn a_deep_buffer_is_not_filled() {
    for seed in 0..8 {
        let bloat = bulk(Profile::bloat(), 1 << 20, seed).expect("keeps the laws");
        // 4 Mbit/s need 2.15 s for it with all headers; the buffer holds a second.
        assert!(bloat.took < Duration::from_millis(2400) && bloat.overhead_percent <= 10, "{bloat:?}");
        assert!(bloat.queue_ms[0] < 220 && bloat.queue_ms[1] < 70, "seed {seed}: {bloat:?}");
    }
}

#[test]
fn snapshots_and_bulk_share_a_narrow_path() {
    for seed in 0..4 {
        // 500 kB/s: the snapshots' 66 kB/s fit, and bulk gets the rest.
        let wide = shared(Profile::bloat(), 1100, Duration::from_secs(25), seed).expect("keeps the laws");
        assert!(wide.bytes_per_s[0] > 63_000, "seed {seed}: {wide:?}");
        assert!((340_000..450_000).contains(&wide.bytes_per_s[1]), "seed {seed}: {wide:?}");
        assert!(wide.queue_ms[0] < 150 && wide.queue_ms[1] < 50, "seed {seed}: {wide:?}");
        // 87 kB/s, less than both want: snapshots shrink to what they are told, and neither starves.
        let narrow = Profile { bandwidth_bps: Some(700_000), ..Profile::bloat() };
        let tight = shared(narrow, 1100, Duration::from_secs(25), seed).expect("keeps the laws");
        assert!(tight.bytes_per_s[0] > 35_000, "seed {seed}: {tight:?}");
        assert!(tight.bytes_per_s[1] > 8_000, "seed {seed}: {tight:?}");
        assert!(tight.queue_ms[0] < 400 && tight.queue_ms[1] < 120, "seed {seed}: {tight:?}");
    }
}

#[test]
fn small_traffic_knows_no_budget() {
    // What a match sends on the paths that it is played on: nothing waits, nothing is dropped.
    for profile in [Profile::lan(), Profile::broadband(), Profile::wifi(), Profile::demo(), Profile::lossy()]
    {
        let set = netcode_proto::ChannelSet::standard();
        let config = netcode_proto::LinkConfig::default();
        let mut pair = netcode_sim::LinkPair::new(&set, &config, profile, 60, 3);
        for _ in 0..2 * 60 * 60 {
            let side = pair.await_flush().expect("keeps the laws");
            assert!(pair.room_bytes(side) > 700, "{:?}", pair.stats(side));
            pair.send(side, netcode_proto::channels::STATE, 400).expect("room");
            pair.step().expect("keeps the laws");
        }
        let stats = pair.stats(0);
        assert_eq!(stats.messages_expired, 0, "{stats:?}");
        assert!(stats.packets_sent < 60 * 60 + 10, "one datagram a tick: {stats:?}");
    }
}

#[test]
fn pacing_lowers_the_queue_at_a_bottleneck_and_costs_nothing() {
    for profile in [Profile::bloat(), Profile::mobile4g(), Profile::bad()] {
        let (mut queue, mut bytes, mut took) = ([0, 0], [0, 0], [Duration::ZERO; 2]);
        for seed in 0..4 {
            for (which, paced) in [false, true].into_iter().enumerate() {
                let manner = Manner { paced, ecn: false };
                let shared = shared_with(profile, 1100, Duration::from_secs(25), seed, manner)
                    .expect("keeps the laws");
                let bulk = bulk_with(profile, 1 << 20, seed, manner).expect("keeps the laws");
                queue[which] += shared.queue_ms[1] + bulk.queue_ms[1];
                bytes[which] += shared.bytes_per_s[0] + shared.bytes_per_s[1];
                took[which] += bulk.took;
                assert!(bulk.flush_packets_max == 1 || !paced, "one datagram at a time: {bulk:?}");
                assert_eq!(shared.expired, 0);
            }
        }
        assert!(queue[1] * 10 <= queue[0] * 9, "{queue:?} ms of mean wait");
        assert!(bytes[1] * 100 >= bytes[0] * 95 && took[1] * 100 <= took[0] * 110, "{bytes:?} {took:?}");
    }
}

#[test]
fn marks_keep_the_queue_short_and_lose_nothing() {
    let span = Duration::from_secs(25);
    for bps in [2_000_000, 4_000_000, 12_000_000] {
        let path = |aqm| Profile { aqm, bandwidth_bps: Some(bps), ..Profile::bloat() };
        let mut sums = [[0_u64; 2]; 3];
        for seed in 0..4 {
            let play = |aqm, ecn| {
                shared_with(path(aqm), 1100, span, seed, Manner { paced: true, ecn }).expect("keeps the laws")
            };
            let all = [play(Aqm::Tail, false), play(Aqm::CoDel, false), play(Aqm::CoDel, true)];
            for (sum, one) in sums.iter_mut().zip(&all) {
                sum[0] += one.queue_ms[1];
                sum[1] += one.bytes_per_s[0] + one.bytes_per_s[1];
            }
            // Without marks such a bottleneck speaks by dropping; with them it need not.
            assert!(all[2].managed_percent[1] == 0.0 && all[2].managed_percent[0] > 0.0, "{all:?}");
            assert!(all[2].full_percent == 0.0 && all[2].expired == 0, "{all:?}");
            assert!(bps > 4_000_000 || all[1].managed_percent[1] > 0.0, "{all:?}");
        }
        println!("{bps} {sums:?}");
        assert!(sums[2][0] * 100 <= sums[0][0] * 70, "{sums:?}: ms of mean wait, marks against none");
        assert!(sums[2][1] * 100 >= sums[0][1] * 75, "{sums:?}: and most of the path is still used");
    }
}

#[test]
fn routers_that_meddle_with_marks_cost_nothing() {
    let path = |meddling| Profile { meddling, ..Profile::bloat() };
    for meddling in [Meddling::Erase, Meddling::Remark] {
        let play = |meddling, ecn| {
            let manner = Manner { paced: true, ecn };
            shared_with(path(meddling), 1100, Duration::from_secs(25), 1, manner).expect("keeps the laws")
        };
        let (with, without) = (play(meddling, true), play(Meddling::None, false));
        let sum = |one: &netcode_sim::Shared| one.bytes_per_s[0] + one.bytes_per_s[1];
        assert!(sum(&with) * 100 >= sum(&without) * 97, "{with:?} {without:?}");
    }
}
