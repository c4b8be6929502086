//! Redirects (RFC 6455, 4.1; RFC 9110, 15.4).

use crate::reference::target_at;
use crate::websocket::{UpgradeResponse, WebSocketUrl};

/// Where the answer leads; `None`: nowhere, or from TLS to none.
pub(super) fn follow(url: &WebSocketUrl, response: &UpgradeResponse) -> Option<WebSocketUrl> {
    if !matches!(response.status(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let mut locations = response.fields().all("Location");
    let location = locations.next().filter(|_| locations.next().is_none())?;
    let next = resolve(url, location)?;
    (next.is_secure() || !url.is_secure()).then_some(next)
}

/// Leaves out what another origin must not see.
pub(super) fn keep_for(
    fields: &mut Vec<(String, String)>,
    url: &WebSocketUrl,
    next: &WebSocketUrl,
) {
    let origin =
        |url: &WebSocketUrl| (url.is_secure(), url.host().to_ascii_lowercase(), url.port());
    if origin(url) != origin(next) {
        let secrets = ["authorization", "cookie", "proxy-authorization"];
        fields.retain(|(name, _)| !secrets.iter().any(|secret| name.eq_ignore_ascii_case(secret)));
    }
}

/// `location`, as it is meant at `base`. HTTP's schemes stand for those of WebSocket.
fn resolve(base: &WebSocketUrl, location: &str) -> Option<WebSocketUrl> {
    let location = location.split('#').next().unwrap_or_default();
    let scheme = if base.is_secure() { "wss" } else { "ws" };
    if let Some(rest) = location.strip_prefix("//") {
        return format!("{scheme}://{rest}").parse().ok();
    }
    let is_absolute = location.find("://").is_some_and(|at| !location[..at].contains(['/', '?']));
    if is_absolute {
        let (scheme, rest) = location.split_once("://")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => "ws".to_owned(),
            "https" => "wss".to_owned(),
            other => other.to_owned(),
        };
        return format!("{scheme}://{rest}").parse().ok();
    }
    base.with_target(&target_at(base.target(), location))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        let base: WebSocketUrl = "ws://h:1/a/b?c".parse().unwrap();
        for (location, expected) in [
            ("ws://x/y", Some("ws://x/y")),
            ("HTTPS://x/y#f", Some("wss://x/y")),
            ("http://x:81", Some("ws://x:81/")),
            ("//x/y", Some("ws://x/y")),
            ("/y?z#f", Some("ws://h:1/y?z")),
            ("../y", Some("ws://h:1/y")),
            ("/to?u=http://x/", Some("ws://h:1/to?u=http://x/")),
            ("ftp://x/", None),
            ("http://u:p@x/", None),
            ("/a b", None),
            ("/\u{e4}", None),
            ("http://", None),
        ] {
            let resolved = resolve(&base, location).map(|url| url.to_string());
            assert_eq!(resolved.as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn secrets_stay_at_their_origin() {
        let url: WebSocketUrl = "ws://h/".parse().unwrap();
        for (next, stays) in
            [("ws://H:80/x", true), ("ws://h:81/", false), ("wss://h/", false), ("ws://i/", false)]
        {
            let field = |name: &str| (name.to_owned(), "secret".to_owned());
            let mut fields = vec![
                field("COOKIE"),
                field("X"),
                field("Authorization"),
                field("proxy-authorization"),
            ];
            keep_for(&mut fields, &url, &next.parse().unwrap());
            assert_eq!(fields.len(), if stays { 4 } else { 1 }, "{next}");
        }
    }
}
