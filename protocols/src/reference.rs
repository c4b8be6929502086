//! Relative references (RFC 3986, 5.2), as a redirect has them.

/// The path and the query that `reference`, without a fragment and without a host, means at `base`, a path and a query.
pub(crate) fn target_at(base: &str, reference: &str) -> String {
    let (base_path, _) = split_query(base);
    if reference.is_empty() {
        return base.to_owned();
    }
    if reference.starts_with('?') {
        return format!("{base_path}{reference}");
    }
    let (path, query) = split_query(reference);
    let before = base_path.rsplit_once('/').map_or("", |(before, _)| before);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("{before}/{path}") };
    without_dots(&path) + query
}

/// The path, and the query with its question mark.
fn split_query(target: &str) -> (&str, &str) {
    target.split_at(target.find('?').unwrap_or(target.len()))
}

/// The path without `.` and `..` (RFC 3986, 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut names = path.split('/').skip(1).peekable();
    while let Some(name) = names.next() {
        let is_last = names.peek().is_none();
        match name {
            "." | ".." => {
                if name == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            name => kept.push(name),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved() {
        for (reference, expected) in [
            ("/y?z", "/y?z"),
            ("y", "/a/y"),
            ("../y", "/y"),
            ("../../y", "/y"),
            (".", "/a/"),
            ("..", "/"),
            ("?q", "/a/b?q"),
            ("", "/a/b?c"),
            ("/to?u=http://x/../y", "/to?u=http://x/../y"),
        ] {
            assert_eq!(target_at("/a/b?c", reference), expected, "{reference}");
        }
        assert_eq!(target_at("/", "y"), "/y");
    }
}
