//! What only the cluster's API can get wrong: the service account, and answers of another shape.

use axum::Json;
use axum::routing::post;
use backend_services::allocation::kubernetes::{KubernetesAllocator, KubernetesFault};
use backend_services::allocation::{AllocationFault, Allocator as _};
use serde_json::json;

use crate::agones::Running;
use crate::conformance::selection;
use crate::kube_double;
use crate::place::CALL_MAX;
use crate::world::World;

fn allocator(url: &str, token: &str) -> KubernetesAllocator {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), token).expect("a file");
    KubernetesAllocator::new(url, folder.path(), selection("arena", "gold"), CALL_MAX).expect("an account")
}

fn request() -> agones_sdk::allocation::AllocationRequest {
    agones_sdk::allocation::AllocationRequest::from_fleet("arena", Default::default())
}

#[tokio::test]
async fn a_wrong_account_is_refused_in_kubernetes_words() {
    let double = kube_double::start(World::with(1));
    let url = format!("http://{}", double.address);
    let answer = allocator(&url, "another").allocate(request()).await;
    assert_eq!(answer, Err(AllocationFault::Refused("401 Unauthorized: Unauthorized".to_owned())));
    // A trailing newline, as secrets often have.
    assert!(allocator(&url, &format!("{}\n", kube_double::TOKEN)).allocate(request()).await.is_ok());
}

#[tokio::test]
async fn a_namespace_without_servers_is_empty() {
    let double = kube_double::start(World::with(1));
    let allocator = allocator(&format!("http://{}", double.address), kube_double::TOKEN);
    let elsewhere = agones_sdk::allocation::AllocationRequest { namespace: "other".to_owned(), ..request() };
    assert_eq!(allocator.allocate(elsewhere).await, Err(AllocationFault::NoneReady));
}

#[tokio::test]
async fn answers_of_another_shape_are_refused() {
    for (body, expected) in [
        (json!({ "status": { "state": "Perhaps" } }), "the state \"Perhaps\""),
        (json!({ "status": {} }), "the state \"\""),
        (json!({ "kind": "List" }), "no such object"),
        (json!([1]), "no such object"),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let router = axum::Router::new().fallback(post(async move || Json(body)));
        let double = Running::spawn(address, async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            axum::serve(listener, router).await.expect("it serves");
        });
        let answer = allocator(&format!("http://{}", double.address), "t").allocate(request()).await;
        assert!(
            matches!(&answer, Err(AllocationFault::BadReply(why)) if why.contains(expected)),
            "{answer:?}"
        );
    }
}

#[test]
fn without_an_account_there_is_no_allocator() {
    let folder = tempfile::tempdir().expect("a folder");
    let make = |url: &str| KubernetesAllocator::new(url, folder.path(), selection("a", "b"), CALL_MAX);
    assert!(
        matches!(make("http://127.0.0.1:1"), Err(KubernetesFault::Account(path, _)) if path.ends_with("token"))
    );
    assert!(
        matches!(make("https://127.0.0.1:1"), Err(KubernetesFault::Account(path, _)) if path.ends_with("ca.crt"))
    );
}
