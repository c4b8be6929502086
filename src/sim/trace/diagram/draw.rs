//! A diagram as SVG.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::labels::Labels;
use super::layout::Layout;
use super::lifelines::{Condition, lifelines};
use super::svg::Svg;
use super::{TraceEvent, known_fault};
use crate::sim::fault::Fault;
use crate::sim::trace::{Delivery, Packet};

const STYLE: &str = "
svg { --page: #ffffff; --text: #1f2328; --quiet: #656d76; --line: #c4cad1; --box: #f3f5f7; --bad: #c62828; --fault: #a15c00;
  --c0: #0a62c9; --c1: #1a7f37; --c2: #8250df; --c3: #0b7a85; --c4: #b0307f; --c5: #7a6000;
  font: 12px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; }
@media (prefers-color-scheme: dark) { svg { --page: #0d1117; --text: #e6edf3; --quiet: #8b949e; --line: #3d444d; --box: #161b22;
  --bad: #ff7b72; --fault: #e3a008; --c0: #58a6ff; --c1: #56d364; --c2: #bc8cff; --c3: #39c5cf; --c4: #f778ba; --c5: #d4b106; } }
.page { fill: var(--page); }
text { fill: var(--text); paint-order: stroke; stroke: var(--page); stroke-width: 4px; stroke-linejoin: round; }
.time { fill: var(--quiet); font-size: 11px; font-variant-numeric: tabular-nums; }
.quiet { fill: var(--quiet); }
.name { font-weight: 600; font-size: 13px; stroke: none; }
.again { fill: var(--quiet); font-weight: 600; font-size: 11px; }
.box { fill: var(--box); stroke: var(--line); }
.row { stroke: var(--line); stroke-opacity: .35; }
.on { stroke: var(--line); stroke-width: 2; }
.off { stroke: var(--bad); stroke-width: 2; stroke-dasharray: 1 6; stroke-linecap: round; }
.paused { stroke: var(--fault); stroke-width: 2; stroke-dasharray: 8 6; }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); } .c4 { --c: var(--c4); } .c5 { --c: var(--c5); }
line.c { stroke: var(--c); stroke-width: 1.5; } polygon.c { fill: var(--c); }
line.lost { stroke-dasharray: 5 3; }
.cross { stroke: var(--bad); stroke-width: 2.5; stroke-linecap: round; }
text.bad { fill: var(--bad); }
.held { stroke: var(--fault); stroke-width: 2.5; }
text.fault { fill: var(--fault); font-weight: 600; }
line.fault { stroke: var(--fault); stroke-width: 1.5; stroke-dasharray: 2 3; }
.dot { fill: var(--fault); }
.end { fill: var(--quiet); }
";

/// How many colours there are for connections.
const COLOURS: usize = 6;

/// The whole picture.
pub(super) fn draw(layout: &Layout<'_>) -> String {
    let (width, height) = (layout.width, layout.height);
    let mut svg = Svg::new(width, height, "What hosts have sent to each other", STYLE);
    let (top, bottom) = (46.0, height - 36.0);
    for (_, y) in layout.times() {
        svg.line("row", (84.0, y), (width - 12.0, y));
    }
    for segment in lifelines(layout, top, bottom) {
        let class = match segment.condition {
            Condition::On => "on",
            Condition::Off => "off",
            Condition::Paused => "paused",
        };
        let x = layout.columns[&segment.host];
        svg.line(class, (x, segment.from), (x, segment.to));
    }
    let mut labels = Labels::default();
    names(layout, &mut svg, &mut labels);
    for (at, y) in layout.times() {
        svg.text("time", (80.0, y + 4.0), "end", &seconds(at));
    }
    let mut arrows = Arrows::default();
    for (event, row) in layout.selection.events.iter().zip(&layout.rows) {
        match event {
            TraceEvent::Sent { .. } => arrows.draw(layout, &mut svg, &mut labels, event, *row),
            TraceEvent::Fault { fault, .. } => {
                draw_fault(layout, &mut svg, &mut labels, fault, *row);
            }
            TraceEvent::Kernel { host, what, .. } => {
                let x = layout.columns[host] + 9.0;
                labels.fixed("quiet", (x, row + 4.0), "start", what);
            }
            TraceEvent::Ended { host, .. } => {
                let x = layout.columns[host];
                svg.rectangle("end", (x - 4.0, row - 4.0), (8.0, 8.0));
                labels.fixed("quiet", (x + 9.0, row + 4.0), "start", "a program has ended");
            }
            TraceEvent::Note { text, .. } => {
                labels.fixed("note", (92.0, row + 4.0), "start", text);
            }
        }
    }
    labels.draw(&mut svg);
    let legend = "✕ lost · ‖ waits for its link · dotted: off · dashed: stands still";
    svg.text("quiet", (92.0, height - 12.0), "start", legend);
    svg.finish()
}

/// The hosts' names, at the top and again further down, and how much is not drawn.
fn names(layout: &Layout<'_>, svg: &mut Svg, labels: &mut Labels) {
    let size = (layout.column_width - 16.0, 28.0);
    for (host, x) in &layout.columns {
        let name = layout.names.get(*host).map_or("?", String::as_str);
        let longest = (size.0 / 8.0) as usize;
        svg.group(name, |svg| {
            svg.rectangle("box", (x - size.0 / 2.0, 14.0), size);
            svg.text("name", (*x, 33.0), "middle", &shorter(name, longest));
        });
        for y in &layout.pages {
            labels.fixed("again", (*x, *y), "middle", &shorter(name, longest));
        }
    }
    let left_out = layout.selection.left_out;
    if left_out > 0 {
        let text = format!("{left_out} earlier events are not shown");
        svg.text("quiet", (92.0, 60.0), "start", &text);
    }
}

/// The arrows, which remember what was drawn before.
#[derive(Default)]
struct Arrows {
    /// The colour of each connection, by its ends.
    colours: BTreeMap<[(usize, u16); 2], usize>,
    /// Directions of connections in which something was lost.
    lossy: BTreeSet<[(usize, u16); 2]>,
}

impl Arrows {
    fn draw(
        &mut self,
        layout: &Layout<'_>,
        svg: &mut Svg,
        labels: &mut Labels,
        event: &TraceEvent,
        row: f64,
    ) {
        let &TraceEvent::Sent { at, from, from_port, to, to_port, packet, delivery } = event else {
            return;
        };
        let ends = [(from, from_port), (to, to_port)];
        let mut connection = ends;
        connection.sort_unstable();
        let next = self.colours.len() % COLOURS;
        let colour = *self.colours.entry(connection).or_insert(next);
        let mut label = match packet {
            Packet::Connect => format!("connect {from_port} → {to_port}"),
            Packet::Datagram(length) => format!("datagram, {length} bytes"),
            _ => packet.to_string(),
        };
        if self.is_again(ends, packet, delivery) {
            label.push_str(" again");
        }
        let name = |host: usize| layout.names.get(host).map_or("?", String::as_str);
        let (from_name, to_name) = (name(from), name(to));
        let mut description = format!(
            "{} s: {from_name}:{from_port} → {to_name}:{to_port}: {packet}{delivery}",
            seconds(at)
        );
        if let Delivery::After(time) = delivery {
            description.push_str(&format!(", arrives at {} s", seconds(at.saturating_add(time))));
        }
        let (x1, x2) = (layout.columns[&from], layout.columns[&to]);
        let way = Way { from: (x1, row), to: (x2, row), width: layout.column_width, colour };
        let way = match delivery {
            Delivery::After(time) => {
                Way { to: (x2, layout.arrival(row, at.saturating_add(time))), ..way }
            }
            Delivery::Lost | Delivery::Held | Delivery::LostOnArrival => way,
        };
        svg.group(&description, |svg| match delivery {
            Delivery::After(_) => way.arrives(svg),
            Delivery::Lost => way.stops(svg, true),
            Delivery::Held => way.stops(svg, false),
            Delivery::LostOnArrival => cross(svg, way.to),
        });
        match delivery {
            Delivery::LostOnArrival => {
                let anchor = if way.direction() > 0.0 { "end" } else { "start" };
                let place = (x2 - 10.0 * way.direction(), row + 4.0);
                labels.fixed("bad", place, anchor, &format!("{label} lost"));
            }
            Delivery::Lost => labels.along(&way, "bad", label, description),
            Delivery::After(_) | Delivery::Held => labels.along(&way, "label", label, description),
        }
    }

    /// Whether this was sent before, and lost.
    fn is_again(&mut self, ends: [(usize, u16); 2], packet: Packet, delivery: Delivery) -> bool {
        use Packet::{Alive, Datagram, Probe, Reset, Unreachable};
        let is_of_stream = !matches!(packet, Datagram(_) | Unreachable | Reset | Probe | Alive);
        let is_lost = matches!(delivery, Delivery::Lost | Delivery::LostOnArrival);
        let was_lost = is_of_stream && self.lossy.contains(&ends);
        if is_of_stream && is_lost {
            self.lossy.insert(ends);
        } else if is_of_stream && delivery != Delivery::Held {
            self.lossy.remove(&ends);
        }
        was_lost && delivery != Delivery::LostOnArrival
    }
}

/// From one column to another.
pub(super) struct Way {
    from: (f64, f64),
    to: (f64, f64),
    width: f64,
    colour: usize,
}

impl Way {
    fn arrives(&self, svg: &mut Svg) {
        let ((x1, y1), (x2, y2)) = (self.from, self.to);
        let class = format!("c c{}", self.colour);
        svg.line(&class, self.from, self.to);
        let length = (x2 - x1).hypot(y2 - y1).max(1.0);
        let (along_x, along_y) = ((x2 - x1) / length, (y2 - y1) / length);
        let back = (x2 - 9.0 * along_x, y2 - 9.0 * along_y);
        let side = (4.0 * along_y, -4.0 * along_x);
        let head =
            [(x2, y2), (back.0 + side.0, back.1 + side.1), (back.0 - side.0, back.1 - side.1)];
        svg.polygon(&class, &head);
    }

    /// It ends on its way: at a cross, or where it waits.
    fn stops(&self, svg: &mut Svg, is_lost: bool) {
        let (x, y) = self.at(0.62);
        svg.line(&format!("c lost c{}", self.colour), self.from, (x, y));
        if is_lost {
            cross(svg, (x, y));
        } else {
            svg.line("held", (x - 3.0, y - 6.0), (x - 3.0, y + 6.0));
            svg.line("held", (x + 3.0, y - 6.0), (x + 3.0, y + 6.0));
        }
    }

    /// So far on the way to the next column, 0 to 1.
    pub(super) fn at(&self, part: f64) -> (f64, f64) {
        let ((x1, y1), (x2, y2)) = (self.from, self.to);
        let x = x1 + self.direction() * self.width * part;
        (x, y1 + (y2 - y1) * ((x - x1) / (x2 - x1)).clamp(0.0, 1.0))
    }

    fn direction(&self) -> f64 {
        if self.to.0 < self.from.0 { -1.0 } else { 1.0 }
    }
}

fn cross(svg: &mut Svg, (x, y): (f64, f64)) {
    svg.line("cross", (x - 5.0, y - 5.0), (x + 5.0, y + 5.0));
    svg.line("cross", (x - 5.0, y + 5.0), (x + 5.0, y - 5.0));
}

/// A mark at its host, between its hosts, or over all.
fn draw_fault(layout: &Layout<'_>, svg: &mut Svg, labels: &mut Labels, text: &str, row: f64) {
    let fault = known_fault(text);
    let columns: Vec<f64> =
        fault.iter().flat_map(Fault::hosts).filter_map(|host| column(layout, host)).collect();
    match *columns {
        [x] => {
            svg.polygon("dot", &[(x, row - 7.0), (x + 7.0, row), (x, row + 7.0), (x - 7.0, row)]);
            labels.fixed("fault", (x + 12.0, row + 4.0), "start", text);
        }
        [from, to] => {
            svg.line("fault", (from, row), (to, row));
            let x = from + (layout.column_width * 0.5).copysign(to - from);
            labels.fixed("fault", (x, row + 4.0), "middle", text);
        }
        _ => {
            svg.line("fault", (84.0, row), (layout.width - 12.0, row));
            labels.fixed("fault", (92.0, row + 4.0), "start", text);
        }
    }
}

fn column(layout: &Layout<'_>, name: &str) -> Option<f64> {
    let host = layout.names.iter().position(|known| known == name)?;
    layout.columns.get(&host).copied()
}

/// Seconds with milliseconds, or with microseconds if it is not a whole number of those.
fn seconds(time: Duration) -> String {
    let (whole, micros) = (time.as_secs(), time.subsec_micros());
    match time.subsec_nanos() % 1_000_000 {
        0 => format!("{whole}.{:03}", micros / 1_000),
        _ => format!("{whole}.{micros:06}"),
    }
}

pub(super) fn shorter(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
