//! What does a browser see? The playground at `/`, whose files are part of the program.
//!
//! They lie in `web/` and are served as they are: no build step, and nothing from elsewhere. The page is open where
//! keys are asked for, since it shows what the repository shows; what it asks for needs the key.

use std::sync::OnceLock;

use axum::{
    extract::{Path, rejection::PathRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use super::{error::ApiError, fields::shortened};

/// The page may run its own scripts, show what it made itself and talk to this server. Text never becomes markup.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the page.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
    /// Made from the text when it is first asked for.
    tag: OnceLock<String>,
}

/// Embeds `web/$name`.
macro_rules! asset {
    ($name:literal, $content_type:expr) => {
        Asset {
            name: $name,
            content_type: $content_type,
            text: include_str!(concat!("../../web/", $name)),
            tag: OnceLock::new(),
        }
    };
}

static PAGE: Asset = asset!("index.html", HTML);

/// What the page loads, from `/playground/`.
static ASSETS: [Asset; 26] = [
    asset!("base.css", CSS),
    asset!("parts.css", CSS),
    asset!("icon.svg", SVG),
    asset!("app.js", SCRIPT),
    asset!("compare.js", SCRIPT),
    asset!("dom.js", SCRIPT),
    asset!("drawing.js", SCRIPT),
    asset!("form.js", SCRIPT),
    asset!("frontier.js", SCRIPT),
    asset!("history.js", SCRIPT),
    asset!("key.js", SCRIPT),
    asset!("live.js", SCRIPT),
    asset!("metrics.js", SCRIPT),
    asset!("notices.js", SCRIPT),
    asset!("planview.js", SCRIPT),
    asset!("plot.js", SCRIPT),
    asset!("remedies.js", SCRIPT),
    asset!("request.js", SCRIPT),
    asset!("result.js", SCRIPT),
    asset!("scale.js", SCRIPT),
    asset!("server.js", SCRIPT),
    asset!("snippets.js", SCRIPT),
    asset!("sse.js", SCRIPT),
    asset!("stage.js", SCRIPT),
    asset!("watch.js", SCRIPT),
    asset!("words.js", SCRIPT),
];

/// Answers `GET /`.
pub(super) async fn page(headers: HeaderMap) -> Response {
    serve(&PAGE, &headers)
}

/// Answers `GET /playground/{file}`.
pub(super) async fn file(
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let known = |Path(name): Path<String>| ASSETS.iter().find(|asset| asset.name == name);
    let asset = name.ok().and_then(known);
    let asset = asset.ok_or_else(|| ApiError::UnknownRoute {
        path: shortened(uri.path()),
    })?;
    Ok(serve(asset, &headers))
}

/// A browser keeps every file and asks each time whether it is still the same, so that a new version of the
/// server never meets an old script.
fn serve(asset: &Asset, headers: &HeaderMap) -> Response {
    let tag = asset.tag.get_or_init(|| entity_tag(asset.text));
    let fixed: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let is_known = is_match(headers, tag);
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        asset.text.into_response()
    };
    for (name, value) in fixed {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let tag = HeaderValue::from_str(tag).expect("hexadecimal digits are a header value");
    response.headers_mut().insert(header::ETAG, tag);
    response
}

/// Whether the client has this version already (RFC 9110, section 13.1.2: a weak comparison).
fn is_match(headers: &HeaderMap, tag: &str) -> bool {
    let sent = headers.get_all(header::IF_NONE_MATCH);
    let mut tags = sent.iter().filter_map(|value| value.to_str().ok());
    tags.any(|list| {
        list.split(',')
            .map(str::trim)
            .any(|one| one == "*" || one.trim_start_matches("W/") == tag)
    })
}

/// The first eight bytes of the digest: files of this page are told apart, nobody forges them.
fn entity_tag(text: &str) -> String {
    let digest = Sha256::digest(text);
    let first = digest.iter().take(8);
    let number = first.fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    format!("\"{number:016x}\"")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let files = fs::read_dir(folder).unwrap();
        let files: BTreeSet<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        let embedded = ASSETS
            .iter()
            .chain([&PAGE])
            .map(|asset| asset.name.to_owned());
        assert_eq!(files, embedded.collect());
    }

    #[test]
    fn a_version_that_the_client_has_is_recognized_in_a_list() {
        let sent =
            |value: &str| HeaderMap::from_iter([(header::IF_NONE_MATCH, value.parse().unwrap())]);
        for known in ["\"ab\"", "W/\"ab\"", "\"x\", \"ab\"", "*"] {
            assert!(is_match(&sent(known), "\"ab\""), "{known}");
        }
        assert!(!is_match(&sent("\"abc\""), "\"ab\"") && !is_match(&HeaderMap::new(), "\"ab\""));
    }
}
