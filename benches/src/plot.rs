//! The picture of the numbers: bars, made from the tables of `docs/numbers.md`.

mod table;

use std::fmt::Write;

use self::table::Tables;
use crate::Result;

/// The file with the tables.
pub const TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/numbers.md");

/// The picture that is drawn from it.
pub const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/numbers.svg");

/// One comparison: a row of a table.
struct Panel {
    title: &'static str,
    subtitle: &'static str,
    unit: &'static str,
    section: &'static str,
    /// How the row's first cell begins; `None` for a table with only one row.
    row: Option<&'static str>,
    /// Columns of the table, and what they are called in the picture.
    bars: &'static [(&'static str, &'static str)],
}

const PANELS: [Panel; 6] = [
    Panel {
        title: "CPU per echoed message",
        subtitle: "64 B, 1,000 connections",
        unit: "µs",
        section: "Server CPU per echoed message",
        row: Some("64 B, 1000 connections"),
        bars: &[
            ("raw-mio", "mio by hand"),
            ("wharf", WHARF),
            ("libuv", "libuv"),
            ("tokio", "tokio"),
        ],
    },
    Panel {
        title: "Own instructions per message",
        subtitle: "user space, 64 B, 50 connections",
        unit: "",
        section: "User-space instructions",
        row: Some("message, 64 B, 50 connections"),
        bars: &[
            ("raw-mio", "mio by hand"),
            ("wharf", WHARF),
            ("libuv", "libuv"),
            ("tokio", "tokio"),
        ],
    },
    Panel {
        title: "Memory per idle connection",
        subtitle: "10,000 of them, each used once",
        unit: "B",
        section: "Memory per idle connection",
        row: Some("per connection"),
        bars: &[
            ("raw-mio", "mio by hand"),
            ("wharf", WHARF),
            ("libuv", "libuv"),
            ("tokio", "tokio"),
        ],
    },
    Panel {
        title: "CPU per datagram",
        subtitle: "UDP echo, 64 B",
        unit: "µs",
        section: "Datagrams",
        row: None,
        bars: &[("wharf", WHARF), ("raw-mio", "mio by hand"), ("tokio", "tokio")],
    },
    Panel {
        title: "CPU per relayed MiB",
        subtitle: "64 KiB, 4 connections, 16 in flight",
        unit: "µs",
        section: "Relays",
        row: Some("64 KiB, 4 connections, 16 in flight"),
        bars: &[("wharf", WHARF), ("tokio-64-KiB", "tokio, 64 KiB"), ("tokio", "tokio")],
    },
    Panel {
        title: "Memory per idle TLS connection",
        subtitle: "10,000 of them, each used once",
        unit: "B",
        section: "TLS",
        row: Some("resident, 10,000 connections"),
        bars: &[
            ("tls-wharf", WHARF),
            ("tls-raw", "rustls on mio"),
            ("tls-tokio", "tokio"),
            ("tls-asyncio", "asyncio"),
        ],
    },
];

const WHARF: &str = "wharf";

const COLUMNS: usize = 3;
const PANEL_WIDTH: usize = 290;
const PANEL_HEIGHT: usize = 150;
const MARGIN: usize = 15;
const WIDTH: usize = COLUMNS * PANEL_WIDTH + MARGIN;
const HEIGHT: usize = PANELS.len() / COLUMNS * PANEL_HEIGHT + 2 * MARGIN + 12;

/// Where bars begin and how long they can be, in a panel.
const BAR_START: usize = 92;
const LONGEST_BAR: f64 = 118.0;

/// Draws the picture.
///
/// # Errors
/// A section, row or column that is not in the tables, or a cell that is no number.
pub fn draw(numbers: &str) -> Result<String> {
    let tables = Tables::parse(numbers);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<title>wharf beside mio, libuv, tokio and asyncio: shorter bars are better</title>
<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#fff" stroke="#ddd"/>
"##
    );
    for (place, panel) in PANELS.iter().enumerate() {
        let x = MARGIN + place % COLUMNS * PANEL_WIDTH;
        let y = MARGIN + place / COLUMNS * PANEL_HEIGHT;
        draw_panel(&mut svg, panel, &tables, x, y)?;
    }
    let y = HEIGHT - MARGIN;
    writeln!(
        svg,
        r##"<text x="{MARGIN}" y="{y}" fill="#666" font-size="11">Shorter is better. The rows and how they were measured: docs/numbers.md</text>"##
    )?;
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn draw_panel(svg: &mut String, panel: &Panel, tables: &Tables<'_>, x: usize, y: usize) -> Result {
    let values = panel
        .bars
        .iter()
        .map(|(column, _)| tables.number(panel.section, panel.row, column))
        .collect::<Result<Vec<_>>>()?;
    let longest = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let Panel { title, subtitle, unit, .. } = panel;
    writeln!(svg, r##"<g transform="translate({x} {y})">"##)?;
    writeln!(svg, r##"<text y="14" font-weight="bold" fill="#222">{title}</text>"##)?;
    writeln!(svg, r##"<text y="30" font-size="11" fill="#666">{subtitle}</text>"##)?;
    for (place, ((_, name), value)) in panel.bars.iter().zip(values).enumerate() {
        let (top, length) = (40 + place * 23, (value / longest * LONGEST_BAR).max(1.0));
        let (color, weight) = match *name == WHARF {
            true => ("#0b6e99", "bold"),
            false => ("#b8c4cc", "normal"),
        };
        let (base, label, after) = (top + 13, BAR_START - 6, BAR_START as f64 + length + 5.0);
        let text = with_separators(value);
        writeln!(
            svg,
            r##"<text x="{label}" y="{base}" text-anchor="end" font-weight="{weight}" fill="#222">{name}</text>"##
        )?;
        writeln!(
            svg,
            r##"<rect x="{BAR_START}" y="{top}" width="{length:.1}" height="17" fill="{color}"/>"##
        )?;
        writeln!(
            svg,
            r##"<text x="{after:.1}" y="{base}" font-weight="{weight}" fill="#222">{}</text>"##,
            format!("{text} {unit}").trim_end()
        )?;
    }
    writeln!(svg, "</g>")?;
    Ok(())
}

/// `54355` as `54,355`, and `3.94` as it is.
fn with_separators(value: f64) -> String {
    if value < 1000.0 {
        return value.to_string();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_shows_what_the_tables_say() {
        let tables = std::fs::read_to_string(TABLES).unwrap();
        let picture = std::fs::read_to_string(PICTURE).unwrap();
        let drawn = draw(&tables).unwrap();
        assert!(picture == drawn, "`cargo run -p wharf-benches --bin plot` draws it again");
    }

    #[test]
    fn thousands_are_separated() {
        for (value, text) in
            [(3.94, "3.94"), (257.0, "257"), (1000.0, "1,000"), (283152.4, "283,152")]
        {
            assert_eq!(with_separators(value), text);
        }
    }
}
