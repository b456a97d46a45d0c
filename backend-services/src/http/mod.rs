//! What all routes share: the table that lists them, request ids, limits, counting, and problems for every
//! error. It must never know what a route does.

pub(crate) mod answers;
pub mod extract;
pub mod limit;
pub mod ops;
pub mod problem;
pub mod request_id;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Request, State};
use axum::handler::Handler;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};

use self::extract::BODY_BYTES_MAX;
use self::limit::Verdict;
use self::problem::{ApiError, PROBLEM_JSON};
use crate::app::App;

/// A router that can say which routes it has, so that a test can compare it with the document.
#[derive(Default)]
pub struct Routes {
    router: Router<App>,
    listed: Vec<(Method, &'static str)>,
}

impl Routes {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a GET route.
    #[must_use]
    pub fn get<H: Handler<T, App>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.add(Method::GET, path, get(handler))
    }

    /// Adds a POST route.
    #[must_use]
    pub fn post<H: Handler<T, App>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.add(Method::POST, path, post(handler))
    }

    /// Adds a DELETE route.
    #[must_use]
    pub fn delete<H: Handler<T, App>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.add(Method::DELETE, path, delete(handler))
    }

    /// Both.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.listed.extend(other.listed);
        Self { router: self.router.merge(other.router), listed: self.listed }
    }

    /// Every method and path.
    pub fn listed(&self) -> &[(Method, &'static str)] {
        &self.listed
    }

    /// The service: these routes behind the limits, with a problem for everything else.
    pub fn into_service(self, app: App) -> Router {
        self.router
            .fallback(async || ApiError::of_status(StatusCode::NOT_FOUND))
            .method_not_allowed_fallback(async || ApiError::of_status(StatusCode::METHOD_NOT_ALLOWED))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(from_fn_with_state(app.clone(), around))
            .with_state(app)
    }

    fn add(mut self, method: Method, path: &'static str, handler: MethodRouter<App, Infallible>) -> Self {
        self.listed.push((method, path));
        Self { router: self.router.route(path, handler), listed: self.listed }
    }
}

/// Wraps every request: id, limit, count, log, and a problem in place of any bare error.
async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let verdict = admit(&app, &request);
    tend(verdict, request, next).await
}

/// The same without a limit, for a role that no player reaches.
pub(crate) async fn around_unlimited(request: Request, next: Next) -> Response {
    tend(None, request, next).await
}

async fn tend(verdict: Option<Verdict>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = request_id::choose(request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "unmatched".to_owned());
    let mut response = request_id::within(id.clone(), async {
        match verdict.filter(|verdict| !verdict.wait.is_zero()) {
            Some(verdict) => refuse(verdict),
            None => as_problem(next.run(request).await),
        }
    })
    .await;
    let headers = response.headers_mut();
    headers.insert(request_id::HEADER, request_id::header_value(&id));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(verdict) = verdict {
        headers.insert(RATE_LIMIT_REMAINING, HeaderValue::from(verdict.remaining));
    }
    count(&method, &route, response.status(), start, &id);
    response
}

/// Asks the limiter for requests to the API; health and metrics are not limited.
fn admit(app: &App, request: &Request) -> Option<Verdict> {
    let path = request.uri().path();
    if !path.starts_with("/v1/") {
        return None;
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    Some(app.limits().take(peer, path.starts_with("/v1/auth/"), Instant::now()))
}

fn refuse(verdict: Verdict) -> Response {
    let seconds = verdict.wait.as_secs_f64().ceil() as u64;
    let detail = "too many requests from this address";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(seconds).into_response()
}

/// Errors that no handler of ours wrote (the framework's own) become problems too.
fn as_problem(response: Response) -> Response {
    let status = response.status();
    let bare = status.is_client_error() || status.is_server_error();
    let kind = response.headers().get(header::CONTENT_TYPE);
    if !bare || kind.is_some_and(|kind| kind == PROBLEM_JSON) {
        return response;
    }
    let mut replaced = ApiError::of_status(status).into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        replaced.headers_mut().insert(header::ALLOW, allow.clone());
    }
    replaced
}

fn count(method: &Method, route: &str, status: StatusCode, start: Instant, id: &str) {
    let seconds = start.elapsed().as_secs_f64();
    let labels = [
        ("method", method.as_str().to_owned()),
        ("route", route.to_owned()),
        ("status", status.as_str().to_owned()),
    ];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_seconds", &labels[..2]).record(seconds);
    tracing::debug!(%method, route, status = status.as_u16(), ms = seconds * 1000.0, id, "request");
}

const RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
