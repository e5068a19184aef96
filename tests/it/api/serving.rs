//! The life of a real connection, on a port of the system's choice.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc::unbounded_channel, oneshot},
    task::JoinHandle,
};

use super::toy::{Gate, Toy};

pub(super) async fn serve(toy: &Toy) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let state = toy.state.clone();
    let server = tokio::spawn(async move {
        let shutdown = async {
            stopped.await.ok();
        };
        goldilocks::api::serve(listener, state, shutdown)
            .await
            .unwrap();
    });
    (address, stop, server)
}

fn request(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST /v1/images/generations HTTP/1.1\r\nhost: here\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn write(stream: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        stream.writable().await.unwrap();
        if let Ok(written) = stream.try_write(bytes) {
            bytes = &bytes[written..];
        }
    }
}

/// Reads until the other side closes.
async fn read_all(stream: TcpStream) -> String {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        stream.readable().await.unwrap();
        match stream.try_read(&mut chunk) {
            Ok(0) => return String::from_utf8(bytes).unwrap(),
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
}

#[tokio::test]
async fn what_is_being_answered_is_finished_when_the_server_stops() {
    let (steps, waits) = std::sync::mpsc::channel();
    let (said, mut hears) = unbounded_channel();
    let toy = Toy::gated(Gate { steps: waits, said }).await;
    let (address, stop, server) = serve(&toy).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let idle = TcpStream::connect(address).await.unwrap();
    write(&stream, &request(&json!({ "prompt": "a heart" }))).await;
    assert_eq!(hears.recv().await, Some("begun"));

    stop.send(()).unwrap();
    // A connection without a request is let go; the listener is gone.
    assert_eq!(read_all(idle).await, "");
    TcpStream::connect(address).await.unwrap_err();

    drop(steps);
    let reply = read_all(stream).await;
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    assert!(
        reply.contains("connection: close") && reply.contains("b64_json"),
        "{reply}"
    );
    server.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_closes_stops_its_work() {
    let (steps, waits) = std::sync::mpsc::channel();
    let (said, mut hears) = unbounded_channel();
    let toy = Toy::gated(Gate { steps: waits, said }).await;
    let (address, stop, server) = serve(&toy).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let body = json!({ "prompt": "a heart", "model": "toy-8", "num_inference_steps": 50 });
    write(&stream, &request(&body)).await;
    assert_eq!(hears.recv().await, Some("begun"));
    drop(stream);
    while !toy
        .metrics
        .text()
        .contains("goldilocks_requests_in_flight 0")
    {
        tokio::task::yield_now().await;
    }
    steps.send(()).unwrap();
    assert_eq!(hears.recv().await, Some("stopped"));
    stop.send(()).unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_room() {
    let toy = Toy::with(&["--max-connections=1"]).await;
    let (address, stop, server) = serve(&toy).await;
    let first = TcpStream::connect(address).await.unwrap();
    let second = TcpStream::connect(address).await.unwrap();
    write(
        &second,
        b"GET /livez HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n",
    )
    .await;
    tokio::select! {
        biased;
        _ = second.readable() => panic!("the second connection was served beside the first"),
        () = async { for _ in 0..100 { tokio::task::yield_now().await; } } => {}
    }
    drop(first);
    let reply = read_all(second).await;
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    stop.send(()).unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn a_head_that_is_not_http_is_refused_without_a_body() {
    let toy = Toy::start().await;
    let (address, stop, server) = serve(&toy).await;
    let many_fields = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
    for (head, status) in [("GARBAGE\r\n\r\n", "400"), (&many_fields, "431")] {
        let stream = TcpStream::connect(address).await.unwrap();
        write(&stream, head.as_bytes()).await;
        let reply = read_all(stream).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
        assert!(reply.contains("content-length: 0\r\n"), "{reply}");
    }
    stop.send(()).unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn a_head_that_dawdles_is_cut_off() {
    let toy = Toy::with(&["--header-timeout=0.05"]).await;
    let (address, stop, server) = serve(&toy).await;
    let stream = TcpStream::connect(address).await.unwrap();
    write(&stream, b"GET /livez HTTP/1.1\r\nhost").await;
    // Returns once the server has closed the connection.
    read_all(stream).await;
    stop.send(()).unwrap();
    server.await.unwrap();
}
