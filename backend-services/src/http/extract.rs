//! What handlers take from a request, each refusing with a problem: a JSON body, a path segment, a query, and
//! the player behind the access token.

use axum::RequestExt as _;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use super::problem::ApiError;
use crate::accounts::tokens::{Caller, TokenFault};
use crate::app::App;

/// The largest body that is read.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// A JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(ApiError::new(status, "not_json", "the body must be application/json"));
        }
        let bytes = request.extract().await.map_err(|rejection: BytesRejection| unread(&rejection))?;
        let bytes: axum::body::Bytes = bytes;
        parse(&bytes).map(Body)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let refuse = |error: serde_json::Error| match error.classify() {
        Category::Data => {
            ApiError::invalid("invalid_body", format!("the body is not as documented: {error}"))
        }
        _ => ApiError::malformed("malformed_json", format!("the body is not JSON: {error}")),
    };
    // Deliberate: serde would read a list of values as the struct's fields in order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        serde_json::from_slice::<IgnoredAny>(bytes).map_err(refuse)?;
        return Err(ApiError::invalid("invalid_body", "the body must be a JSON object"));
    }
    serde_json::from_slice(bytes).map_err(refuse)
}

fn unread(rejection: &BytesRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("the body may have {BODY_BYTES_MAX} bytes");
        return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail);
    }
    ApiError::malformed("unreadable_body", "the body ended early")
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// The one parameter of the path.
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(_) => Err(ApiError::malformed("malformed_path", "the path is not UTF-8")),
        }
    }
}

/// The query, as a struct.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(error) => Err(ApiError::malformed("malformed_query", error.body_text())),
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(bearer).ok_or_else(|| {
            ApiError::unauthorized("token_required", "send the access token as Authorization: Bearer …")
        })?;
        app.tokens().verify(token).map_err(|fault| match fault {
            TokenFault::Expired => ApiError::unauthorized("token_expired", "refresh the access token"),
            TokenFault::Invalid => {
                ApiError::unauthorized("invalid_token", "the access token is not valid here")
            }
        })
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
