//! The pages say what is there: their links lead somewhere, and the names in the table for those who come
//! from asyncio are names of the interface.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::guarantees::{root, rust_files};

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text).filter(|link| !link.contains("://")) {
            checked += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            if !target.exists() {
                wrong.push(format!("{}: there is no {link}", page.display()));
            } else if !anchor.is_empty() && !anchors(&target).contains(anchor) {
                wrong.push(format!("{}: no heading is {link}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 20, "only {checked} links were found");
}

#[test]
fn the_table_for_those_who_come_from_asyncio_has_names_that_exist() {
    let interface = Interface::of_the_library();
    let table = fs::read_to_string(root().join("docs/from-asyncio.md")).unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).collect();
    let mut wrong = Vec::new();
    for row in &rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [theirs, ours] = cells[..] else { panic!("a row of other than two cells: {row}") };
        let theirs = if ours.contains("the same name") { theirs } else { "" };
        for code in code_spans(theirs).chain(code_spans(ours)) {
            for name in names(code) {
                if !interface.has(name) {
                    wrong.push(format!("there is no `{name}`: {row}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows.len() > 60, "only {} rows were found", rows.len());
}

/// docs.rs builds the package, which lacks what `include` of the manifest leaves out.
#[test]
fn what_the_sources_include_is_in_the_package() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, packed) = manifest.split_once("\ninclude = [").unwrap();
    let packed = packed.split_once(']').unwrap().0;
    let source = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let included: Vec<&str> = source
        .split("include_str!(\"..")
        .skip(1)
        .map(|after| after.split_once('"').unwrap().0)
        .collect();
    assert!(included.len() >= 2, "{included:?}");
    for file in included {
        assert!(packed.contains(&format!("\"{file}\"")), "the package has no {file}");
    }
}

#[test]
fn the_page_for_contributors_lists_every_suite() {
    let page = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let mut suites = Vec::new();
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let is_suite = path.extension().is_some_and(|extension| extension == "rs");
        if is_suite || path.join("main.rs").exists() {
            suites.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    assert!(suites.len() > 8, "only {suites:?} were found");
    suites.retain(|suite| !page.contains(&format!("| `--test {suite}` |")));
    assert_eq!(suites, [""; 0], "not in CONTRIBUTING.md");
}

#[test]
fn the_pages_are_read_as_they_are_meant() {
    let text = "[a](b.md#c), [`d`](<e>) and\n```\n[no](link)\n```\n![f](g.svg)";
    assert_eq!(links(text).collect::<Vec<_>>(), ["b.md#c", "<e>", "g.svg"]);
    assert_eq!(heading_anchor("## What `x` is: a *short* story"), "what-x-is-a-short-story");
    let names = |code| names(code).collect::<Vec<_>>();
    assert_eq!(names("loop.run_forever(f)"), ["run_forever"]);
    assert_eq!(names("remove_reader"), ["remove_reader"]);
    assert_eq!(names("transport.set_protocol(Box::new(x), y)"), ["set_protocol", "Box", "new"]);
    assert_eq!(names("Eof::KeepOpen"), ["Eof"]);
    assert_eq!(names("info().tls()"), ["info", "tls"]);
}

/// Every page of the repository.
fn pages() -> Vec<PathBuf> {
    let folders = ["", "docs", "protocols", "fuzz", "benches"];
    let files = folders.iter().filter_map(|folder| fs::read_dir(root().join(folder)).ok());
    let paths = files.flatten().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// Where the links of a page lead; what stands in blocks of code is none.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| prose.split("](").skip(1)).filter_map(|after| after.split(')').next())
}

/// What can stand behind `#` for a page: its headings as GitHub makes anchors of them.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    text.lines().filter(|line| line.starts_with('#')).map(heading_anchor).collect()
}

fn heading_anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The functions that a piece of code calls, the name that it is or ends with, and the types that it names.
fn names(code: &str) -> impl Iterator<Item = &str> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = code;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find(in_name)?;
            let before = rest[..start].chars().next_back();
            let behind = &rest[start..];
            let end = behind.find(|c| !in_name(c)).unwrap_or(behind.len());
            let (name, after) = behind.split_at(end);
            // An argument or a variable is none, nor is what belongs to an enum.
            let is_first = start == 0 && rest.len() == code.len();
            let ends = after.is_empty() && (is_first || before == Some('.'));
            let is_type = name.starts_with(char::is_uppercase) && before != Some(':');
            rest = after;
            if after.starts_with('(') || ends || is_type {
                return Some(name);
            }
        }
    })
}

/// What a user can call, implement or name.
struct Interface {
    names: BTreeSet<String>,
}

impl Interface {
    fn of_the_library() -> Self {
        // Of the standard library, and of the language.
        let mut interface = Self {
            names: ["Box", "Err", "Ok", "Some", "await", "fd", "into", "to_socket_addrs"]
                .map(str::to_owned)
                .into(),
        };
        for path in rust_files(&root().join("src")) {
            interface.read(&fs::read_to_string(path).unwrap());
        }
        interface
    }

    fn read(&mut self, source: &str) {
        let mut in_trait = false;
        for line in source.lines() {
            if line.starts_with("pub trait ") {
                in_trait = true;
            } else if line == "}" {
                in_trait = false;
            }
            let line = line.trim();
            let item = match line.strip_prefix("pub ") {
                Some(item) => item,
                None if in_trait && line.starts_with("fn ") => line,
                None => continue,
            };
            let item = item.trim_start_matches("const ").trim_start_matches("async ");
            let kinds = ["fn ", "struct ", "enum ", "trait ", "type "];
            let Some(name) = kinds.iter().find_map(|kind| item.strip_prefix(kind)) else {
                continue;
            };
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
            self.names.insert(name[..end].to_owned());
        }
    }

    /// Numbers and constants (`SIGTERM`) are not looked for.
    fn has(&self, name: &str) -> bool {
        let is_constant = !name.chars().any(|c| c.is_ascii_lowercase());
        is_constant || self.names.contains(name)
    }
}
