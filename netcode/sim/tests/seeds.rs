//! Random runs, judged by the laws on every step. A failure names the seed: add it to `seeds.txt`.

use std::time::Duration;

use netcode_proto::{ChannelSet, LinkConfig, channels};
use netcode_sim::{Cluster, KEPT_SEEDS, Profile, run_bloat, run_links, run_sessions, run_worlds};

#[test]
fn kept_seeds_break_no_law() {
    let seeds: Vec<u64> = netcode_sim::kept_seeds().collect();
    assert_eq!(
        seeds.len(),
        KEPT_SEEDS.lines().filter(|line| !line.starts_with('#')).count(),
        "each line parses"
    );
    for seed in seeds {
        run_links(seed).unwrap_or_else(|violation| panic!("links, seed {seed}: {violation}"));
        run_sessions(seed).unwrap_or_else(|violation| panic!("sessions, seed {seed}: {violation}"));
        run_worlds(seed).unwrap_or_else(|violation| panic!("worlds, seed {seed}: {violation}"));
    }
}

#[test]
fn links_break_no_law() {
    for seed in 1_000_000..1_000_100 {
        let report = run_links(seed).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        assert!(report.packets > 0, "seed {seed} plays nothing");
    }
}

#[test]
fn sessions_break_no_law() {
    let mut messages = 0;
    for seed in 2_000_000..2_000_040 {
        messages +=
            run_sessions(seed).unwrap_or_else(|violation| panic!("seed {seed}: {violation}")).messages;
    }
    assert!(messages > 10_000, "{messages}: the clients hardly ever connect");
}

#[test]
fn worlds_break_no_law() {
    let mut snapshots = 0;
    for seed in 4_000_000..4_000_040 {
        snapshots += run_worlds(seed).unwrap_or_else(|violation| panic!("seed {seed}: {violation}")).messages;
    }
    assert!(snapshots > 10_000, "{snapshots}: the clients hardly ever see anything");
}

#[test]
fn bottlenecks_break_no_law() {
    for seed in 3_000_000..3_000_016 {
        run_bloat(seed).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    }
}

#[test]
fn a_session_outlives_its_address() {
    for profile in [Profile::demo(), Profile::wifi(), Profile::mobile4g()] {
        let mut cluster = Cluster::new(&ChannelSet::standard(), &LinkConfig::default(), 5);
        let seat = cluster.join(1, profile);
        cluster.run_for(Duration::from_secs(6)).expect("keeps the laws");
        for turn in 0..20 * 60 {
            if turn % 180 == 90 {
                cluster.rebind(seat);
            }
            for down in [false, true] {
                assert!(
                    cluster.send(seat, down, channels::GAME_RELIABLE_ORDERED, 30),
                    "connected, and not full"
                );
            }
            cluster.tick().expect("keeps the laws");
        }
        cluster.run_for(Duration::from_secs(5)).expect("keeps the laws");
        cluster.all_delivered(Duration::from_secs(5)).expect("nothing is lost on the way");
        assert!(cluster.is_up(seat));
    }
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    assert_eq!(run_links(7), run_links(7));
    assert_ne!(run_links(7), run_links(8));
    assert_eq!(run_sessions(7), run_sessions(7));
}
