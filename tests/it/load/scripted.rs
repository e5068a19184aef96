//! A server that does what the prompt says, well or badly.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

/// How long `answer` takes.
pub(super) const DELAY: Duration = Duration::from_millis(20);
/// What `need a key` wants.
pub(super) const KEY: &str = "open-sesame";

type Reply = Response<BoxBody<Bytes, io::Error>>;

/// A server on a port of its own.
pub(super) struct Scripted {
    pub(super) url: String,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    connections: AtomicUsize,
    heard: Mutex<Vec<Value>>,
}

impl Scripted {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let serving = tokio::spawn(serve(listener, Arc::clone(&state)));
        Self {
            url,
            state,
            serving,
        }
    }

    /// Bodies of the requests for pictures so far.
    pub(super) fn heard(&self) -> Vec<Value> {
        self.state.heard.lock().unwrap().clone()
    }

    pub(super) fn n_connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Stops, and returns where it was.
    pub(super) async fn stop(self) -> String {
        self.serving.abort();
        self.serving.await.unwrap_err();
        self.url
    }
}

/// Connections end with the future.
async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        state.connections.fetch_add(1, Ordering::SeqCst);
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(request, Arc::clone(&state)));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move { drop(connection.await) });
    }
}

/// An error ends the connection without a reply.
async fn answer(request: Request<Incoming>, state: Arc<State>) -> io::Result<Reply> {
    let (head, body) = request.into_parts();
    match head.uri.path() {
        "/readyz" => return Ok(reply(200, &json!({}))),
        "/warming/readyz" => return Ok(reply(503, &json!({}))),
        path => assert_eq!(path, "/v1/images/generations"),
    }
    let bytes = body.collect().await.unwrap().to_bytes();
    let request: Value = serde_json::from_slice(&bytes).unwrap();
    let is_first = !state.heard.lock().unwrap().contains(&request);
    state.heard.lock().unwrap().push(request.clone());
    match request["prompt"].as_str().unwrap() {
        "answer" => {
            tokio::time::sleep(DELAY).await;
            Ok(pictures(&request))
        }
        "at once" => Ok(pictures(&request)),
        "degrade" => Ok(degraded()),
        "need a key" => {
            let key = head.headers.get("authorization");
            let is_known = key.is_some_and(|key| key == &format!("Bearer {KEY}"));
            Ok(if is_known {
                pictures(&request)
            } else {
                refusal(401, "invalid_api_key")
            })
        }
        "busy at first" if !is_first => Ok(pictures(&request)),
        "busy" | "busy at first" => Ok(busy()),
        "infeasible" => Ok(refusal(422, "budget_infeasible")),
        "hang up" => Err(io::ErrorKind::ConnectionAborted.into()),
        "stop half way" => Ok(half()),
        "babble" => Ok(Response::new(whole(b"<html>pictures</html>"))),
        "never" => std::future::pending().await,
        other => panic!("there is no script for {other:?}"),
    }
}

fn pictures(request: &Value) -> Reply {
    let picture = json!({
        "b64_json": "iVBORw0KGgo=", "seed": 1, "steps_run": 3, "degraded": false, "late": false,
    });
    let n = request["n"].as_u64().unwrap() as usize;
    reply(
        200,
        &json!({
            "data": vec![picture; n],
            "plan": { "model": "toy", "steps": 3 },
            "estimate": { "score": { "mean": 0.75, "standard_error": 0.01 } },
            "actual": { "latency_ms": 12.5, "tflops": 0.003 },
        }),
    )
}

fn degraded() -> Reply {
    reply(
        200,
        &json!({
            "data": [{ "b64_json": "", "degraded": true, "late": true }],
            "estimate": { "score": null },
        }),
    )
}

fn refusal(status: u16, code: &str) -> Reply {
    reply(
        status,
        &json!({ "error": { "message": "no", "code": code } }),
    )
}

fn busy() -> Reply {
    let mut reply = refusal(429, "overloaded");
    let headers = reply.headers_mut();
    headers.insert("retry-after", "1".parse().unwrap());
    headers.insert("retry-after-ms", "1".parse().unwrap());
    reply
}

/// Promises more than comes.
fn half() -> Reply {
    let mut reply = Response::new(BoxBody::new(Half { sent: false }));
    let headers = reply.headers_mut();
    headers.insert("content-length", "1000".parse().unwrap());
    reply
}

fn reply(status: u16, body: &Value) -> Reply {
    let mut reply = Response::new(whole(body.to_string().as_bytes()));
    *reply.status_mut() = status.try_into().unwrap();
    reply
}

fn whole(bytes: &[u8]) -> BoxBody<Bytes, io::Error> {
    let body = Full::new(Bytes::copy_from_slice(bytes));
    BoxBody::new(body.map_err(|never: Infallible| match never {}))
}

struct Half {
    sent: bool,
}

impl Body for Half {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if std::mem::replace(&mut self.sent, true) {
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
        }
        let start = Bytes::from_static(br#"{"data":[{"b64_json":"iVBO"#);
        Poll::Ready(Some(Ok(Frame::data(start))))
    }
}
