//! The page at `/`: is it whole, does it load nothing from elsewhere, and does it stay open where keys are asked for?

use std::collections::BTreeSet;

use axum::{body::Body, http::Request};

use super::toy::{Reply, Toy};

/// Paths that a file of the page names: `playground/x` in the document, `./x` in a script.
fn named(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for quoted in text.split('"') {
        let file = quoted
            .strip_prefix("playground/")
            .or(quoted.strip_prefix("./"));
        found.extend(file.map(|name| format!("/playground/{name}")));
    }
    found
}

/// Every file of the page, found as a browser finds them: from the document on.
async fn all(toy: &Toy) -> Vec<(String, Reply)> {
    let mut waiting = BTreeSet::from(["/".to_owned()]);
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    while let Some(path) = waiting.pop_first() {
        let reply = toy.get(&path).await;
        assert_eq!(reply.status, 200, "{path}");
        seen.insert(path.clone());
        waiting.extend(named(&reply.text).difference(&seen).cloned());
        files.push((path, reply));
    }
    files
}

#[tokio::test]
async fn every_file_that_the_page_names_is_served_as_what_it_is() {
    let toy = Toy::start().await;
    let files = all(&toy).await;
    assert!(files.len() > 20, "{}", files.len());
    for (path, reply) in files {
        let wanted = match path.rsplit_once('.').map_or("html", |(_, ending)| ending) {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            other => panic!("{path} has the ending {other}"),
        };
        assert_eq!(reply.headers["content-type"], wanted, "{path}");
        assert_eq!(reply.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(reply.headers["cache-control"], "no-cache", "{path}");
    }
}

#[tokio::test]
async fn the_page_may_load_from_here_alone_and_runs_no_text_as_code() {
    let toy = Toy::start().await;
    for (path, reply) in all(&toy).await {
        let policy = reply.headers["content-security-policy"].to_str().unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        // Names of namespaces are no addresses.
        let text = reply.text.replace("http://www.w3.org/2000/svg", "");
        for elsewhere in ["http://", "https://", "\"//", "@import", "innerHTML"] {
            assert!(!text.contains(elsewhere), "{path} has {elsewhere}");
        }
        // Scripts may say `curl(`.
        let is_sheet = reply.headers["content-type"] == "text/css; charset=utf-8";
        assert!(!is_sheet || !text.contains("url("), "{path}");
        assert!(!text.contains("style=\""), "{path}");
    }
}

#[tokio::test]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let toy = Toy::start().await;
    for path in ["/", "/playground/app.js"] {
        let first = toy.get(path).await;
        let tag = first.headers["etag"].clone();
        let again = |tag: axum::http::HeaderValue| {
            let request = Request::get(path).header("if-none-match", tag);
            request.body(Body::empty()).unwrap()
        };
        let known = toy.send(again(tag.clone())).await;
        assert_eq!(
            (known.status.as_u16(), known.text.as_str()),
            (304, ""),
            "{path}"
        );
        assert_eq!(known.headers["etag"], tag);
        let other = toy
            .send(again("\"0123456789abcdef\"".parse().unwrap()))
            .await;
        assert_eq!(
            (other.status.as_u16(), other.text),
            (200, first.text),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_page_is_open_where_the_interface_needs_a_key() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a-key\n").unwrap();
    let toy = Toy::with(&[&format!("--api-key-file={}", file.path().display())]).await;
    assert!(all(&toy).await.len() > 20);
    for path in ["/v1/models", "/v1/frontier", "/metrics"] {
        toy.get(path).await.refused(401, "invalid_api_key");
    }
}

#[tokio::test]
async fn what_is_not_part_of_the_page_is_not_served() {
    let toy = Toy::start().await;
    for path in [
        "/playground/none.js",
        "/playground/..%2FCargo.toml",
        "/playground/%FF",
    ] {
        toy.get(path).await.refused(404, "route_not_found");
    }
    let text = toy.get("/metrics").await.text;
    let line = "goldilocks_requests_total{route=\"/playground/{file}\",status=\"404\"} 3";
    assert!(text.contains(line), "{text}");
}
