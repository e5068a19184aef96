//! Which plan would be chosen now, and why? A request's walk without the work.

use axum::{Json, extract::State, http::HeaderMap};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    body::JsonObject,
    error::{AnyRouteErrors, ApiError, RequestErrors, RunErrors},
    generate::{GenerateRequest, Spec, refuse_beyond, reply::BudgetReply, warnings},
    state::AppState,
};
use crate::planner::{Estimate, Notice, PinsCost, Plan, PlanToken, RunnerUp, Upgrade};

/// The plan that would be chosen now, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlanReply {
    /// What would be run.
    plan: Plan,
    /// The same in one word, which runs it exactly where a request for pictures has it as `plan_token`.
    plan_token: String,
    /// What is predicted of it.
    estimate: Estimate,
    /// The next better plan and the budget it needs; null if there is none.
    next_better: Option<Upgrade>,
    /// The best plan of each other model and why it lost, best first; the best one of the chosen model is
    /// the chosen plan.
    runners_up: Vec<RunnerUp>,
    /// What the fixed fields give away; null if nothing is fixed, or if nothing else fits the budget.
    pins_cost: Option<PinsCost>,
    /// The budget as it was understood.
    budget: BudgetReply,
    /// What the client should know.
    warnings: Vec<Notice>,
}

/// Plan.
///
/// Takes what `POST /v1/images/generations` takes, draws nothing, and answers with the plan that
/// would be chosen now, the runners-up, why they lost, what more budget would buy and what fixed fields
/// cost. Works while weights load.
#[utoipa::path(
    post,
    path = "/v1/plan",
    operation_id = "createPlan",
    tag = "images",
    request_body = GenerateRequest,
    responses(
        (status = 200, description = "The plan and its reasons", body = PlanReply),
        RequestErrors, RunErrors, AnyRouteErrors
    )
)]
pub(super) async fn plan(
    State(state): State<AppState>,
    headers: HeaderMap,
    JsonObject(body): JsonObject,
) -> Result<Json<PlanReply>, ApiError> {
    let request = GenerateRequest::parse(body, state.limits())?;
    let spec = Spec::new(request, &headers, state.catalog(), state.limits())?;
    let spec = spec.with_known(state.texts());
    let menus = state.menus(spec.family);
    let load = state.load();
    let explained = menus.explain(&spec.plan_request, &state.latency(), load);
    let explained = explained.map_err(|refusal| state.refuse(&spec, refusal))?;
    refuse_beyond(state.limits().max_flops, &explained.estimate)?;
    Ok(Json(PlanReply {
        plan_token: PlanToken::new(&explained.plan, spec.family).to_string(),
        plan: explained.plan,
        estimate: explained.estimate,
        next_better: explained.next_better,
        runners_up: explained.runners_up,
        pins_cost: explained.pins_cost,
        budget: BudgetReply::of(&spec, menus.budgets(), &explained.estimate),
        warnings: warnings::of(state.metrics(), &spec, explained.warnings),
    }))
}
