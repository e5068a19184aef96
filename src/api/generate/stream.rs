//! How is a request answered bit by bit? Server-sent events, named and shaped as OpenAI's.
//!
//! `image_generation.partial_image` shows a picture on its way, `image_generation.completed` is a finished one; the
//! last of these has everything that a reply has. With `stream_options` the plan and every step are told as
//! well. An error that comes after the first byte is the event `error`, in the usual shape.

use std::convert::Infallible;

use axum::response::{
    IntoResponse, Response,
    sse::{Event as Sse, KeepAlive},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Asked, Audience, Run, Spec, admission,
    reply::{GenerateReply, ImageReply},
    request::StreamOptions,
};
use crate::{
    api::{error::ApiError, state::AppState},
    planner::Decision,
    runtime::{Event, Rendered},
};

/// Events that wait for a slow client before those that follow wait elsewhere. The work waits for nobody.
const AHEAD: usize = 64;

/// Admits a request and answers with its events. What is refused at once is an ordinary refusal.
pub(super) async fn reply(state: AppState, asked: Asked) -> Result<Response, ApiError> {
    let (admitted, is_admitted) = oneshot::channel();
    let (events, stream) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let teller = Teller { events };
        tell(&state, &asked, &teller, admitted).await;
    });
    admission(is_admitted).await?;
    let stream = axum::response::Sse::new(ReceiverStream::new(stream));
    let mut response = stream.keep_alive(KeepAlive::default()).into_response();
    // Proxies that collect a reply before they pass it on would defeat it.
    let headers = response.headers_mut();
    headers.insert(
        "x-accel-buffering",
        axum::http::HeaderValue::from_static("no"),
    );
    Ok(response)
}

/// Tells everything about one request, until it is answered or nobody listens any more.
async fn tell(
    state: &AppState,
    asked: &Asked,
    teller: &Teller,
    admitted: oneshot::Sender<Result<(), ApiError>>,
) {
    let partial_images = asked.request.partial_images.unwrap_or(0);
    let admission = asked.spec(state);
    let spec = match admission {
        Ok(spec) => spec,
        Err(error) => return drop(admitted.send(Err(error))),
    };
    let audience = Audience::Shown(partial_images);
    let run = match Run::admit(state, &spec, asked.arrived, audience) {
        Ok(run) => run,
        Err(error) => return drop(admitted.send(Err(error))),
    };
    if admitted.send(Ok(())).is_err() {
        return;
    }
    let options = asked.request.stream_options.unwrap_or_default();
    let told = Story {
        state,
        spec: &spec,
        options,
        teller,
    };
    let limit = state.limits().request_timeout;
    tokio::select! {
        () = teller.events.closed() => {}
        ended = tokio::time::timeout(limit, told.tell(run)) => {
            let ended = ended.unwrap_or_else(|_elapsed| Err(super::run::timed_out(state, &spec)));
            if let Err(error) = ended {
                teller.send_last("error", &error.body());
            }
        }
    }
}

/// Where events go.
struct Teller {
    events: mpsc::Sender<Result<Sse, Infallible>>,
}

impl Teller {
    async fn send(&self, name: &'static str, data: &impl Serialize) {
        if let Ok(event) = Sse::default().event(name).json_data(data) {
            // A client that left is noticed by whoever waits for that.
            self.events.send(Ok(event)).await.ok();
        }
    }

    /// Waits for nobody: a client that has not read what came before does not get this, either.
    fn send_last(&self, name: &'static str, data: &impl Serialize) {
        if let Ok(event) = Sse::default().event(name).json_data(data) {
            self.events.try_send(Ok(event)).ok();
        }
    }
}

/// One request's events.
struct Story<'a> {
    state: &'a AppState,
    spec: &'a Spec<'a>,
    options: StreamOptions,
    teller: &'a Teller,
}

impl Story<'_> {
    async fn tell(&self, mut run: Run<'_>) -> Result<(), ApiError> {
        let n_images = self.spec.plan_request.n_images as usize;
        let mut decision: Option<Decision> = None;
        let mut n_finished = 0;
        let mut last = 0;
        while let Some(event) = run.event().await {
            match event {
                Event::Begun(begun) => {
                    self.plan(&begun).await;
                    decision = Some(*begun);
                }
                Event::Step {
                    picture,
                    done,
                    total,
                } if self.options.include_progress => {
                    let progress = json!({
                        "type": PROGRESS, "image_index": picture, "steps_done": done, "steps_total": total,
                    });
                    self.teller.send(PROGRESS, &progress).await;
                }
                Event::Step { .. } => {}
                Event::Partial {
                    picture,
                    number,
                    file,
                } => self.partial(picture, number, &file).await,
                Event::Picture { picture, rendered } => {
                    n_finished += 1;
                    last = picture;
                    // The last one waits for what the whole request came to.
                    if n_finished < n_images {
                        self.completed(picture, &rendered, decision.as_ref()).await;
                    }
                }
            }
        }
        let reply = run.reply().await?;
        self.ended(last, reply).await;
        Ok(())
    }

    async fn plan(&self, decision: &Decision) {
        if !self.options.include_plan {
            return;
        }
        let told = json!({
            "type": PLAN, "plan": decision.plan, "estimate": decision.estimate,
        });
        self.teller.send(PLAN, &told).await;
    }

    async fn partial(&self, picture: usize, number: u32, file: &[u8]) {
        let mut told = self.common(PARTIAL);
        told["b64_json"] = Value::from(STANDARD.encode(file));
        told["partial_image_index"] = Value::from(number);
        told["image_index"] = Value::from(picture);
        self.teller.send(PARTIAL, &told).await;
    }

    /// A picture that others follow.
    async fn completed(&self, picture: usize, rendered: &Rendered, decision: Option<&Decision>) {
        let score = decision
            .and_then(|decision| super::run::score(self.state, self.spec, decision, rendered));
        let image = ImageReply::new(rendered, score);
        self.finished_picture(picture, &image, None).await;
    }

    /// The last picture, and everything that a reply says.
    async fn ended(&self, picture: usize, mut reply: GenerateReply) {
        let images = reply.take_images();
        if let Some(image) = images.into_iter().nth(picture) {
            self.finished_picture(picture, &image, Some(&reply)).await;
        }
    }

    async fn finished_picture(
        &self,
        picture: usize,
        image: &ImageReply,
        reply: Option<&GenerateReply>,
    ) {
        let mut told = self.common(COMPLETED);
        told["image_index"] = Value::from(picture);
        for part in [serde_json::to_value(image), serde_json::to_value(reply)] {
            let Ok(Value::Object(fields)) = part else {
                continue;
            };
            for (name, value) in fields {
                if name != "data" && name != "created" {
                    told[name.as_str()] = value;
                }
            }
        }
        self.teller.send(COMPLETED, &told).await;
    }

    /// What OpenAI's events have in common.
    fn common(&self, kind: &str) -> Value {
        let request = &self.spec.plan_request;
        json!({
            "type": kind,
            "created_at": self.state.clock().unix_seconds(),
            "size": request.size,
            "quality": request.budget.quality.unwrap_or_default(),
            "background": "opaque",
            "output_format": self.spec.format,
        })
    }
}

const PARTIAL: &str = "image_generation.partial_image";
const COMPLETED: &str = "image_generation.completed";
const PLAN: &str = "image_generation.plan";
const PROGRESS: &str = "image_generation.progress";
