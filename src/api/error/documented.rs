//! How does the OpenAPI document tell of refusals? Three sets of answers that routes name in their `responses`.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, response},
};

/// Documents the refusals that every route may answer with.
pub(in crate::api) struct AnyRouteErrors;

impl IntoResponses for AnyRouteErrors {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        documented(&[
            (401, "invalid_api_key, if the server has keys"),
            (500, "internal_error"),
        ])
    }
}

/// Documents the refusals of routes that read a request for pictures.
pub(in crate::api) struct RequestErrors;

impl IntoResponses for RequestErrors {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        documented(&[
            (
                400,
                "invalid_value, missing_field, unknown_field, conflicting_fields, invalid_plan_token, not_implemented or invalid_json; `param` names the field",
            ),
            (404, "model_not_found; `known` lists what is hosted"),
            (408, "body_timeout"),
            (413, "body_too_large"),
            (415, "unsupported_media_type"),
            (
                422,
                "budget_infeasible: no plan fits even an idle server, `minimum_feasible` would do; min_score_out_of_reach; or stale_plan_token: other weights",
            ),
            (
                503,
                "loading, latency_unknown or shutting_down; see Retry-After",
            ),
        ])
    }
}

/// Documents the refusals of routes that also run the work.
pub(in crate::api) struct RunErrors;

impl IntoResponses for RunErrors {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        documented(&[
            (
                429,
                "overloaded: only the load prevents it; see Retry-After",
            ),
            (409, "cancelled: somebody stopped it by name"),
            (
                504,
                "deadline_exceeded, of requests that reject being late; or request_timeout",
            ),
        ])
    }
}

fn documented(answers: &[(u16, &str)]) -> BTreeMap<String, RefOr<response::Response>> {
    let shape = Ref::from_schema_name("ErrorReply");
    answers
        .iter()
        .map(|(status, description)| {
            let content = ContentBuilder::new().schema(Some(shape.clone())).build();
            let answer = ResponseBuilder::new()
                .description(*description)
                .content("application/json", content)
                .build();
            (status.to_string(), RefOr::T(answer))
        })
        .collect()
}
