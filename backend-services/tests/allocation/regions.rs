//! Several regions and clusters: the nearest is asked first, the next where nothing is ready, and never another after
//! an answer that may still have taken a server.

use std::sync::Arc;
use std::time::Instant;

use agones_sdk::allocation::AllocationRequest;
use backend_services::allocation::failover::Failover;
use backend_services::allocation::policy::Rank;
use backend_services::allocation::{AllocationFault, Allocator as _, Servers, Wanted};

use crate::conformance::{latencies, region, take, wanted};
use crate::place::{Kind, Place};
use crate::world::Fault;

fn far_and_near() -> Wanted {
    Wanted {
        latencies: vec![latencies(&[("eu", 20), ("us", 110)]), latencies(&[("eu", 35), ("us", 90)])],
        ..wanted()
    }
}

fn taken(place: &Place) -> usize {
    place.world.taken().len()
}

#[tokio::test]
async fn the_nearest_region_first_then_the_next() {
    let (eu, us) = (Place::start(Kind::Agones, 1).await, Place::start(Kind::Agones, 5).await);
    let rank = Rank::default();
    let servers = Servers::new(vec![region("us", &[(&us, rank)]), region("eu", &[(&eu, rank)])]);
    take(&servers, &far_and_near()).await.expect("a server");
    assert_eq!((taken(&eu), taken(&us)), (1, 0));
    // Europe is empty: the match is not held up, and Europe is not asked again at once.
    take(&servers, &far_and_near()).await.expect("a server");
    take(&servers, &far_and_near()).await.expect("a server");
    assert_eq!((taken(&eu), taken(&us)), (1, 2));
    assert_eq!(eu.world.asked().len(), 2);
    // Nobody may play as far away as that: the match waits for Europe.
    let near_only = Wanted { latency_max_ms: Some(50), ..far_and_near() };
    assert_eq!(take(&servers, &near_only).await, Err(AllocationFault::NoneReady));
    assert_eq!(taken(&us), 2);
}

#[tokio::test]
async fn a_cluster_that_is_gone_is_passed_over() {
    let (mut first, second) = (Place::start(Kind::Agones, 3).await, Place::start(Kind::Agones, 3).await);
    let rank = |priority| Rank { priority, weight: 1 };
    let servers = Servers::new(vec![region("eu", &[(&second, rank(2)), (&first, rank(1))])]);
    take(&servers, &wanted()).await.expect("a server");
    assert_eq!((taken(&first), taken(&second)), (1, 0));
    first.vanish();
    take(&servers, &wanted()).await.expect("a server");
    assert_eq!((taken(&first), taken(&second)), (1, 1));
}

#[tokio::test]
async fn no_second_server_after_a_silence() {
    let (first, second) = (Place::start(Kind::Agones, 3).await, Place::start(Kind::Agones, 3).await);
    let rank = |priority| Rank { priority, weight: 1 };
    let regions = vec![region("eu", &[(&first, rank(1)), (&second, rank(2))])];
    let servers = Servers::with_deadline(regions, std::time::Duration::from_millis(200));
    first.world.fail(&[Fault::Silence]);
    let answer = take(&servers, &wanted()).await;
    assert!(matches!(answer, Err(AllocationFault::Deadline(_))), "{answer:?}");
    assert_eq!(second.world.asked().len(), 0);
}

#[tokio::test]
async fn the_next_endpoint_where_one_is_gone() {
    let (mut one, two) = (Place::start(Kind::Agones, 3).await, Place::start(Kind::Agones, 3).await);
    one.vanish();
    let failover = Failover::new(vec![Arc::clone(&one.allocator), Arc::clone(&two.allocator)]);
    let request = || AllocationRequest::from_fleet("arena", Default::default());
    assert!(failover.allocate(request()).await.is_ok());
    assert!(failover.allocate(request()).await.is_ok(), "the one that answered is asked first");
    // An empty cluster is not a broken one.
    two.world.fail(&[Fault::Contention]);
    assert_eq!(failover.allocate(request()).await, Err(AllocationFault::Contention));
}

#[tokio::test]
async fn an_admission_that_is_not_used_gives_its_room_back() {
    let place = Place::start(Kind::Agones, 1).await;
    let servers = Servers::new(vec![region("eu", &[(&place, Rank::default())])]);
    let now = Instant::now();
    let room = servers.room(now);
    let admission = servers.admit(now);
    assert_eq!(servers.room(now), room - 1);
    drop(admission);
    assert_eq!(servers.room(now), room);
}
