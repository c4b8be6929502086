use std::fmt;
use std::future::Future;
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{Failure, Result};

use super::answer::stream;
use super::body::Kind;
use super::request_body::Incoming;
use super::worker::{Content, Job, Worker};
use super::{Body, BodyWriter, Exchange, HttpHandler, RequestBody};
use crate::http::headers::map_of;
use crate::http::{ContentLength, Headers, HttpError, RequestHead, Rule};

/// Answers requests by `async` functions: implemented by every function of a `http::Request<RequestBody>` that returns what
/// is an answer, or a result of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not answer requests",
    label = "`HttpServer::serve` wants an `async` function of a `http::Request<RequestBody>`",
    note = "it is called once for each request: `async |request: http::Request<RequestBody>| ..`",
    note = "a function that makes an `HttpHandler` is passed to `HttpServer::serve_with`"
)]
pub trait HttpService: 'static {
    /// The answer to `request`.
    fn answer(
        &self,
        request: http::Request<RequestBody>,
    ) -> impl Future<Output = Result<http::Response<Body>>>;
}

impl<F, R> HttpService for F
where
    F: AsyncFn(http::Request<RequestBody>) -> R + 'static,
    R: IntoAnswer,
{
    async fn answer(&self, request: http::Request<RequestBody>) -> Result<http::Response<Body>> {
        self(request).await.into_answer()
    }
}

/// What a service can return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to a request",
    label = "a service returns a `http::Response`, or a `Result` of one",
    note = "its content can be text, bytes or a `Body`: `http::Response::new(\"text\")`"
)]
pub trait IntoAnswer {
    /// Makes an answer of it. An `Err` is answered by 500, and goes to the exception handler; but for what a
    /// [`RequestBody`] fails with, which is the client's doing: that is answered by the [status of its rule](Rule::status).
    ///
    /// # Errors
    /// Its own.
    fn into_answer(self) -> Result<http::Response<Body>>;
}

impl<B: Into<Body>> IntoAnswer for http::Response<B> {
    fn into_answer(self) -> Result<http::Response<Body>> {
        Ok(self.map(Into::into))
    }
}

impl<T: IntoAnswer, E: Into<Failure>> IntoAnswer for Result<T, E> {
    fn into_answer(self) -> Result<http::Response<Body>> {
        self.map_err(Into::into)?.into_answer()
    }
}

/// The handler that calls a service in a task.
pub struct AsyncHandler<S> {
    service: Rc<S>,
    incoming: Option<Rc<Incoming>>,
    /// What runs the requests of the connection, from the first one on.
    worker: Option<Worker>,
}

impl<S: HttpService> AsyncHandler<S> {
    pub(super) fn new(service: Rc<S>) -> Self {
        Self { service, incoming: None, worker: None }
    }

    fn content_ends(&mut self, is_cut: bool) {
        if let Some(incoming) = self.incoming.take() {
            incoming.end(is_cut);
        }
    }
}

impl<S: HttpService> HttpHandler for AsyncHandler<S> {
    fn request(&mut self, head: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        // Of a request that was answered before its content had come.
        self.content_ends(true);
        let body = match head.content_length() {
            ContentLength::Exact(0) => RequestBody::empty(),
            _ => {
                let (body, incoming) = RequestBody::new(exchange.transport().handle());
                self.incoming = Some(incoming);
                body
            }
        };
        let Ok(request) = request_of(head, body) else {
            exchange.respond(400, &[], b"")?;
            return Ok(());
        };
        let answer = exchange.later()?;
        let (is_head, is_connect) = (head.method() == "HEAD", head.method() == "CONNECT");
        let content = self.incoming.clone().map(Content);
        let job = Job { request, content, answer, is_head, is_connect };
        let job = match &self.worker {
            Some(worker) => worker.take(job),
            None => Some(job),
        };
        if let Some(job) = job {
            let service = Rc::clone(&self.service);
            self.worker = Some(Worker::new(&exchange.transport().event_loop(), service, job));
        }
        Ok(())
    }

    fn data(&mut self, data: &[u8], _: &mut Exchange<'_>) -> Result {
        if let Some(incoming) = &self.incoming {
            incoming.push(data);
        }
        Ok(())
    }

    fn trailers(&mut self, trailers: Headers<'_>, _: &mut Exchange<'_>) -> Result {
        if let Some(incoming) = &self.incoming {
            incoming.set_trailers(trailers.to_map());
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Exchange<'_>) -> Result {
        self.content_ends(false);
        Ok(())
    }

    fn aborted(&mut self, _: Option<&HttpError>) {
        self.content_ends(true);
        if let Some(worker) = self.worker.take() {
            worker.cancel();
        }
    }
}

impl<S> Drop for AsyncHandler<S> {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            incoming.end(true);
        }
    }
}

impl<S> fmt::Debug for AsyncHandler<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncHandler").finish_non_exhaustive()
    }
}

fn request_of(
    head: &RequestHead<'_>,
    body: RequestBody,
) -> http::Result<http::Request<RequestBody>> {
    let target = head.target().as_bytes();
    // One copy, of which all texts of the request are parts.
    let mut fields = Bytes::from([target, head.headers().as_lines()].concat());
    let target = fields.split_to(target.len());
    let mut request = http::Request::new(body);
    *request.method_mut() = http::Method::from_bytes(head.method().as_bytes())?;
    *request.uri_mut() = http::Uri::from_maybe_shared(target)?;
    *request.version_mut() = head.version().into();
    *request.headers_mut() = map_of(fields);
    // A host in the target is the one that counts (RFC 9112, 3.2.2), and nobody should take another one for it.
    if let Some(authority) = request.uri().authority() {
        let host = http::HeaderValue::from_str(authority.as_str())?;
        request.headers_mut().insert(http::header::HOST, host);
    }
    Ok(request)
}

/// Answers a request by the service.
pub(super) async fn run<S: HttpService>(service: &S, job: Job) -> Result {
    let Job { request, content: _content, mut answer, is_head, is_connect } = job;
    let response = match service.answer(request).await {
        Ok(response) => response,
        Err(error) => {
            let rule = error.downcast_ref::<HttpError>().map(|error| error.rule);
            if let Some(rule @ (Rule::ContentTooLarge | Rule::Truncated)) = rule {
                // The client's doing: it is told, and could fill a log.
                let _ = answer.respond(rule.status(), &[], format!("{error}\n").as_bytes());
                return Ok(());
            }
            // The client may be gone; the error is the program's all the same.
            let _ = answer.respond(500, &[], b"internal error\n");
            return Err(error);
        }
    };
    let (mut parts, body) = response.into_parts();
    if is_connect && parts.status.is_success() && !matches!(body.0, Kind::Upgrade(_)) {
        // A service that answers whatever it is asked connects nobody.
        answer.respond(501, &[], b"nobody is connected\n")?;
        return Ok(());
    }
    let said = parts.headers.remove(http::header::CONTENT_LENGTH);
    parts.headers.remove(http::header::TRANSFER_ENCODING);
    let (status, headers) = (parts.status.as_u16(), Headers::from_map(&parts.headers)?);
    match body.0 {
        // An answer to HEAD has no content to be measured.
        Kind::Bytes(content) if is_head && content.is_empty() => {
            let length = said.and_then(|said| said.to_str().ok()?.parse().ok()).unwrap_or(0);
            answer.begin_with(status, headers, Some(length))?;
            answer.finish(&[])?;
        }
        Kind::Bytes(content) => answer.respond_with(status, headers, &content)?,
        Kind::File { file, offset, count } => {
            let length = file.metadata()?.len();
            if offset.checked_add(count).is_none_or(|end| end > length) {
                return Err(format!("a file of {length} bytes has no {count} at {offset}").into());
            }
            answer.begin_with(status, headers, Some(count))?;
            answer.write_file(file, offset, count)?;
            answer.finish(&[])?;
        }
        Kind::Writer { length, write } => {
            let said = said.and_then(|said| said.to_str().ok()?.parse().ok());
            answer.begin_with(status, headers, length.or(said))?;
            if is_head {
                answer.finish(&[])?;
                return Ok(());
            }
            let is_lost = answer.watch();
            let writer = BodyWriter { answer, trailers: http::HeaderMap::new() };
            let BodyWriter { mut answer, trailers } = match write(writer).await {
                Ok(writer) => writer,
                // A client that went away is no fault of the program.
                Err(_) if is_lost() => return Ok(()),
                Err(error) => return Err(error),
            };
            answer.finish_with(Headers::from_map(&trailers)?)?;
        }
        Kind::Upgrade(next) => answer.upgrade_with(status, headers, stream(next))?,
    }
    Ok(())
}
