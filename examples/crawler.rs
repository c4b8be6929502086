//! Follows the links of a server: many pages at once, with a limit on everything.
//!
//! ```text
//! cargo run --release --example crawler -- --pages 50 https://example.org/
//! ```
//!
//! Each page is a task of one scope, so that all of them can borrow what the crawl has found out. A task that
//! finds links adds tasks; the scope ends when all of them have. A limiter holds back those that
//! are too many, and a deadline ends each that takes too long.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io::{self, IsTerminal, Write};
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::{
    CapacityLimiter, EventLoop, Result, Scope, TlsClient, move_on_after, scope, yield_now,
};

use wharf_examples::command_line::{bytes, count, missing, run, seconds};
use wharf_examples::http::{self, Response, Url};
use wharf_examples::output::Output;

const USAGE: &str = "
Fetches a page, and the pages of the same server that it links to, and so on. Shows a line for each, with
its status and length.

usage: crawler [OPTION]... URL

  --pages NUMBER     fetch so many pages at most; 100 unless given
  --at-once NUMBER   fetch so many at the same time; 8 unless given
  --timeout SECONDS  how long a page may take; 10 unless given
  --limit BYTES      how long a page may be: 500, 64k, 10Mi; 1Mi unless given
  --ca FILE          trust the certificates in FILE (PEM), and not the system's
  --progress         show on standard error how far it is, as it does at a terminal

exit code: 0 if all pages were there, 1 if not
";

/// How long whoever reads the lines has for the last of them.
const PATIENCE: Duration = Duration::from_secs(5);

/// Clears a terminal's line from the cursor on.
const CLEAR: &str = "\x1b[K";

struct Options {
    pages: usize,
    at_once: usize,
    timeout: Duration,
    limit: usize,
    has_progress: bool,
}

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let mut options = Options {
            pages: 100,
            at_once: 8,
            timeout: Duration::from_secs(10),
            limit: 1 << 20,
            has_progress: io::stderr().is_terminal(),
        };
        let (mut trust, mut url) = (TlsClient::builder().alpn(["http/1.1"]), None::<Url>);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("pages") => options.pages = arguments.value()?.parse_with(count)?,
                Arg::Long("at-once") => options.at_once = arguments.value()?.parse_with(count)?,
                Arg::Long("timeout") => options.timeout = arguments.value()?.parse_with(seconds)?,
                Arg::Long("limit") => {
                    options.limit = usize::try_from(arguments.value()?.parse_with(bytes)?.get())?;
                }
                Arg::Long("ca") => trust = trust.ca_file(arguments.value()?),
                Arg::Long("progress") => options.has_progress = true,
                Arg::Value(value) if url.is_none() => url = Some(value.parse()?),
                other => return Err(other.unexpected().into()),
            }
        }
        let url = url.ok_or_else(|| missing("a URL"))?;
        let tls = url.is_secure().then(|| trust.build()).transpose()?;
        wharf::run(async |event_loop| crawl(event_loop, options, tls, url).await)
    })
}

async fn crawl(
    event_loop: EventLoop,
    options: Options,
    tls: Option<TlsClient>,
    url: Url,
) -> Result<ExitCode> {
    let crawl = Crawl {
        limiter: CapacityLimiter::new(&event_loop, options.at_once),
        output: Output::standard_output(&event_loop).await?,
        event_loop,
        options,
        tls,
        seen: RefCell::default(),
        fetched: Cell::new(0),
        failed: Cell::new(0),
    };
    scope(async |scope| {
        crawl.add(&scope, url);
        Ok(())
    })
    .await?;
    crawl.output.finish(PATIENCE).await?;
    crawl.show_progress("\n");
    Ok(if crawl.failed.get() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What all of its tasks share.
struct Crawl {
    event_loop: EventLoop,
    options: Options,
    tls: Option<TlsClient>,
    limiter: CapacityLimiter,
    output: Output,
    /// The pages that have a task.
    seen: RefCell<HashSet<Url>>,
    fetched: Cell<usize>,
    failed: Cell<usize>,
}

impl Crawl {
    /// Adds a task for a page, unless there is one, or there are enough.
    fn add<'crawl>(&'crawl self, scope: &Scope<'crawl>, url: Url) {
        let mut seen = self.seen.borrow_mut();
        if seen.len() < self.options.pages && seen.insert(url.clone()) {
            // Boxed, since a page's task adds tasks of its own kind.
            let visit: Pin<Box<dyn Future<Output = Result> + 'crawl>> =
                Box::pin(self.visit(scope.clone(), url));
            scope.spawn(visit);
        }
    }

    /// Fetches a page, tells of it, and follows its links.
    async fn visit<'crawl>(&'crawl self, scope: Scope<'crawl>, url: Url) -> Result {
        let token = self.limiter.acquire().await?;
        let page = http::get(&self.event_loop, &url, self.tls.as_ref(), self.options.limit);
        // The time that it waits for its turn does not count.
        let page = move_on_after(self.options.timeout, page).await;
        let page = page.unwrap_or_else(|| Err("it took too long".into()));
        drop(token);
        self.fetched.set(self.fetched.get() + 1);
        // A page that cannot be had is no reason to give up on the others.
        let line = match &page {
            Ok(page) => format!("{} {:>8} {url}\n", page.status, page.body.len()),
            Err(error) => format!("---        - {url} ({error:#})\n"),
        };
        if !page.as_ref().is_ok_and(|page| page.status < 400) {
            self.failed.set(self.failed.get() + 1);
        }
        for link in page.iter().flat_map(links) {
            if let Some(next) = url.join(&link).filter(|next| next.is_beside(&url)) {
                self.add(&scope, next);
            }
        }
        self.clear_progress();
        self.output.write(line.as_bytes());
        // It is written when this round of the loop ends.
        yield_now().await;
        self.show_progress("\r");
        Ok(())
    }

    /// Says how far it is, in a line that the next one takes the place of, if `end` goes back to its beginning.
    fn show_progress(&self, end: &str) {
        if self.options.has_progress {
            let (fetched, seen) = (self.fetched.get(), self.seen.borrow().len());
            let (busy, failed) = (self.limiter.borrowed_tokens(), self.failed.get());
            let line = format!("{fetched} of {seen} pages, {busy} under way, {failed} failed");
            // Nobody may be reading: that is no failure.
            let _ = write!(io::stderr(), "{line}{CLEAR}{end}");
        }
    }

    /// Makes room for a line on standard output, which may be the same terminal.
    fn clear_progress(&self) {
        if self.options.has_progress {
            let _ = write!(io::stderr(), "{CLEAR}");
        }
    }
}

/// Where a page leads to: what its links say, and a redirect.
fn links(page: &Response) -> Vec<String> {
    let mut links: Vec<_> = page.header("location").map(str::to_owned).into_iter().collect();
    if !page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
        return links;
    }
    let text = String::from_utf8_lossy(&page.body);
    for rest in text.split("href=").skip(1) {
        let mut letters = rest.chars();
        if let Some(quote @ ('"' | '\'')) = letters.next()
            && let Some((link, _)) = letters.as_str().split_once(quote)
        {
            links.push(link.replace("&amp;", "&"));
        }
    }
    links
}
