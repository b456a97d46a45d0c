//! Mutual TLS: who is let in, who is not, and certificates that change under a running matchmaker.

use agones_sdk::allocation::AllocatorClient;
use backend_services::allocation::grpc::GrpcAllocator;
use backend_services::allocation::{AllocationFault, Allocator as _};

use crate::agones::{Source, start};
use crate::certs::Authority;
use crate::place::{CALL_MAX, write};
use crate::world::World;

async fn ask(client: AllocatorClient) -> Result<String, AllocationFault> {
    let request = backend_request();
    GrpcAllocator::new(client, None).allocate(request).await.map(|server| server.name)
}

fn backend_request() -> agones_sdk::allocation::AllocationRequest {
    agones_sdk::allocation::AllocationRequest::from_fleet("arena", Default::default())
}

#[tokio::test]
async fn strangers_are_not_let_in() {
    let (ours, theirs, stranger) = (Authority::new(), Authority::new(), Authority::new());
    let world = World::with(1);
    let signed = theirs.server("allocator.test");
    let double = start(world.clone(), Source::Made, Some((&signed, &ours)));
    let url = format!("https://{}", double.address);
    let folder = tempfile::tempdir().expect("a folder");
    let with = |ours, theirs, name| {
        AllocatorClient::with_tls(&url, write(&folder, ours, theirs, name), CALL_MAX).expect("good files")
    };
    // Our certificate is not theirs to trust; theirs is not ours; the name is another's; no TLS at all.
    for client in [
        with(&stranger, &theirs, "allocator.test"),
        with(&ours, &stranger, "allocator.test"),
        with(&ours, &theirs, "other.test"),
        AllocatorClient::new(&format!("http://{}", double.address), CALL_MAX).expect("a client"),
    ] {
        let answer = ask(client).await;
        assert!(matches!(answer, Err(AllocationFault::Unreachable(_))), "{answer:?}");
    }
    assert_eq!(world.asked().len(), 0);
    assert_eq!(ask(with(&ours, &theirs, "allocator.test")).await, Ok("made-0".to_owned()));
}

#[tokio::test]
async fn a_rotated_certificate_is_taken_up() {
    let (old, new, theirs) = (Authority::new(), Authority::new(), Authority::new());
    let signed = theirs.server("allocator.test");
    let double = start(World::with(2), Source::Made, Some((&signed, &new)));
    let url = format!("https://{}", double.address);
    let folder = tempfile::tempdir().expect("a folder");
    let files = write(&folder, &old, &theirs, "allocator.test");
    let client = AllocatorClient::with_tls(&url, files, CALL_MAX).expect("good files");
    assert!(ask(client.clone()).await.is_err());
    write(&folder, &new, &theirs, "allocator.test");
    // The break that follows a rotation makes the client read its files again; the next call has them.
    let _ = ask(client.clone()).await;
    assert!(ask(client).await.is_ok());
}

#[tokio::test]
async fn a_scheme_that_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    let files = write(&folder, &authority, &authority, "a.test");
    let refused = |client: Result<AllocatorClient, agones_sdk::allocation::AllocateError>| {
        client.expect_err("refused").to_string()
    };
    assert!(refused(AllocatorClient::new("https://a.test", CALL_MAX)).contains("do not go together"));
    assert!(
        refused(AllocatorClient::with_tls("http://a.test", files, CALL_MAX)).contains("do not go together")
    );
    assert!(refused(AllocatorClient::new("here", CALL_MAX)).contains("\"here\""));
}
