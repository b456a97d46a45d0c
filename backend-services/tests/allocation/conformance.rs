//! What every back end must do, whatever it speaks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backend_services::allocation::policy::Rank;
use backend_services::allocation::{
    AllocationFault, Cluster, MATCH_ANNOTATION, MatchSheet, Region, Selection, Server, Servers, SheetPlayer,
    Wanted,
};
use backend_services::ids::MatchId;
use tokio::task::JoinSet;

use super::place::{Kind, Place};
use super::world::{Bad, Fault};

/// A match looks for a server no longer.
const DEADLINE: Duration = Duration::from_millis(900);

pub fn selection(fleet: &str, tier: &str) -> Selection {
    Selection {
        namespace: "default".to_owned(),
        fleet: Some(fleet.to_owned()),
        labels: [("tier".to_owned(), tier.to_owned())].into(),
        shared: false,
    }
}

pub fn wanted() -> Wanted {
    let id = MatchId::random();
    let players = vec![SheetPlayer { player: 7, name: "Ada \"λ\" <b>".to_owned(), team: 0, party: 0 }];
    let sheet = MatchSheet {
        match_id: id.to_string(),
        mode: "arena".to_owned(),
        seconds: 60,
        seed: 1 << 52,
        players,
        backfill: None,
    };
    Wanted { id, sheet, result_key: None, latencies: Vec::new(), latency_max_ms: None }
}

fn servers(place: &Place, selection: Selection) -> Servers {
    let cluster = Cluster::new("one".to_owned(), place.allocator.clone(), Rank::default(), selection);
    Servers::with_deadline(vec![Region { name: "here".to_owned(), clusters: vec![cluster] }], DEADLINE)
}

pub async fn take(servers: &Servers, wanted: &Wanted) -> Result<Server, AllocationFault> {
    let admission = servers.admit(Instant::now()).expect("room");
    servers.allocate(admission, wanted).await
}

/// A ready server with our selectors is taken, carries our metadata, and its address is where it listens.
pub async fn takes_a_server_that_fits(kind: Kind) {
    let place = Place::start(kind, 2).await;
    let wanted = wanted();
    let server = take(&servers(&place, selection("arena", "gold")), &wanted).await.expect("a server");
    assert_eq!(server.labels.get("tickwright.dev/match-id"), Some(&wanted.id.to_string()));
    assert_eq!(server.labels.get("tier").map(String::as_str), Some("gold"));
    let sheet: MatchSheet = serde_json::from_str(&server.annotations[MATCH_ANNOTATION]).expect("our sheet");
    assert_eq!(sheet, wanted.sheet);
    // The other side agrees.
    let (name, port, annotations) = match &place.fleet {
        Some(fleet) => {
            let reports = fleet.servers();
            let report = reports.into_iter().find(|report| report.state == "Allocated").expect("one");
            (report.name, report.port.expect("a port"), report.annotations)
        }
        None => {
            let taken = place.world.taken();
            let port = u16::try_from(taken[0].ports[0]).expect("a port");
            (taken[0].name.clone(), port, taken[0].annotations.clone())
        }
    };
    assert_eq!((server.name, server.address.port()), (name, port));
    assert!(server.address.ip().is_loopback());
    assert_eq!(annotations[MATCH_ANNOTATION], server.annotations[MATCH_ANNOTATION]);
    place.end().await;
}

/// Nothing that our selectors do not fit is taken, and that is no failure but a wait.
pub async fn takes_none_that_does_not_fit(kind: Kind) {
    let place = Place::start(kind, 1).await;
    for selection in [selection("other", "gold"), selection("arena", "iron")] {
        let found = take(&servers(&place, selection), &wanted()).await;
        assert_eq!(found, Err(AllocationFault::NoneReady));
    }
    let servers = servers(&place, selection("arena", "gold"));
    take(&servers, &wanted()).await.expect("the one");
    assert_eq!(take(&servers, &wanted()).await, Err(AllocationFault::NoneReady));
    place.end().await;
}

/// Of many requests at once exactly as many succeed as there are servers, each with its own.
pub async fn takes_none_twice(kind: Kind) {
    // The fleet's servers are processes: fewer of them make the same point.
    let (ready, asking) = if kind == Kind::Fleet { (4, 12) } else { (50, 64) };
    let place = Place::start(kind, ready).await;
    let mut calls = JoinSet::new();
    for _ in 0..asking {
        // Each its own: sixty-four matchmakers that know nothing of each other.
        let servers = servers(&place, selection("arena", "gold"));
        calls.spawn(async move { take(&servers, &wanted()).await });
    }
    let answers = calls.join_all().await;
    let names: Vec<&str> = answers.iter().flatten().map(|server| server.name.as_str()).collect();
    assert_eq!(names.len(), usize::try_from(ready).expect("few"));
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    let rest = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(rest.clone().all(|fault| *fault == AllocationFault::NoneReady), "{:?}", rest.collect::<Vec<_>>());
    place.end().await;
}

/// A lost race is run again, after pauses that differ, until the deadline.
pub async fn runs_lost_races_again(kind: Kind) {
    let place = Place::start(kind, 1).await;
    let servers = servers(&place, selection("arena", "gold"));
    let request = || async { place.allocator.allocate(Default::default()).await };
    place.world.fail(&[Fault::Contention]);
    assert_eq!(request().await, Err(AllocationFault::Contention), "one call is one try");
    place.world.fail(&[Fault::Contention; 3]);
    take(&servers, &wanted()).await.expect("the fourth try");
    assert_eq!(place.world.asked().len(), 5);

    let before = place.world.asked().len();
    place.world.fail(&[Fault::Contention; 1000]);
    let begun = Instant::now();
    assert_eq!(take(&servers, &wanted()).await, Err(AllocationFault::Contention));
    assert!(begun.elapsed() <= DEADLINE, "{:?}", begun.elapsed());
    let asked = place.world.asked();
    let tries = asked.len() - before;
    assert!((4..200).contains(&tries), "{tries} tries: pauses grow");
    place.end().await;
}

/// Nobody there, nobody answering, and somebody who does not want to are three different things.
pub async fn says_what_is_wrong(kind: Kind) {
    let mut place = Place::start(kind, 1).await;
    let servers = servers(&place, selection("arena", "gold"));
    place.world.fail(&[Fault::Refused]);
    let refused = take(&servers, &wanted()).await;
    assert!(matches!(refused, Err(AllocationFault::Refused(_))), "{refused:?}");

    // A refusal is followed by a pause: a fresh view of the same place does not know of it.
    let servers = self::servers(&place, selection("arena", "gold"));
    place.world.fail(&[Fault::Silence]);
    let silent = take(&servers, &wanted()).await;
    assert_eq!(silent, Err(AllocationFault::Deadline(DEADLINE)));

    place.vanish();
    let servers = self::servers(&place, selection("arena", "gold"));
    let gone = take(&servers, &wanted()).await;
    assert!(matches!(gone, Err(AllocationFault::Unreachable(_))), "{gone:?}");
    place.end().await;
}

/// An answer without somewhere to connect to is refused with a sentence that says what is missing.
pub async fn refuses_bad_answers(kind: Kind) {
    let all = u32::try_from(Bad::ALL.len()).expect("few");
    let place = Place::start(kind, if kind == Kind::Fleet { 6 } else { all }).await;
    for bad in Bad::ALL {
        place.world.fail(&[Fault::Bad(bad)]);
        let servers = servers(&place, selection("arena", "gold"));
        let Err(AllocationFault::BadReply(why)) = take(&servers, &wanted()).await else {
            panic!("{bad:?} passed")
        };
        let expected = match bad {
            Bad::NoName => "has no name",
            Bad::NoPort => "has no port",
            Bad::PortZero | Bad::PortTooLarge => "port out of range",
            Bad::NoAddress => "has no address",
            Bad::NonsenseAddress => "no lookup finds",
        };
        assert!(why.contains(expected), "{bad:?}: {why}");
    }
    place.end().await;
}

/// Where the place counts its ready servers, no more matches are admitted than those.
pub async fn admits_what_is_ready(kind: Kind) {
    let place = Place::start(kind, 3).await;
    let Some(ready) = place.allocator.ready().await else {
        // Deliberate: this place does not say; a window holds instead (see `warm`).
        assert_eq!(kind, Kind::Agones);
        return place.end().await;
    };
    assert_eq!(ready, 3);
    let servers = servers(&place, selection("arena", "gold"));
    servers.count().await;
    let admitted: Vec<_> = std::iter::from_fn(|| servers.admit(Instant::now())).collect();
    assert_eq!(admitted.len(), 3);
    for admission in admitted {
        servers.allocate(admission, &wanted()).await.expect("a server that was counted");
    }
    assert!(servers.admit(Instant::now()).is_none());
    servers.count().await;
    assert!(servers.admit(Instant::now()).is_none(), "none is ready");
    place.end().await;
}

/// Maps of latencies, as a party reports them.
pub fn latencies(pairs: &[(&str, u32)]) -> BTreeMap<String, u32> {
    pairs.iter().map(|(region, ms)| ((*region).to_owned(), *ms)).collect()
}

/// A region of one cluster over this place.
pub fn region(name: &str, places: &[(&Place, Rank)]) -> Region {
    let cluster = |(place, rank): &(&Place, Rank)| {
        let allocator = Arc::clone(&place.allocator);
        Cluster::new(name.to_owned(), allocator, *rank, selection("arena", "gold"))
    };
    Region { name: name.to_owned(), clusters: places.iter().map(cluster).collect() }
}
