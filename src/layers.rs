//! The order of the top-level modules, as a test: each imports only what [`ROOMS`] allows.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What stands on nothing, and what everybody may import.
const GROUND: &str = "cell fence signal thread_bound time timeout";

/// The other top-level modules from the ground up, a room a line, and what each may import besides the
/// [`GROUND`]: only rooms of earlier lines, so there is no circle.
///
/// `protocol` and `transport` are one room: they are the two halves of one interface. A callback is lent a
/// transport, and a transport is given a protocol.
const ROOMS: &[(&str, &str)] = &[
    ("error", ""),
    ("address", "error"),
    ("driver", "address error"),
    ("tls", "error"),
    ("interop", "error tls"),
    ("event_loop", "address driver error"),
    ("task", "driver error event_loop"),
    ("protocol transport", "address driver error event_loop task tls"),
    ("inspect", "error event_loop task transport"),
    ("net", "address driver error event_loop protocol task tls transport"),
    ("pipe", "address driver error event_loop protocol task transport"),
    ("process", "address driver error event_loop pipe protocol task transport"),
    ("streams", "address driver error event_loop net pipe process protocol task tls transport"),
    ("hyper", "error event_loop streams task"),
    (
        "testing",
        "address driver error event_loop inspect net pipe process protocol streams task tls transport",
    ),
    ("sim", "address driver error event_loop net task testing tls"),
];

/// The one file that imports against the order. Why it does is said there.
const ENTRIES: &str = "event_loop/entries.rs";
const IMPORTS_OF_ENTRIES: &str = "net process task transport";

/// The modules that may name a kind of driver. `testing` is the memory driver's door for users.
const NAMES_DRIVERS: &str = "driver testing sim";

#[test]
fn the_table_has_no_circle() {
    let mut below: BTreeSet<&str> = BTreeSet::new();
    for (modules, imports) in ROOMS {
        for import in imports.split(' ').filter(|import| !import.is_empty()) {
            assert!(below.contains(import), "{modules} may import {import}, which is not below");
        }
        below.extend(modules.split(' '));
    }
}

#[test]
fn each_module_imports_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        if name == "lib.rs" || name == "layers.rs" {
            continue;
        }
        let imports = imports(&text);
        let forbidden = imports.iter().filter(|import| !is_allowed(&name, import));
        wrong.extend(forbidden.map(|import| format!("{name} imports {import}")));
    }
    assert!(wrong.is_empty(), "against the table in src/layers.rs:\n{}", wrong.join("\n"));
}

/// `docs/architecture.svg` has an arrow from each room to what is next below it.
#[test]
fn the_drawing_shows_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // crates.io gets the sources without the pages.
    if !root.join("docs").is_dir() {
        return;
    }
    let drawing = fs::read_to_string(root.join("docs/architecture.svg")).unwrap();
    let arrows: BTreeSet<(&str, &str)> = drawing
        .split("<path id=\"")
        .skip(1)
        .filter_map(|path| path.split('"').next()?.split_once('-'))
        .collect();
    for (from, to) in &arrows {
        let (from, to) = (format!("{from}.rs"), *to);
        assert!(to == "ground" || is_allowed(&from, to), "{from} may not import {to}");
    }
    for module in GROUND.split(' ') {
        assert!(drawing.contains(module), "{module} is not in the drawing");
    }
    for (modules, imports) in ROOMS {
        assert!(drawing.contains(&modules.replace(' ', ", ")), "{modules} is not in the drawing");
        let mut below = BTreeSet::from([modules.rsplit(' ').next().unwrap()]);
        for _ in ROOMS {
            let next: Vec<_> = arrows.iter().filter(|(from, _)| below.contains(from)).collect();
            below.extend(next.iter().map(|(_, to)| *to));
        }
        // `protocol` is in the box of `transport`.
        let is_shown = |import: &&str| !import.is_empty() && *import != "protocol";
        for import in imports.split(' ').filter(is_shown) {
            assert!(below.contains(import), "the drawing has no way from {modules} to {import}");
        }
    }
}

#[test]
fn nobody_above_the_driver_asks_which_driver_there_is() {
    const KINDS: &[&str] = &[
        "Driver::Os",
        "Driver::Memory",
        "Socket::Os",
        "Socket::Memory",
        "Socket::Pipe",
        "Listener::Os",
        "Listener::Memory",
    ];
    for (name, text) in sources() {
        if is_in(NAMES_DRIVERS, module_of(&name)) || name == "layers.rs" {
            continue;
        }
        let code = code_of(&text);
        let named: Vec<_> = KINDS.iter().filter(|kind| code.contains(*kind)).collect();
        assert!(named.is_empty(), "{name} names {named:?}: ask the driver what it can do instead");
    }
}

#[test]
fn imports_against_the_order_are_found() {
    let text = "
        // use crate::net::Server;
        #[cfg_attr(feature = \"tls-core\", doc = \"[`Info::tls`]: crate::Info::tls\")]
        use crate::driver::Key;
        use crate::{Error, Result};
        fn f() { crate::process::run() }
        #[cfg(test)]
        mod tests { use crate::testing::pair; }
    ";
    let found = imports(text);
    assert_eq!(found, ["driver", "process", "{"].map(str::to_owned).into());
    assert!(is_allowed("event_loop/tick.rs", "driver"));
    assert!(!is_allowed("event_loop/tick.rs", "process"));
    assert!(is_allowed(ENTRIES, "process"));
    assert!(!is_allowed("task/table.rs", "{"), "the crate's root hides what is imported");
    assert!(!is_allowed("driver/os/mod.rs", "transport"));
    assert!(!is_allowed("time/wheel.rs", "error"), "the ground stands on nothing");
    assert!(!is_allowed("new_module.rs", "error"), "a module has a line in the table");
    assert!(is_allowed("protocol/datagram.rs", "transport"));
}

fn is_allowed(name: &str, import: &str) -> bool {
    let module = module_of(name);
    if is_in(GROUND, module) {
        return module == import;
    }
    if is_in(GROUND, import) || (name == ENTRIES && is_in(IMPORTS_OF_ENTRIES, import)) {
        return true;
    }
    let room = ROOMS.iter().find(|(modules, _)| is_in(modules, module));
    room.is_some_and(|(modules, imports)| is_in(modules, import) || is_in(imports, import))
}

fn is_in(list: &str, name: &str) -> bool {
    list.split(' ').any(|known| known == name)
}

/// The top-level module of a file.
fn module_of(name: &str) -> &str {
    let first = name.split('/').next().unwrap_or(name);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// What follows each `crate::` in the code of a file: a module, a re-export, or a brace.
fn imports(text: &str) -> BTreeSet<String> {
    let code = code_of(text);
    let parts = code.split("crate::").skip(1);
    parts
        .map(|part| {
            let is_end = |letter: char| !letter.is_alphanumeric() && letter != '_';
            let name = &part[..part.find(is_end).unwrap_or(part.len())];
            if name.is_empty() { part.chars().take(1).collect() } else { name.to_owned() }
        })
        .collect()
}

/// Without comments, and without the unit tests, which may import anything.
fn code_of(text: &str) -> String {
    // Also what is documented only with a feature.
    let lines = text.lines().filter(|line| !line.contains("doc = \""));
    let lines = lines.map(|line| line.split("//").next().unwrap_or(line));
    let code: Vec<_> = lines.map(str::trim).collect();
    let code = code.join("\n");
    match code.find("#[cfg(test)]\nmod tests {") {
        Some(tests) => code[..tests].to_owned(),
        None => code,
    }
}

/// The names and texts of the library's files but those of unit tests.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 200, "{} files were found", files.len());
    files.sort();
    let named = files.into_iter().map(|path| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(&path).unwrap())
    });
    let is_test = |name: &str| {
        name.ends_with("tests.rs") || name.ends_with("properties.rs") || name.contains("/tests/")
    };
    named.filter(|(name, _)| !is_test(name)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
