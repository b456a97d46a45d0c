//! Back end: the cluster's own API, which takes a `GameServerAllocation` and answers with the server. Owns the object's
//! JSON and the service account; must never know a match. Cargo feature `kubernetes`.
//!
//! Deliberate: two verbs over the HTTP client that the tree has anyway. The crate `kube` costs 81 s of build on one core
//! (55 more units, most of it `k8s-openapi`) for a generality that one custom resource does not need.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use agones_sdk::allocation::AllocationRequest;
use agones_sdk::proto::allocation::allocation_request::SchedulingStrategy;
use agones_sdk::proto::allocation::game_server_selector::GameServerState;
use agones_sdk::proto::allocation::label_match_expressions::Operator;
use agones_sdk::proto::allocation::{CounterAction, GameServerSelector, ListAction, Priority, priority};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::grpc::address;
use super::{AllocationFault, Allocator, Selection, Server};

/// Where Kubernetes puts a pod's service account.
const ACCOUNT_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// A token is read again so often: it is replaced on disk well before it ends.
const TOKEN_FRESH: Duration = Duration::from_secs(60);
/// More of an answer is not read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The cluster that we run in, or another one.
#[derive(Debug)]
pub struct KubernetesAllocator {
    client: reqwest::Client,
    url: String,
    account: PathBuf,
    token: Mutex<Option<(Instant, Token)>>,
    selection: Selection,
    deadline: Duration,
}

#[derive(Clone)]
struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Why the cluster's API cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesFault {
    /// Not in a pod.
    #[error("--allocator kubernetes needs a pod: KUBERNETES_SERVICE_HOST is not set")]
    NotInCluster,
    /// The service account is not there.
    #[error("service account file {0} cannot be read")]
    Account(PathBuf, #[source] std::io::Error),
    /// The authority is none, or the client cannot be made.
    #[error("API server's authority cannot be used: {0}")]
    Client(String),
}

impl KubernetesAllocator {
    /// The cluster that this pod runs in, by its service account.
    ///
    /// # Errors
    /// This is no pod, or its account cannot be read.
    pub fn in_cluster(selection: Selection, deadline: Duration) -> Result<Self, KubernetesFault> {
        let host = std::env::var("KUBERNETES_SERVICE_HOST").map_err(|_| KubernetesFault::NotInCluster)?;
        let port = std::env::var("KUBERNETES_SERVICE_PORT").unwrap_or_else(|_| "443".to_owned());
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Self::new(&format!("https://{host}:{port}"), Path::new(ACCOUNT_FOLDER), selection, deadline)
    }

    /// The API server at `url`, with `token` and (for https) `ca.crt` in the folder `account`.
    ///
    /// # Errors
    /// The account cannot be read.
    pub fn new(
        url: &str,
        account: &Path,
        selection: Selection,
        deadline: Duration,
    ) -> Result<Self, KubernetesFault> {
        let client = reqwest::Client::builder().timeout(deadline).connect_timeout(deadline);
        let client = if url.starts_with("https://") {
            let path = account.join("ca.crt");
            let pem = std::fs::read(&path).map_err(|error| KubernetesFault::Account(path, error))?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unusable(&error))?;
            if roots.is_empty() {
                return Err(KubernetesFault::Client("ca.crt has no certificate".to_owned()));
            }
            client.tls_certs_only(roots)
        } else {
            client
        };
        let client = client.build().map_err(|error| unusable(&error))?;
        let url = url.trim_end_matches('/').to_owned();
        let kubernetes =
            Self { client, url, account: account.to_owned(), token: Mutex::default(), selection, deadline };
        kubernetes.token()?;
        Ok(kubernetes)
    }

    fn token(&self) -> Result<String, KubernetesFault> {
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, Token(token))) = kept.as_ref()
            && read.elapsed() < TOKEN_FRESH
        {
            return Ok(token.clone());
        }
        let path = self.account.join("token");
        let token = std::fs::read_to_string(&path).map_err(|error| KubernetesFault::Account(path, error))?;
        let token = token.trim().to_owned();
        *kept = Some((Instant::now(), Token(token.clone())));
        Ok(token)
    }

    /// The next call reads the token again.
    fn forget_token(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn ask<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, AllocationFault> {
        let token = self.token().map_err(|fault| AllocationFault::Refused(fault.to_string()))?;
        let again = request.try_clone();
        let (mut status, mut body) = self.exchange(request, &token).await?;
        if status == StatusCode::UNAUTHORIZED {
            self.forget_token();
            // It has ended before its time; where the next one is on disk already, nobody need wait for it.
            let fresh = self.token().ok().filter(|fresh| *fresh != token);
            if let (Some(again), Some(fresh)) = (again, fresh) {
                (status, body) = self.exchange(again, &fresh).await?;
            }
        }
        match status {
            StatusCode::OK | StatusCode::CREATED => serde_json::from_slice(&body)
                .map_err(|error| AllocationFault::BadReply(format!("it is no such object: {error}"))),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => {
                Err(AllocationFault::Unreachable(said(status, &body)))
            }
            _ => {
                if status == StatusCode::UNAUTHORIZED {
                    self.forget_token();
                }
                Err(AllocationFault::Refused(said(status, &body)))
            }
        }
    }

    async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
        token: &str,
    ) -> Result<(StatusCode, Vec<u8>), AllocationFault> {
        let response = request.bearer_auth(token).send().await.map_err(|error| self.unsent(&error))?;
        let status = response.status();
        Ok((status, self.body(response).await?))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, AllocationFault> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unsent(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(AllocationFault::BadReply("it is longer than 1 MiB".to_owned()));
            }
        }
        Ok(body)
    }

    fn unsent(&self, error: &reqwest::Error) -> AllocationFault {
        if error.is_timeout() && !error.is_connect() {
            return AllocationFault::Deadline(self.deadline);
        }
        let mut cause: &dyn std::error::Error = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        AllocationFault::Unreachable(cause.to_string())
    }
}

#[tonic::async_trait]
impl Allocator for KubernetesAllocator {
    async fn allocate(&self, request: AllocationRequest) -> Result<Server, AllocationFault> {
        let path = "apis/allocation.agones.dev/v1/namespaces";
        let url = format!("{}/{path}/{}/gameserverallocations", self.url, request.namespace);
        let answer: Allocation = self.ask(self.client.post(url).json(&object(&request))).await?;
        read(answer.status).await
    }

    /// The fleet's own count; `None` where no fleet is named, or it cannot be read.
    async fn ready(&self) -> Option<u32> {
        let fleet = self.selection.fleet.as_ref()?;
        let path = format!("apis/agones.dev/v1/namespaces/{}/fleets/{fleet}", self.selection.namespace);
        let answer: Fleet = self.ask(self.client.get(format!("{}/{path}", self.url))).await.ok()?;
        u32::try_from(answer.status.ready_replicas).ok()
    }
}

#[derive(Deserialize)]
struct Allocation {
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Status {
    state: String,
    game_server_name: String,
    ports: Vec<Port>,
    address: String,
    source: String,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Port {
    port: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Fleet {
    status: FleetStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FleetStatus {
    ready_replicas: i64,
}

/// A `Status` object of the API, or whatever else came.
fn said(status: StatusCode, body: &[u8]) -> String {
    let object: Option<Value> = serde_json::from_slice(body).ok();
    let message = object.as_ref().and_then(|object| object["message"].as_str()).unwrap_or("no reason given");
    format!("{status}: {message}")
}

fn unusable(error: &reqwest::Error) -> KubernetesFault {
    KubernetesFault::Client(error.to_string())
}

async fn read(status: Status) -> Result<Server, AllocationFault> {
    match status.state.as_str() {
        "Allocated" => {}
        "UnAllocated" => return Err(AllocationFault::NoneReady),
        "Contention" => return Err(AllocationFault::Contention),
        other => return Err(AllocationFault::BadReply(format!("it has the state {other:?}"))),
    }
    let port = status.ports.first().map(|port| port.port);
    let address = address(&status.game_server_name, &status.address, port).await?;
    Ok(Server {
        name: status.game_server_name,
        address,
        source: status.source,
        labels: status.metadata.labels,
        annotations: status.metadata.annotations,
    })
}

/// The custom resource of a request. Its numbers are JSON numbers: this is not protojson.
fn object(request: &AllocationRequest) -> Value {
    let scheduling = match request.scheduling() {
        SchedulingStrategy::Packed => "Packed",
        SchedulingStrategy::Distributed => "Distributed",
    };
    let mut spec = json!({
        "scheduling": scheduling,
        "selectors": request.game_server_selectors.iter().map(selector).collect::<Vec<_>>(),
    });
    if let Some(patch) = &request.metadata {
        spec["metadata"] = json!({ "labels": patch.labels, "annotations": patch.annotations });
    }
    if !request.priorities.is_empty() {
        spec["priorities"] = request.priorities.iter().map(priority).collect();
    }
    if !request.counters.is_empty() {
        spec["counters"] = map(&request.counters, counter_action);
    }
    if !request.lists.is_empty() {
        spec["lists"] = map(&request.lists, list_action);
    }
    json!({ "apiVersion": "allocation.agones.dev/v1", "kind": "GameServerAllocation", "spec": spec })
}

fn selector(selector: &GameServerSelector) -> Value {
    let state = match selector.game_server_state() {
        GameServerState::Ready => "Ready",
        GameServerState::Allocated => "Allocated",
    };
    let mut object = json!({ "matchLabels": selector.match_labels, "gameServerState": state });
    if !selector.match_expressions.is_empty() {
        let expressions = selector.match_expressions.iter().map(|expression| {
            let operator = match expression.operator() {
                Operator::In => "In",
                Operator::NotIn => "NotIn",
                Operator::Exists => "Exists",
                Operator::DoesNotExist => "DoesNotExist",
            };
            json!({ "key": expression.key, "operator": operator, "values": expression.values })
        });
        object["matchExpressions"] = expressions.collect();
    }
    if !selector.counters.is_empty() {
        object["counters"] = map(&selector.counters, |counter| {
            json!({ "minCount": counter.min_count, "maxCount": counter.max_count,
                "minAvailable": counter.min_available, "maxAvailable": counter.max_available })
        });
    }
    if !selector.lists.is_empty() {
        object["lists"] = map(&selector.lists, |list| {
            json!({ "containsValue": list.contains_value, "minAvailable": list.min_available,
                "maxAvailable": list.max_available })
        });
    }
    object
}

fn priority(priority: &Priority) -> Value {
    let kind = match priority.r#type() {
        priority::Type::Counter => "Counter",
        priority::Type::List => "List",
    };
    let order = match priority.order() {
        priority::Order::Ascending => "Ascending",
        priority::Order::Descending => "Descending",
    };
    json!({ "type": kind, "key": priority.key, "order": order })
}

fn counter_action(action: &CounterAction) -> Value {
    let parts = [
        ("action", action.action.as_ref().map(|action| json!(action))),
        ("amount", action.amount.as_ref().map(|amount| json!(amount))),
        ("capacity", action.capacity.as_ref().map(|capacity| json!(capacity))),
    ];
    given(parts)
}

fn list_action(action: &ListAction) -> Value {
    let values = |values: &[String]| (!values.is_empty()).then(|| json!(values));
    given([
        ("addValues", values(&action.add_values)),
        ("deleteValues", values(&action.delete_values)),
        ("capacity", action.capacity.as_ref().map(|capacity| json!(capacity))),
    ])
}

fn given(parts: [(&str, Option<Value>); 3]) -> Value {
    let parts = parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(parts.collect::<Map<_, _>>())
}

fn map<T>(parts: &BTreeMap<String, T>, render: impl Fn(&T) -> Value) -> Value {
    Value::Object(parts.iter().map(|(name, part)| (name.clone(), render(part))).collect())
}

#[cfg(test)]
mod tests {
    use agones_sdk::proto::allocation::{CounterSelector, LabelMatchExpressions, ListSelector, MetaPatch};

    use super::*;

    /// The object in the contract, field for field.
    #[test]
    fn a_request_becomes_the_documented_object() {
        let text = |text: &str| text.to_owned();
        let request = AllocationRequest {
            namespace: text("default"),
            game_server_selectors: vec![GameServerSelector {
                match_labels: [(text("agones.dev/fleet"), text("f"))].into(),
                match_expressions: vec![LabelMatchExpressions {
                    key: text("tier"),
                    operator: Operator::In.into(),
                    values: vec![text("a")],
                }],
                counters: [(text("rooms"), CounterSelector { min_available: 1, ..Default::default() })]
                    .into(),
                lists: [(text("players"), ListSelector { min_available: 1, ..Default::default() })].into(),
                ..Default::default()
            }],
            priorities: vec![Priority {
                r#type: priority::Type::List.into(),
                key: text("players"),
                order: priority::Order::Ascending.into(),
            }],
            metadata: Some(MetaPatch {
                labels: [(text("mode"), text("dm"))].into(),
                annotations: [(text("map"), text("x"))].into(),
            }),
            counters: [(
                text("rooms"),
                CounterAction { action: Some(text("Increment")), amount: Some(1), capacity: Some(10) },
            )]
            .into(),
            lists: [(
                text("players"),
                ListAction {
                    add_values: vec![text("p1")],
                    delete_values: vec![text("p0")],
                    capacity: Some(20),
                },
            )]
            .into(),
            ..Default::default()
        };
        let expected = json!({"apiVersion":"allocation.agones.dev/v1","kind":"GameServerAllocation","spec":{
            "selectors":[{"matchLabels":{"agones.dev/fleet":"f"},
                "matchExpressions":[{"key":"tier","operator":"In","values":["a"]}],"gameServerState":"Ready",
                "counters":{"rooms":{"minCount":0,"maxCount":0,"minAvailable":1,"maxAvailable":0}},
                "lists":{"players":{"containsValue":"","minAvailable":1,"maxAvailable":0}}}],
            "priorities":[{"type":"List","key":"players","order":"Ascending"}],
            "scheduling":"Packed",
            "metadata":{"labels":{"mode":"dm"},"annotations":{"map":"x"}},
            "counters":{"rooms":{"action":"Increment","amount":1,"capacity":10}},
            "lists":{"players":{"addValues":["p1"],"deleteValues":["p0"],"capacity":20}}}});
        assert_eq!(object(&request), expected);
    }
}
