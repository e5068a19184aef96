//! Whose pages may read replies in a browser?

use std::{fmt, str::FromStr};

/// Pages that may read replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigin {
    /// Every page, written `*`.
    Any,
    /// Those of one origin: scheme, host, and port if it is not the scheme's usual one.
    Only(String),
}

impl FromStr for CorsOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "*" => Ok(Self::Any),
            _ if is_origin(text) => Ok(Self::Only(text.to_owned())),
            _ => Err(format!(
                "{text:?} is not an origin; write it as browsers do, for example https://example.com or \
                 http://127.0.0.1:3000, or * for all of them"
            )),
        }
    }
}

impl fmt::Display for CorsOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "*",
            Self::Only(origin) => origin,
        })
    }
}

/// Browsers compare byte by byte: small letters, no path, not even a slash.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let word = |part: &str, others: &[u8]| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || others.contains(&b);
        !part.is_empty() && part.bytes().all(fits)
    };
    word(scheme, b"+-.") && word(host, b"-._:[]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send() {
        for text in [
            "*",
            "https://example.com",
            "http://127.0.0.1:3000",
            "http://[::1]:8080",
            "chrome-extension://abcdef",
        ] {
            assert_eq!(text.parse::<CorsOrigin>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "null",
            "example.com",
            "https://example.com/",
            "https://Example.com",
            "https://a b",
            "https://",
            "https://*.example.com",
        ] {
            let message = text.parse::<CorsOrigin>().unwrap_err();
            assert!(message.contains("https://example.com"), "{message}");
        }
    }
}
