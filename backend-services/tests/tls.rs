//! Postgres and Redis over TLS, as a cloud's managed ones are reached: with the right authority everything works, with
//! another one or none the backend does not start.

mod support;

use std::process::Command;

use axum::http::StatusCode;
use backend_services::api::Session;
use serde_json::json;
use support::allocator::FakeAllocator;
use support::engines::Servers;
use support::process::{Backend, KEY_HEX, SERVICE_TOKEN};

fn flags(servers: &Servers, authority: &str, allocator: &FakeAllocator) -> Vec<String> {
    let database = format!("{}?sslmode=verify-full&sslrootcert={authority}", servers.database_url());
    let redis = servers.redis_url().replace("redis://", "rediss://");
    let allocator = format!("http://{}", allocator.grpc);
    let stores = ["--database-url", &database, "--redis-url", &redis, "--allocator", &allocator];
    let secrets = ["--server-key-hex", KEY_HEX, "--service-token", SERVICE_TOKEN];
    stores.into_iter().chain(secrets).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_are_reached_by_tls_and_their_names_are_checked() {
    let allocator = FakeAllocator::start().await;
    let servers = tokio::task::spawn_blocking(Servers::start_tls).await.expect("they start");
    let authority = servers.authority();
    let right = flags(&servers, authority.to_str().expect("a UTF-8 path"), &allocator);
    let right: Vec<&str> = right.iter().map(String::as_str).collect();

    // Accounts are Postgres', a ticket is Redis'.
    let backend = Backend::spawn_with(&right, ("SSL_CERT_FILE", &authority));
    let body = json!({ "device_secret": support::secret(), "display_name": "Ada" });
    let session: Session =
        backend.post("/v1/auth/guest/register", None, body).await.expect(StatusCode::CREATED);
    let ticket = backend
        .post("/v1/matchmaking/tickets", Some(&session.access_token), json!({ "mode": "arena" }))
        .await;
    let _: serde_json::Value = ticket.expect(StatusCode::CREATED);
    assert!(backend.end().success());

    // Redis' authority is that of the machine, which does not know ours.
    refused(&right, "Redis");
    let strangers = tempfile::tempdir().expect("a folder");
    let other = strangers.path().join("ca.crt");
    let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(&other, key.cert.pem()).expect("writes");
    let wrong = flags(&servers, other.to_str().expect("a UTF-8 path"), &allocator);
    refused(&wrong.iter().map(String::as_str).collect::<Vec<_>>(), "certificate");
}

#[track_caller]
fn refused(flags: &[&str], expected: &str) {
    let done = Command::new(env!("CARGO_BIN_EXE_backend-services")).args(flags).output().expect("runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success(), "started all the same");
    assert!(said.contains(expected), "{said}");
}
