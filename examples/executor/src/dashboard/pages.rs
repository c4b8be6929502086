//! What does not change: the page and its parts.

/// A file of the page.
pub(super) struct Page {
    pub(super) kind: &'static str,
    pub(super) content: &'static str,
}

/// Where people sign in.
pub(super) const SIGN_IN: Page = Page { kind: HTML, content: include_str!("web/sign_in.html") };
/// The same, when the token was wrong.
pub(super) const WRONG_TOKEN: Page =
    Page { kind: HTML, content: include_str!("web/wrong_token.html") };

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// The page at a path.
pub(super) fn page(path: &str) -> Option<Page> {
    let (kind, content) = match path {
        "/" => (HTML, include_str!("web/index.html")),
        "/app.js" => (SCRIPT, include_str!("web/app.js")),
        "/detail.js" => (SCRIPT, include_str!("web/detail.js")),
        "/format.js" => (SCRIPT, include_str!("web/format.js")),
        "/live.js" => (SCRIPT, include_str!("web/live.js")),
        "/output.js" => (SCRIPT, include_str!("web/output.js")),
        "/plot.js" => (SCRIPT, include_str!("web/plot.js")),
        "/stream.js" => (SCRIPT, include_str!("web/stream.js")),
        "/tasks.js" => (SCRIPT, include_str!("web/tasks.js")),
        "/theme.js" => (SCRIPT, include_str!("web/theme.js")),
        "/workers.js" => (SCRIPT, include_str!("web/workers.js")),
        path => return public(path),
    };
    Some(Page { kind, content })
}

/// What everybody may see, to sign in.
pub(super) fn public(path: &str) -> Option<Page> {
    let (kind, content) = match path {
        "/style.css" => (STYLE, include_str!("web/style.css")),
        "/icon.svg" => (PICTURE, include_str!("web/icon.svg")),
        _ => return None,
    };
    Some(Page { kind, content })
}
