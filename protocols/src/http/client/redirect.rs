use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION,
};
use http::{Method, Uri};

use super::connect::Origin;
use super::{RequestContent, ResponseBody};
use crate::reference::target_at;

/// The request that follows a redirect (RFC 9110, 15.4); `None` if the answer is none, or is not to be followed.
pub(super) fn follow(
    parts: &http::request::Parts,
    response: &http::Response<ResponseBody>,
    content: Option<RequestContent>,
) -> Option<(http::request::Parts, RequestContent)> {
    let status = response.status().as_u16();
    let becomes_get = match status {
        301 | 302 => parts.method == Method::POST,
        303 => parts.method != Method::HEAD,
        307 | 308 => false,
        _ => return None,
    };
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let uri = resolve(&parts.uri, location)?;
    let (from, to) = (Origin::of(&parts.uri).ok()?, Origin::of(&uri).ok()?);
    if from.is_secure && !to.is_secure {
        return None;
    }
    let mut next = parts.clone();
    next.uri = uri;
    next.headers.remove(HOST);
    if from != to {
        for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
            next.headers.remove(name);
        }
    }
    if becomes_get {
        next.method = Method::GET;
        next.headers.remove(CONTENT_TYPE);
        next.headers.remove(CONTENT_ENCODING);
        return Some((next, RequestContent::empty()));
    }
    Some((next, content?))
}

/// `location`, as it is meant at `base` (RFC 3986, 5.2).
fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let scheme = base.scheme_str()?;
    let authority = base.authority()?;
    if location.contains("://") && !location.starts_with(['/', '?']) {
        return location.parse().ok();
    }
    if location.starts_with("//") {
        return format!("{scheme}:{location}").parse().ok();
    }
    let base = base.path_and_query()?.as_str();
    let path = target_at(base, location);
    format!("{scheme}://{authority}{path}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_resolved() {
        let base: Uri = "http://h:1/a/b?c".parse().unwrap();
        let cases = [
            ("http://x/y", "http://x/y"),
            ("//x/y", "http://x/y"),
            ("/y?z#f", "http://h:1/y?z"),
            ("y", "http://h:1/a/y"),
            ("../y", "http://h:1/y"),
            ("../../y", "http://h:1/y"),
            (".", "http://h:1/a/"),
            ("?q", "http://h:1/a/b?q"),
            ("", "http://h:1/a/b?c"),
            ("/to?u=http://x/", "http://h:1/to?u=http://x/"),
        ];
        for (location, uri) in cases {
            assert_eq!(
                resolve(&base, location).map(|uri| uri.to_string()).as_deref(),
                Some(uri),
                "{location}"
            );
        }
    }
}
