//! What would each budget buy? The frontier as a curve, for plots and for research.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    error::{AnyRouteErrors, ApiError, ErrorReply},
    fields::{Fields, shortened},
    generate::spec,
    state::AppState,
};
use crate::{
    catalog::{Family, ModelId},
    config::Limits,
    planner::{
        Budget, Cost, Decision, Estimate, LatencyModel, Menus, Objective, Pins, Plan, PlanRequest,
        Refusal,
    },
    units::ImageSize,
};

/// The plans that are worth their cost, for one picture on an idle server.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FrontierReply {
    /// The family whose models compete.
    #[schema(example = "emoji")]
    family: String,
    /// Size of the picture.
    #[schema(value_type = String, example = "128x128")]
    size: ImageSize,
    /// Which score is maximised.
    objective: Objective,
    /// The cost that the curves are in order of: predicted p99 latency, or operations.
    axis: Cost,
    /// Cheapest first, each one better than the one before by more than a standard error of the paired
    /// difference.
    curve: Vec<FrontierEntry>,
    /// The same for each model alone, smallest model first.
    models: Vec<ModelCurve>,
}

/// A plan on a frontier.
#[derive(Debug, Serialize, ToSchema)]
struct FrontierEntry {
    /// The plan.
    plan: Plan,
    /// What is predicted of it.
    estimate: Estimate,
}

/// The best plans of one model.
#[derive(Debug, Serialize, ToSchema)]
struct ModelCurve {
    /// The model that takes every step.
    #[schema(value_type = String, example = "emoji-c16")]
    model: ModelId,
    /// Its plans, cheapest first.
    curve: Vec<FrontierEntry>,
}

/// Frontier.
///
/// Answers with the plans that are worth their cost, cheapest first: of all models together, and of each
/// alone. Budgets only select from them. Works while weights load, for `axis=tflops`.
#[utoipa::path(
    get,
    path = "/v1/frontier",
    operation_id = "retrieveFrontier",
    tag = "models",
    params(
        ("model" = Option<String>, Query, description = "A family, or a model to see it alone; `auto` is the first family", example = "auto"),
        ("size" = Option<String>, Query, description = "Size of the picture; the family's first", example = "128x128"),
        ("objective" = Option<Objective>, Query, description = "Which score is maximised; `balanced`"),
        ("axis" = Option<Cost>, Query, description = "Which cost the curves are in order of; `tflops`")
    ),
    responses(
        (status = 200, description = "The curves", body = FrontierReply),
        (status = 400, description = "invalid_value or unknown_field; `param` names the parameter", body = ErrorReply),
        (status = 404, description = "model_not_found; `known` lists what is hosted", body = ErrorReply),
        (status = 503, description = "latency_unknown, before the models were timed", body = ErrorReply),
        AnyRouteErrors
    )
)]
pub(super) async fn frontier(
    State(state): State<AppState>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Json<FrontierReply>, ApiError> {
    let asked = Asked::new(parameters(query)?, &state)?;
    let menus = state.menus(asked.family);
    let curves = Curves {
        menus: &menus,
        latency: &state.latency(),
        asked: &asked,
    };
    let curve = curves.of(asked.model.clone())?;
    if asked.axis == Cost::Latency && curve.is_empty() {
        return Err(Refusal::LatencyUnknown.into());
    }
    let models = asked.family.models.iter().map(|card| &card.id);
    let wanted = models.filter(|id| asked.model.as_ref().is_none_or(|only| only == *id));
    let models = wanted
        .map(|id| {
            Ok(ModelCurve {
                model: id.clone(),
                curve: curves.of(Some(id.clone()))?,
            })
        })
        .collect::<Result<_, ApiError>>()?;
    Ok(Json(FrontierReply {
        family: asked.family.id.clone(),
        size: asked.size,
        objective: asked.objective,
        axis: asked.axis,
        curve,
        models,
    }))
}

/// The parameters of a query, each once.
fn parameters(
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Fields, ApiError> {
    let Query(pairs) = query.map_err(|rejection| ApiError::InvalidValue {
        param: "query".to_owned(),
        message: rejection.body_text(),
    })?;
    let mut values = Map::new();
    for (name, value) in pairs {
        if values.contains_key(&name) {
            let param = shortened(&name);
            let message = format!("{param} stands in the query more than once; give it once");
            return Err(ApiError::InvalidValue { param, message });
        }
        values.insert(name, Value::String(value));
    }
    Ok(Fields::of_body(values))
}

/// What a query means on this server.
struct Asked<'a> {
    family: &'a Family,
    model: Option<ModelId>,
    size: ImageSize,
    objective: Objective,
    axis: Cost,
}

impl<'a> Asked<'a> {
    fn new(mut fields: Fields, state: &'a AppState) -> Result<Self, ApiError> {
        let limits: &Limits = state.limits();
        let model = fields.text("model")?;
        let size = fields.text("size")?;
        let objective = fields.choice(
            "objective",
            &[
                ("balanced", Objective::Balanced),
                ("alignment", Objective::Alignment),
                ("fidelity", Objective::Fidelity),
            ],
        )?;
        let axes = [("tflops", Cost::Tflops), ("latency", Cost::Latency)];
        let axis = fields.choice("axis", &axes)?;
        fields.finish()?;
        let (family, model) = spec::named(model.as_deref(), state.catalog())?;
        Ok(Self {
            size: spec::size(size.as_deref(), family, limits)?,
            family,
            model,
            objective: objective.unwrap_or_default(),
            axis: axis.unwrap_or(Cost::Tflops),
        })
    }
}

/// Where curves come from.
struct Curves<'a> {
    menus: &'a Menus,
    latency: &'a LatencyModel,
    asked: &'a Asked<'a>,
}

impl Curves<'_> {
    /// The curve of one model, or of all together.
    fn of(&self, model: Option<ModelId>) -> Result<Vec<FrontierEntry>, ApiError> {
        let request = PlanRequest {
            size: self.asked.size,
            n_images: 1,
            budget: Budget {
                objective: self.asked.objective,
                ..Budget::default()
            },
            pins: Pins {
                model,
                ..Pins::default()
            },
            has_negative_prompt: false,
            kept_texts: 0,
        };
        let entry = |Decision { plan, estimate, .. }| FrontierEntry { plan, estimate };
        let decisions = self
            .menus
            .frontier(&request, self.latency, self.asked.axis)?;
        Ok(decisions.into_iter().map(entry).collect())
    }
}
