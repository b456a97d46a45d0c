//! The refusals that many routes share, as the document lists them: named once here, and in `responses(…)` of each
//! route beside what is its own. Documentation only; who refuses is elsewhere.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::problem::PROBLEM_JSON;

macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident { $($status:literal $codes:literal)+ })+) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$(($status.to_owned(), problem($codes))),+].into()
            }
        }
    )+};
}

answers! {
    /// Of every route of the API.
    Limited {
        "429" "rate_limited"
    }
    /// Of routes that ask a store.
    Stored {
        "429" "rate_limited"
        "503" "store_busy, store_unavailable"
    }
    /// Of routes that ask who the player is.
    Signed {
        "401" "token_required, token_expired, invalid_token"
    }
    /// Of routes that take a JSON body.
    Bodied {
        "400" "malformed_json"
        "413" "payload_too_large"
        "415" "not_json"
    }
    /// Of routes whose path names something.
    Named {
        "400" "malformed_path"
    }
    /// Of routes whose path names something and that take a query.
    Asked {
        "400" "malformed_query, malformed_path"
    }
}

fn problem(codes: &str) -> RefOr<Response> {
    let schema = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(codes).content(PROBLEM_JSON, content).build().into()
}
