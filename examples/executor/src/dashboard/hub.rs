//! Pages that are open, and what they are told.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use wharf::{EventLoop, Transport as _};
use wharf_protocols::websocket::WebSocket;

use super::history::{History, Sample};
use super::sections::Sections;
use super::source::Source;

/// How often a sample for plots is taken.
const SAMPLE: Duration = Duration::from_secs(1);
/// Workers are told of no more often than this.
const WORKERS: Duration = Duration::from_millis(500);

/// All pages hear the same, at the same time. One that is slow misses what is in between: nothing is kept for it.
pub(super) struct Hub {
    event_loop: EventLoop,
    source: Rc<dyn Source>,
    interval: Duration,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    pages: BTreeMap<u64, Page>,
    next_page: u64,
    sections: Sections,
    history: History,
    /// How often pages were told something.
    ticks: u32,
    is_ticking: bool,
    /// What the next tick tells for plots.
    sample: Option<Sample>,
    message: String,
}

struct Page {
    socket: WebSocket,
    /// What it knows.
    version: u64,
    /// It has missed something; what ran meanwhile it does not hear of.
    is_behind: bool,
}

impl Hub {
    pub(super) fn new(
        event_loop: &EventLoop,
        source: Rc<dyn Source>,
        interval: Duration,
    ) -> Rc<Self> {
        let event_loop = event_loop.clone();
        let hub = Rc::new(Self { event_loop, source, interval, state: RefCell::default() });
        hub.sample();
        hub
    }

    pub(super) fn source(&self) -> &Rc<dyn Source> {
        &self.source
    }

    pub(super) fn event_loop(&self) -> &EventLoop {
        &self.event_loop
    }

    /// A page is there. It is told everything, and from then on what changes.
    pub(super) fn enter(self: &Rc<Self>, socket: &WebSocket) -> u64 {
        let mut state = self.state.borrow_mut();
        let mut overview = self.source.overview();
        state.sections.put(&mut overview, true);
        let mut message = String::from("{\"history\":");
        message.push_str(&serde_json::to_string(state.history.samples()).unwrap_or_default());
        message.push_str(",\"update\":{");
        state.sections.write_since(0, &mut message);
        message.push_str("}}");
        let _ = socket.send_text(&message);
        state.next_page += 1;
        let (number, version) = (state.next_page, state.sections.version());
        let page = Page { socket: socket.clone(), version, is_behind: false };
        state.pages.insert(number, page);
        let begins = !std::mem::replace(&mut state.is_ticking, true);
        drop(state);
        if begins {
            self.source.watch_spans(true);
            self.tick_later();
        }
        number
    }

    pub(super) fn leave(&self, page: u64) {
        self.state.borrow_mut().pages.remove(&page);
    }

    fn tick_later(self: &Rc<Self>) {
        let hub = Rc::downgrade(self);
        self.event_loop.call_later(self.interval, move || {
            if let Some(hub) = hub.upgrade() {
                hub.tick();
            }
        });
    }

    /// Tells pages what has changed; when the last one is gone, this ends.
    fn tick(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if state.pages.is_empty() {
            state.is_ticking = false;
            drop(state);
            self.source.watch_spans(false);
            return;
        }
        state.ticks = state.ticks.wrapping_add(1);
        let every = (WORKERS.as_millis() / self.interval.as_millis().max(1)).max(1) as u32;
        let with_workers = state.ticks.is_multiple_of(every);
        state.sections.put(&mut self.source.overview(), with_workers);
        let mut more = self.spans();
        if let Some(sample) = state.sample.take() {
            let _ =
                write!(more, ",\"sample\":{}", serde_json::to_string(&sample).unwrap_or_default());
        }
        state.tell_pages(&more);
        drop(state);
        self.tick_later();
    }

    /// What has run, as members of an object of JSON.
    fn spans(&self) -> String {
        let (spans, missed) = self.source.spans();
        let mut json = String::new();
        if !spans.is_empty() {
            json.push_str(",\"spans\":");
            json.push_str(&serde_json::to_string(&spans).unwrap_or_default());
        }
        if missed > 0 {
            let _ = write!(json, ",\"missed\":{missed}");
        }
        json
    }

    fn sample(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let sample = state.history.add(&self.source.overview());
        state.sample = sample.filter(|_| state.is_ticking);
        drop(state);
        let hub = Rc::downgrade(self);
        self.event_loop.call_later(SAMPLE, move || {
            if let Some(hub) = hub.upgrade() {
                hub.sample();
            }
        });
    }
}

impl State {
    fn tell_pages(&mut self, more: &str) {
        let Self { pages, sections, message, .. } = self;
        let version = sections.version();
        // Most pages know the same.
        let mut made_for = None;
        for page in pages.values_mut() {
            if page.is_slow() {
                page.is_behind = true;
                continue;
            }
            if more.is_empty() && !page.is_behind && !sections.is_newer_than(page.version) {
                page.version = version;
                continue;
            }
            let made = (page.version, page.is_behind);
            if made_for != Some(made) {
                made_for = Some(made);
                message.clear();
                message.push_str("{\"update\":{");
                sections.write_since(page.version, message);
                message.push_str(if page.is_behind { ",\"behind\":true" } else { "" });
                message.push_str(more);
                message.push_str("}}");
            }
            (page.version, page.is_behind) = (version, false);
            let _ = page.socket.send_text(message);
        }
    }
}

impl Page {
    /// It has not taken what it was told before.
    fn is_slow(&self) -> bool {
        !self.socket.is_open() || self.socket.transport().write_buffer_size() > 0
    }
}
