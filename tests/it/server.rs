//! `goldilocks serve` as a process, and the little HTTP that it takes to ask it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

/// A server on a port of its own choice; it ends with the value.
pub(crate) struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(config: &Path, state_dir: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_goldilocks"))
            .args(["serve", "--listen=127.0.0.1:0", "--log-format=json"])
            .arg("--config")
            .arg(config)
            .arg("--state-dir")
            .arg(state_dir)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines.by_ref().find_map(|line| {
            let event: Value = serde_json::from_str(&line.ok()?).ok()?;
            event["address"].as_str().map(str::to_owned)
        });
        // Nobody reads the rest, but a full pipe would stop the server.
        thread::spawn(move || lines.for_each(drop));
        let server = Self {
            process,
            address: address.unwrap(),
        };
        server.wait_until_ready();
        server
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "another process is waited for, and there is no channel to it"
    )]
    fn wait_until_ready(&self) {
        while self.send("GET", "/readyz", "").0 != 200 {
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where it listens, as `127.0.0.1:12345`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.send("GET", path, "");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Asks for pictures.
    pub(crate) fn draw(&self, request: &Value) -> (u16, Value) {
        let (status, body) = self.send("POST", "/v1/images/generations", &request.to_string());
        (status, serde_json::from_str(&body).unwrap())
    }

    /// Tells it to stop, as orchestrators do.
    pub(crate) fn terminate(&self) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end, and returns its exit code.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.try_send(method, path, body).unwrap()
    }

    /// Sends a request; none where nobody listens or answers any more.
    pub(crate) fn try_send(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}",
            self.address
        )
        .ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        let (head, body) = reply.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?;
        Some((status.parse().unwrap(), body.to_owned()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
