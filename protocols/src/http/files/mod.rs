//! Files of a directory, as answers.

mod conditions;
mod path;
mod range;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use super::server::{Body, Exchange};
use super::{Headers, HttpError, RequestHead};
use conditions::Verdict;

/// Answers requests with the files of a directory: GET and HEAD, parts (Range), and conditions (ETag, Last-Modified and the
/// If-fields; RFC 9110, 13 and 14). Contents are sent by the operating system itself.
///
/// A path names what is below the directory, or nothing: names of dots, empty ones and those that begin with a dot are not
/// found, encoded or not, and a symbolic link that leads out of it is not either. Of a directory its `index.html` is sent.
/// Whoever can write below the directory while files are asked for can put a link in a file's place: serve what others do
/// not write.
///
/// One part is sent at a time: a request for several ranges gets the whole file, as it may be (RFC 9110, 14.2), so many
/// small or overlapping ranges cost no more than one request.
///
/// Files are opened, and asked for their size, in the loop's own thread.
///
/// ```
/// use wharf::Result;
/// use wharf::testing::Recorder;
/// use wharf_protocols::http::{Exchange, Files, HttpHandler, HttpServer, RequestHead};
///
/// struct Site(Files);
///
/// impl HttpHandler for Site {
///     fn request(&mut self, request: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
///         Ok(self.0.respond(request, exchange)?)
///     }
/// }
///
/// # fn main() -> Result {
/// let files = Files::new(env!("CARGO_MANIFEST_DIR"))?;
/// let mut recorder = Recorder::new(HttpServer::new().serve_with(move || Site(files.clone())))?;
/// recorder.receive(b"GET /Cargo.toml HTTP/1.1\r\nHost: x\r\nRange: bytes=0-8\r\n\r\n")?;
/// let answer = recorder.sent()?;
/// assert!(answer.starts_with(b"HTTP/1.1 206 ") && answer.ends_with(b"[package]"));
/// recorder.receive(b"GET /%2e%2e/Cargo.toml HTTP/1.1\r\nHost: x\r\n\r\n")?;
/// assert!(recorder.sent()?.starts_with(b"HTTP/1.1 404 "));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Files {
    root: Rc<Path>,
}

impl Files {
    /// The files of `directory`.
    ///
    /// # Errors
    /// It is not there, or no directory.
    pub fn new(directory: impl AsRef<Path>) -> io::Result<Self> {
        let root = directory.as_ref().canonicalize()?;
        if !root.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { root: root.into() })
    }

    /// Answers a request on the borrowed level.
    ///
    /// # Errors
    /// As for [`Exchange::respond`].
    pub fn respond(
        &self,
        request: &RequestHead<'_>,
        exchange: &mut Exchange<'_>,
    ) -> Result<(), HttpError> {
        let found = self.find(request.method(), request.path(), request.query(), request.headers());
        let fields = found.fields();
        match &found.content {
            Content::Text(text) => exchange.respond(found.status, &fields, text.as_bytes()),
            Content::File { file, offset, count } => {
                exchange.begin(found.status, &fields, Some(*count))?;
                exchange.write_file(Rc::clone(file), *offset, *count)?;
                exchange.finish()
            }
        }
    }

    /// The answer to a request of the `http` crate.
    ///
    /// # Errors
    /// None is expected.
    pub fn response<B>(&self, request: &http::Request<B>) -> wharf::Result<http::Response<Body>> {
        let uri = request.uri();
        let headers = Headers::from_map(request.headers())?;
        let found = self.find(request.method().as_str(), uri.path(), uri.query(), headers);
        let mut response = http::Response::builder().status(found.status);
        for (name, value) in found.fields() {
            response = response.header(name, value);
        }
        let body = match found.content {
            Content::Text(text) => Body::from(text),
            Content::File { file, offset, count } => Body::file(file, offset, count),
        };
        Ok(response.body(body)?)
    }

    fn find(&self, method: &str, path: &str, query: Option<&str>, headers: Headers<'_>) -> Found {
        if method != "GET" && method != "HEAD" {
            return Found::text(
                405,
                "only GET and HEAD\n",
                Some(("Allow", "GET, HEAD".to_owned())),
            );
        }
        let place = path::below(&self.root, path).and_then(|place| self.resolved(&place));
        let Some(mut place) = place else { return Found::missing() };
        if place.is_dir() {
            if !path.ends_with('/') {
                // A path begins with one slash, as `below` has seen: it stays on this host.
                let query = query.map_or_else(String::new, |query| format!("?{query}"));
                return Found::text(301, "", Some(("Location", format!("{path}/{query}"))));
            }
            place.push("index.html");
        } else if path.ends_with('/') {
            return Found::missing();
        }
        match self.open(&place) {
            Ok((file, metadata)) => found(&place, file, &metadata, method, headers),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Found::text(403, "forbidden\n", None)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::missing(),
            // It may be there: no descriptor is left, or the disk does not answer.
            Err(_) => Found::text(503, "the file cannot be opened\n", None),
        }
    }

    /// The place with links followed, if it is still below the root.
    fn resolved(&self, place: &Path) -> Option<PathBuf> {
        place.canonicalize().ok().filter(|place| place.starts_with(&self.root))
    }

    /// Opens what is a file.
    fn open(&self, place: &Path) -> io::Result<(File, Metadata)> {
        // To open a FIFO would wait for its other end.
        let place = self.resolved(place).filter(|place| place.is_file());
        let place = place.ok_or(io::ErrorKind::NotFound)?;
        let file = File::open(place)?;
        let metadata = file.metadata()?;
        match metadata.is_file() {
            true => Ok((file, metadata)),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Files").field(&self.root).finish()
    }
}

/// An answer.
struct Found {
    status: u16,
    fields: Vec<(&'static str, String)>,
    content: Content,
}

enum Content {
    Text(&'static str),
    File { file: Rc<File>, offset: u64, count: u64 },
}

impl Found {
    fn text(status: u16, text: &'static str, field: Option<(&'static str, String)>) -> Self {
        let kind = ("Content-Type", "text/plain; charset=utf-8".to_owned());
        let fields = field.into_iter().chain((!text.is_empty()).then_some(kind)).collect();
        Self { status, fields, content: Content::Text(text) }
    }

    fn missing() -> Self {
        Self::text(404, "not found\n", None)
    }

    fn fields(&self) -> Vec<(&'static str, &[u8])> {
        self.fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect()
    }
}

fn found(
    place: &Path,
    file: File,
    metadata: &Metadata,
    method: &str,
    headers: Headers<'_>,
) -> Found {
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let length = metadata.len();
    let tag = format!("\"{:x}.{:x}-{length:x}\"", since.as_secs(), since.subsec_nanos());
    let mut fields = vec![
        ("ETag", tag.clone()),
        ("Last-Modified", httpdate::fmt_http_date(modified)),
        ("Accept-Ranges", "bytes".to_owned()),
    ];
    match conditions::check(headers, &tag, since.as_secs()) {
        Verdict::Failed => return Found { status: 412, fields, content: Content::Text("") },
        Verdict::NotModified => return Found { status: 304, fields, content: Content::Text("") },
        Verdict::Send => {}
    }
    let asked = conditions::only(headers, "range").filter(|_| method == "GET");
    let asked = asked.filter(|_| conditions::is_range_valid(headers, &tag, since.as_secs()));
    let (status, offset, count) = match asked.map(|asked| range::parse(asked, length)) {
        Some(range::Asked::Part(first, last)) => {
            fields.push(("Content-Range", format!("bytes {first}-{last}/{length}")));
            (206, first, last - first + 1)
        }
        Some(range::Asked::Nothing) => {
            let field = ("Content-Range", format!("bytes */{length}"));
            return Found::text(416, "no such range\n", Some(field));
        }
        Some(range::Asked::All) | None => (200, 0, length),
    };
    fields.push(("Content-Type", kind(place).to_owned()));
    // What a browser would guess from the content is not what was meant.
    fields.push(("X-Content-Type-Options", "nosniff".to_owned()));
    Found { status, fields, content: Content::File { file: Rc::new(file), offset, count } }
}

/// The type of a file by the end of its name.
fn kind(place: &Path) -> &'static str {
    let end = place.extension().and_then(|end| end.to_str()).unwrap_or("").to_ascii_lowercase();
    match &*end {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "md" | "log" | "toml" | "rs" => "text/plain; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "json" | "map" => "application/json",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mp3" => "audio/mpeg",
        "gz" => "application/gzip",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}
