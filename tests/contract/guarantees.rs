//! The page of guarantees and the tests belong together.
//!
//! An entry of the page is a bullet: its number, if it has one, and the promise. Bullets below it say
//! where asyncio differs, and name the tests, one a line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The numbers of the contract that the page has to speak of.
const REQUIRED: &[RangeInclusive<u32>] = &[1..=287, 289..=289, 291..=304, 325..=327];

#[test]
fn every_guarantee_names_tests_that_exist() {
    let functions = Functions::of_the_workspace();
    let mut wrong = Vec::new();
    for entry in entries() {
        if entry.tests.is_empty() && !entry.text.contains("compile-time fact") {
            wrong.push(format!("no test is named: {}", entry.text));
        }
        for (index, name) in entry.tests.iter().enumerate() {
            if !functions.is_test(name) {
                wrong.push(format!("there is no test {name}: {}", entry.text));
            }
            if entry.tests[..index].contains(name) {
                wrong.push(format!("{name} is named twice: {}", entry.text));
            }
        }
        for name in quoted_names(&entry.text) {
            if functions.is_test(name) {
                wrong.push(format!("a test stands in the text: {name}: {}", entry.text));
            } else if !functions.api.contains(name) {
                wrong.push(format!("there is no function {name}: {}", entry.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_number_of_the_contract_is_there_once() {
    let mut count: BTreeMap<u32, usize> = BTreeMap::new();
    for number in entries().iter().flat_map(|entry| numbers(&entry.text)) {
        *count.entry(number).or_default() += 1;
    }
    let missing: Vec<u32> =
        REQUIRED.iter().cloned().flatten().filter(|number| !count.contains_key(number)).collect();
    assert!(missing.is_empty(), "not in docs/guarantees.md: {missing:?}");
    let repeated: Vec<_> = count.iter().filter(|(_, times)| **times > 1).collect();
    assert!(repeated.is_empty(), "more than once in docs/guarantees.md: {repeated:?}");
}

/// Tables and pictures are each in one line.
#[test]
fn no_line_of_the_documentation_is_longer_than_140_columns() {
    let mut wrong = Vec::new();
    for folder in [root().to_owned(), root().join("docs")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).unwrap();
                let lines = text.lines().filter(|line| !line.starts_with(['|', '!']));
                let long = lines.filter(|line| line.chars().count() > 140);
                wrong.extend(long.map(|line| format!("{}: {line}", path.display())));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A backslash that is lost at the end of a line leaves the indentation of the next in the text.
#[test]
fn no_text_has_a_gap_in_it() {
    let mut wrong = Vec::new();
    for path in rust_files(&root().join("src")) {
        let source = fs::read_to_string(&path).unwrap();
        let lines = source.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        let gaps = lines.filter(|line| line.contains('"') && line.contains("   "));
        wrong.extend(gaps.map(|line| format!("{}: {line}", path.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_of_drops_names_every_public_type() {
    let source = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let (_, section) = source.split_once("//! # What dropping does").expect("the section");
    let (section, _) = section.split_once("//! # ").expect("another section");
    let named: BTreeSet<&str> = words(section).collect();
    // Nothing of them is ever dropped as such.
    let traits = [
        "BufferedProtocol",
        "DatagramProtocol",
        "DatagramTransport",
        "ProcessProtocol",
        "ProcessTransport",
        "Protocol",
        "ProtocolFactory",
        "Transport",
    ];
    let (api, _) = source.split_once("struct Readme;").expect("the interface");
    let exports = api.split("pub use ").skip(1).filter_map(|export| export.split(';').next());
    let types = exports.flat_map(words).filter(|name| name.starts_with(char::is_uppercase));
    let missing: Vec<&str> =
        types.filter(|name| !named.contains(name) && !traits.contains(name)).collect();
    assert_eq!(missing, [""; 0]);
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

#[test]
fn the_page_is_read_as_it_is_meant() {
    let page = "
## A heading
- **81, 83-85.** Some `call_soon` text,
  `data_received()`.
  - *Differs:* a reason
    of two lines.
  - `a_test_name`
  - `another_one`
- Nothing 1 here.
";
    let read = entries_of(page);
    assert_eq!(read.len(), 2);
    assert_eq!(numbers(&read[0].text), [81, 83, 84, 85]);
    assert!(read[0].text.ends_with("`data_received()`. - *Differs:* a reason of two lines."));
    assert_eq!(quoted_names(&read[0].text).collect::<Vec<_>>(), ["call_soon"]);
    assert_eq!(read[0].tests, ["a_test_name", "another_one"]);
    assert!(numbers(&read[1].text).is_empty() && read[1].tests.is_empty());
    let mut functions = Functions::default();
    functions.read("pub fn api() {}\n#[cfg(x)]\n#[test]\n#[ignore]\nfn checks() {}\n", false);
    functions.read("fn helper<T>() {}", true);
    assert!(functions.api.contains("api") && !functions.tests.contains("api"));
    assert!(functions.is_test("checks") && functions.is_test("helper"));
    functions.read("fn helper() {}", false);
    assert!(!functions.is_test("helper"), "what the library has, too, is no test");
    assert!(!entries().is_empty());
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(root().join("docs/guarantees.md")).unwrap()
}

/// A promise.
struct Entry {
    /// Its number, the promise and where asyncio differs, in one line.
    text: String,
    tests: Vec<String>,
}

fn entries() -> Vec<Entry> {
    entries_of(&page())
}

fn entries_of(page: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut in_entry = false;
    for line in page.lines() {
        if line.starts_with("- ") {
            entries.push(Entry { text: line.to_owned(), tests: Vec::new() });
            in_entry = true;
        } else if in_entry && line.starts_with("  ") {
            let entry = entries.last_mut().unwrap();
            let test = line.strip_prefix("  - `").and_then(|line| line.strip_suffix('`'));
            match test.filter(|test| !test.contains(['`', ' '])) {
                Some(test) => entry.tests.push(test.to_owned()),
                None => {
                    entry.text.push(' ');
                    entry.text.push_str(line.trim());
                }
            }
        } else {
            in_entry = false;
        }
    }
    entries
}

/// The numbers at the beginning of an entry: `- **3.**`, `- **3, 5.**`, `- **3-5.**`.
fn numbers(entry: &str) -> Vec<u32> {
    let Some(text) = entry.strip_prefix("- **") else { return Vec::new() };
    let end = text.find(|c: char| !c.is_ascii_digit() && !", -–".contains(c));
    let mut numbers = Vec::new();
    for part in text[..end.unwrap_or(text.len())].split([',', ' ']) {
        let mut ends = part.split(['-', '–']).filter_map(|number| number.parse::<u32>().ok());
        if let Some(first) = ends.next() {
            numbers.extend(first..=ends.next().unwrap_or(first));
        }
    }
    numbers
}

/// What stands between back-quotes and looks like the name of a test or of a function: small
/// letters, digits, and at least one underscore.
fn quoted_names(entry: &str) -> impl Iterator<Item = &str> {
    entry.split('`').skip(1).step_by(2).filter(|quoted| {
        let small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        quoted.contains('_') && quoted.chars().all(small)
    })
}

/// The functions of the sources, by name, and the public fields.
#[derive(Default)]
struct Functions {
    /// Those in `tests/`, and the unit tests elsewhere.
    tests: BTreeSet<String>,
    api: BTreeSet<String>,
}

impl Functions {
    /// Tests implement traits, whose methods are no tests.
    fn is_test(&self, name: &str) -> bool {
        self.tests.contains(name) && !self.api.contains(name)
    }

    fn of_the_workspace() -> Self {
        let mut functions = Self::default();
        for (folder, all_are_tests) in [
            ("tests", true),
            ("examples/tests", true),
            ("examples/executor/tests", true),
            ("protocols/tests", true),
            ("src", false),
            ("examples/executor/src", false),
            ("protocols/src", false),
        ] {
            for file in rust_files(&root().join(folder)) {
                functions.read(&fs::read_to_string(file).unwrap(), all_are_tests);
            }
        }
        functions
    }

    fn read(&mut self, source: &str, all_are_tests: bool) {
        let mut marked = false;
        for line in source.lines().map(str::trim) {
            if line.starts_with("#[test]") {
                marked = true;
            } else if let Some(name) = function_name(line) {
                let tests = marked || all_are_tests;
                if tests { &mut self.tests } else { &mut self.api }.insert(name.to_owned());
                marked = false;
            } else if let Some((name, _)) =
                line.strip_prefix("pub ").and_then(|line| line.split_once(':'))
            {
                self.api.insert(name.to_owned());
            }
        }
    }
}

/// The name of the function that `line` begins to define, whatever stands before `fn`.
fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let qualifier =
        |word: &str| matches!(word, "pub" | "pub(crate)" | "pub(super)" | "async" | "const");
    if !before.split_whitespace().all(qualifier) {
        return None;
    }
    let end = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    (end > 0).then(|| &after[..end])
}

pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    // Not every package has every folder.
    let Ok(listing) = fs::read_dir(folder) else { return files };
    for entry in listing {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
