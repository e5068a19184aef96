//! How does a connection live? Accepted while there is room, cut off if its head dawdles, finished when the server stops.
//!
//! hyper is driven here rather than through `axum::serve`, which knows neither a time-out for
//! request heads nor a limit on connections. HTTP/1.1 only: who wants HTTP/2 or TLS has a proxy.

use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};

use tokio_io_timeout::TimeoutStream;

use super::{router::app, state::AppState};
use crate::config::Limits;

/// Waiting out a shortage of file descriptors beats spinning on it.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// A client that takes nothing of its reply for so long is cut off, and what it kept is free again.
const UNREAD: Duration = Duration::from_mins(1);

/// Serves `state` on `listener` until `shutdown` resolves, then lets what is being answered finish.
///
/// The caller owns the socket and the stop signal, and bounds the wait by dropping this future:
/// connections that are still open then are cut off.
pub async fn serve(
    listener: TcpListener,
    state: AppState,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let limits = *state.limits();
    let app = app(state);
    let room = Arc::new(Semaphore::new(limits.max_connections));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        tokio::select! {
            () = &mut shutdown => break,
            // Reaps finished connections, so that the set does not grow with the server's age.
            Some(_) = connections.join_next() => {}
            (permit, accepted) = accepted => match accepted {
                Ok((stream, _peer)) => {
                    let connection = converse(stream, app.clone(), limits, stopping.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            },
        }
    }
    drop(listener);
    stop.send_replace(true);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// Answers the requests of one connection, one after another.
async fn converse(
    stream: TcpStream,
    app: Router,
    limits: Limits,
    mut stopping: watch::Receiver<bool>,
) {
    // Replies are written whole; waiting to fill a packet would only add latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection was gone before it began");
    }
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(UNREAD));
    let stream = TokioIo::new(Box::pin(stream));
    let connection = builder.serve_connection(stream, TowerToHyperService::new(app));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // The borrow of the flag must not live on into the wait below.
        () = async { drop(stopping.wait_for(|stop| *stop).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
