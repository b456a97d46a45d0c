//! The link's promises on the loss benchmark's path: 5 % loss each way, 50 ± 5 ms, 60 Hz.

use std::time::Duration;

use netcode_sim::{Profile, reliable_latency};

#[test]
fn a_lost_packet_costs_a_small_reliable_message_one_tick() {
    for seed in 0..8 {
        let latency =
            reliable_latency(Profile::lossy(), Duration::from_secs(60), seed).expect("keeps the laws");
        println!("{seed}: {latency:?}");
    }
}

#[test]
fn bulk() {
    for seed in 0..8 {
        let bulk = netcode_sim::bulk(Profile::lossy(), 1 << 20, seed).expect("keeps the laws");
        println!("{seed}: {bulk:?}");
    }
    let bulk = netcode_sim::bulk(Profile::clean(50.0), 1 << 20, 1).expect("keeps the laws");
    println!("clean: {bulk:?}");
    let bulk = netcode_sim::bulk(Profile::mobile4g(), 1 << 20, 1).expect("keeps the laws");
    println!("4g: {bulk:?}");
    let bulk = netcode_sim::bulk(Profile::bad(), 1 << 20, 1).expect("keeps the laws");
    println!("bad: {bulk:?}");
}
