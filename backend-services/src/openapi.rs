//! The OpenAPI 3.1 document, generated from the handlers. A test compares it with the router both ways.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi as Document};
use utoipa::{Modify, OpenApi};

use crate::config::Role;

#[derive(OpenApi)]
#[openapi(modifiers(&Bearer))]
struct Base;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme =
            SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build());
        document
            .components
            .get_or_insert_default()
            .security_schemes
            .insert("bearer".to_owned(), scheme.into());
    }
}

/// The document of the routes that a role serves. The operators' routes are not part of the API.
pub fn document(role: Role) -> Document {
    let mut document = Base::openapi();
    document.info = InfoBuilder::new()
        .title("Tickwright")
        .version("1")
        .description(Some("Accounts, matchmaking, results, leaderboards and progression. Every error is a problem (RFC 9457)."))
        .build();
    if role.has(Role::Accounts) {
        document.merge(crate::accounts::routes::Document::openapi());
        document.merge(crate::custody::routes::Document::openapi());
    }
    if role.has(Role::Matchmaking) {
        document.merge(crate::matchmaking::routes::Document::openapi());
        document.merge(crate::parties::routes::Document::openapi());
        document.merge(crate::matches::routes::Document::openapi());
    }
    if role.has(Role::Leaderboards) {
        document.merge(crate::leaderboards::routes::document());
        document.merge(crate::progression::routes::Document::openapi());
    }
    document
}
