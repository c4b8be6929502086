//! Looking up numbers in the tables of a Markdown file.

use crate::Result;

/// The tables of a file, each with the section that it is in.
pub(super) struct Tables<'a>(Vec<Table<'a>>);

struct Table<'a> {
    section: &'a str,
    head: Vec<&'a str>,
    rows: Vec<Vec<&'a str>>,
}

impl<'a> Tables<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let mut tables: Vec<Table<'a>> = Vec::new();
        let (mut section, mut in_table) = ("", false);
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix('#') {
                section = heading.trim_start_matches('#').trim();
            }
            let Some(row) = line.strip_prefix('|') else {
                in_table = false;
                continue;
            };
            let cells: Vec<_> = row.trim_end_matches('|').split('|').map(str::trim).collect();
            let is_rule = cells.iter().all(|cell| cell.chars().all(|letter| ":-".contains(letter)))
                && cells.iter().any(|cell| cell.contains('-'));
            match tables.last_mut() {
                Some(_) if is_rule => {}
                Some(table) if in_table => table.rows.push(cells),
                _ => tables.push(Table { section, head: cells, rows: Vec::new() }),
            }
            in_table = true;
        }
        Self(tables)
    }

    /// The number in the first table of `section` that has such a row and such a column. Without a
    /// name of the row, the table has to have just one.
    pub(super) fn number(&self, section: &str, row: Option<&str>, column: &str) -> Result<f64> {
        let cell = self.0.iter().filter(|table| table.section == section).find_map(|table| {
            let column = table.head.iter().position(|head| *head == column)?;
            let row = match row {
                Some(name) => table.rows.iter().find(|row| row[0].starts_with(name))?,
                None => table.rows.first().filter(|_| table.rows.len() == 1)?,
            };
            row.get(column).copied()
        });
        let place = || format!("section {section:?}, row {row:?}, column {column:?}");
        let cell = cell.ok_or_else(|| format!("there is no such cell: {}", place()))?;
        let number = cell.replace(',', "").parse();
        Ok(number.map_err(|error| format!("{cell:?} is no number ({}): {error}", place()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
# Numbers

## One

| per | a | b |
|-----|--:|--:|
| x, y | 1,234 | 0.5 |
| z | 2 | |

Words.

| a | b |
|---|---|
| 7 | 8 |

## Two

| per | a |
|-----|---|
| x | 3 |
";

    #[test]
    fn numbers_are_found_by_section_row_and_column() {
        let tables = Tables::parse(TEXT);
        assert_eq!(tables.number("One", Some("x"), "a").unwrap(), 1234.0);
        assert_eq!(tables.number("One", Some("x"), "b").unwrap(), 0.5);
        assert_eq!(tables.number("One", None, "b").unwrap(), 8.0);
        assert_eq!(tables.number("Two", Some("x"), "a").unwrap(), 3.0);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let tables = Tables::parse(TEXT);
        for (section, row, column) in [
            ("Three", Some("x"), "a"),
            ("One", Some("q"), "a"),
            ("One", Some("x"), "c"),
            ("One", Some("z"), "b"),
        ] {
            let error = tables.number(section, row, column).unwrap_err().to_string();
            assert!(error.contains(section) && error.contains(column), "{error}");
        }
    }
}
