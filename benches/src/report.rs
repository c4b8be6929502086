//! Medians, paired ratios and tables.

use std::fmt;

/// The middle value; the mean of the two middle ones of an even number; NaN of none.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The ratio of two contenders that were measured in turn: the median and the quartiles of the
/// ratios of the rounds. What slows both in a round down cancels out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedRatio {
    /// The median of the ratios.
    pub median: f64,
    /// The lower and upper quartile of the ratios.
    pub quartiles: (f64, f64),
}

impl PairedRatio {
    /// The ratio of values to the baseline's values of the same rounds.
    pub fn new(values: &[f64], baseline: &[f64]) -> Self {
        let ratios: Vec<f64> =
            values.iter().zip(baseline).map(|(value, baseline)| value / baseline).collect();
        let quartiles = (quantile(&ratios, 0.25), quantile(&ratios, 0.75));
        Self { median: median(&ratios), quartiles }
    }
}

impl fmt::Display for PairedRatio {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.quartiles;
        write!(formatter, "{:.3} ({low:.3} to {high:.3})", self.median)
    }
}

/// The value below which a share of them is, linear between neighbours; NaN of none.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = share * last as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * place.fract()
}

/// A table in Markdown.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { rows: vec![headings.into_iter().map(Into::into).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            write!(formatter, "|")?;
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => write!(formatter, " {cell:<width$} |")?,
                    _ => write!(formatter, " {cell:>width$} |")?,
                }
            }
            writeln!(formatter)?;
            if number == 0 {
                write!(formatter, "|{}|", "-".repeat(widths[0] + 2))?;
                for width in &widths[1..] {
                    write!(formatter, "{}:|", "-".repeat(width + 1))?;
                }
                writeln!(formatter)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_any_number_in_any_order() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn paired_ratios_ignore_what_slows_a_whole_round_down() {
        let ratio = PairedRatio::new(&[2.0, 20.0, 2.2], &[1.0, 10.0, 1.0]);
        assert_eq!(ratio.median, 2.0);
        assert_eq!(ratio.to_string(), "2.000 (2.000 to 2.100)");
    }

    #[test]
    fn tables_are_aligned() {
        let mut table = Table::new(["load", "tokio"]);
        table.row(["64 B", "6.1"]);
        assert_eq!(table.to_string(), "| load | tokio |\n|------|------:|\n| 64 B |   6.1 |\n");
    }
}
