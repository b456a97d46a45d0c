//! The document and the router name the same routes, and every route refuses or serves as the document says.

use std::collections::BTreeSet;

use backend_services::app::App;
use backend_services::config::Role;
use backend_services::openapi::document;
use serde_json::Value;

/// Operators' routes are no part of the API's document.
const OPERATORS: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/openapi.json"];

fn json(role: Role) -> Value {
    serde_json::from_str(&document(role).to_json().expect("renders")).expect("JSON")
}

fn documented(role: Role) -> BTreeSet<(String, String)> {
    let document = json(role);
    let paths = document["paths"].as_object().expect("paths").clone();
    let methods = |(path, item): (String, Value)| {
        let methods: Vec<String> = item.as_object().expect("methods").keys().cloned().collect();
        methods.into_iter().map(move |method| (method.to_uppercase(), path.clone()))
    };
    paths.into_iter().flat_map(methods).collect()
}

#[test]
fn every_route_is_documented_and_back() {
    for role in [Role::All, Role::Accounts, Role::Matchmaking, Role::Leaderboards] {
        let routes = App::routes(role);
        let listed = routes.listed().iter().filter(|(_, path)| !OPERATORS.contains(path));
        let listed: BTreeSet<_> =
            listed.map(|(method, path)| (method.to_string(), (*path).to_owned())).collect();
        assert_eq!(listed, documented(role), "{role:?}");
    }
}

#[test]
fn every_operation_is_described_whole() {
    let document = json(Role::All);
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let name = format!("{method} {path}");
            assert!(
                operation["summary"].as_str().is_some_and(|text| !text.is_empty()),
                "{name} has no summary"
            );
            let responses = operation["responses"].as_object().expect("responses");
            let limited = path.starts_with("/v1/");
            assert_eq!(responses.contains_key("429"), limited, "{name}");
            let secured = operation.get("security").is_some();
            assert_eq!(responses.contains_key("401") && !path.starts_with("/v1/auth/"), secured, "{name}");
            for (status, response) in responses {
                if status.starts_with(['4', '5']) {
                    let content = &response["content"]["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(content, "#/components/schemas/Problem", "{name} {status}");
                }
            }
        }
    }
}
