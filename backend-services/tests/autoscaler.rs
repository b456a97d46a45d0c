//! The autoscaler's process, asked as Agones asks it.

mod support;

use reqwest::StatusCode;
use serde_json::{Value, json};

use support::process::Backend;

fn question(allocations: u64, allocated: u32, ready: u32) -> Value {
    json!({"request":{"uid":"0c1f","name":"arena","namespace":"default",
        "status":{"replicas":allocated + ready,"readyReplicas":ready,"reservedReplicas":0,
            "allocatedReplicas":allocated,"allocations":allocations},
        "labels":{"app":"arena"},"annotations":{}},"response":null})
}

#[tokio::test]
async fn agones_is_answered_and_a_restart_remembers() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().to_str().expect("a UTF-8 path");
    let flags = ["--role", "autoscaler", "--state", state, "--servers-min", "3", "--servers-max", "50"];
    let backend = Backend::spawn(&flags);
    let ask = async |backend: &Backend, question: Value| {
        let answer = backend.post("/scale", None, question.clone()).await;
        let review: Value = answer.expect(StatusCode::OK);
        assert_eq!(review["request"], question["request"]);
        assert_eq!(review["response"]["uid"], "0c1f");
        review["response"].clone()
    };
    let first = ask(&backend, question(0, 0, 3)).await;
    assert_eq!((&first["scale"], &first["replicas"]), (&json!(false), &json!(3)));
    let busy = ask(&backend, question(0, 20, 0)).await;
    assert!(busy["scale"] == true && busy["replicas"].as_u64() > Some(20), "{busy}");
    let most = ask(&backend, question(0, 60, 0)).await;
    assert_eq!(most["replicas"], 50, "the limit");

    backend
        .post("/scale", None, json!({"request":null,"response":null}))
        .await
        .expect_problem(422, "invalid_review");
    backend.post("/scale", None, json!([])).await.expect_problem(422, "invalid_body");
    assert_eq!(backend.get("/healthz", "").await.status, StatusCode::OK);
    assert!(backend.get("/metrics", "").await.body.contains("fleet_replicas_wanted"));
    assert_eq!(backend.get("/v1/me", "").await.status, StatusCode::NOT_FOUND, "nothing else is served");

    assert!(backend.terminate().success());
    let backend = Backend::spawn(&flags);
    let again = ask(&backend, question(0, 0, 50)).await;
    assert_eq!(
        (&again["scale"], &again["replicas"]),
        (&json!(false), &json!(50)),
        "the wish is held: no flapping"
    );
}

#[test]
fn rules_that_are_none_are_refused_with_a_line() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_backend-services"))
        .args(["--role", "autoscaler", "--state"])
        .arg(tempfile::tempdir().expect("a folder").path())
        .args(["--servers-min", "9", "--servers-max", "3"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("min (9) must not be above max (3)"), "{said}");
}
