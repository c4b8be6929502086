//! The texts of a diagram, which are drawn over all lines, and not over each other where there is another place.

use super::draw::{Way, shorter};
use super::svg::Svg;

/// Texts that are drawn last.
#[derive(Default)]
pub(super) struct Labels {
    fixed: Vec<Label>,
    along: Vec<Label>,
}

struct Label {
    class: &'static str,
    /// The best first.
    places: Vec<(f64, f64)>,
    anchor: &'static str,
    text: String,
    /// What is shown when it is pointed at.
    description: String,
}

/// Texts that are longer end earlier; all of them is in what is shown when they are pointed at.
const LONGEST: usize = 90;
/// How far on the way to the next column a text may be, the best first.
const PARTS: [f64; 5] = [0.42, 0.3, 0.54, 0.66, 0.2];

impl Labels {
    /// A text that can be nowhere else.
    pub(super) fn fixed(
        &mut self,
        class: &'static str,
        place: (f64, f64),
        anchor: &'static str,
        text: &str,
    ) {
        self.fixed.push(Label {
            class,
            places: vec![place],
            anchor,
            text: shorter(text, LONGEST),
            description: text.to_owned(),
        });
    }

    /// A text above an arrow.
    pub(super) fn along(
        &mut self,
        way: &Way,
        class: &'static str,
        text: String,
        description: String,
    ) {
        let above = |part| {
            let (x, y) = way.at(part);
            (x, y - 4.0)
        };
        let places = PARTS.map(above).to_vec();
        self.along.push(Label { class, places, anchor: "middle", text, description });
    }

    pub(super) fn draw(self, svg: &mut Svg) {
        let mut taken: Vec<Area> = Vec::new();
        for label in self.fixed.into_iter().chain(self.along) {
            let free = label.places.iter().find(|place| {
                let area = label.area(**place);
                taken.iter().all(|taken| !taken.meets(&area))
            });
            let Some(place) = free.or(label.places.first()) else { continue };
            taken.push(label.area(*place));
            svg.group(&label.description, |svg| {
                svg.text(label.class, *place, label.anchor, &label.text);
            });
        }
    }
}

impl Label {
    /// About what it covers.
    fn area(&self, (x, y): (f64, f64)) -> Area {
        let width = 6.6 * self.text.chars().count() as f64;
        let left = match self.anchor {
            "start" => x,
            "end" => x - width,
            _ => x - width / 2.0,
        };
        Area { left, right: left + width, top: y - 10.0, bottom: y + 2.0 }
    }
}

struct Area {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Area {
    fn meets(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }
}
