//! The link's promises in figures, on the loss benchmark's path: 5 % loss each way, 50 ± 5 ms, 60 Hz.

use std::time::Duration;

use netcode_sim::{Profile, bulk, reliable_latency};

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
    let bad = bulk(Profile::bad(), 1 << 20, 1).expect("keeps the laws");
    assert!(bad.took < Duration::from_secs(5), "{bad:?}");
}
