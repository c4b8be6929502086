//! What the compiler says to programs that make common mistakes: wharf's advice has to be in it.
//!
//! Each program in `cases/` is compiled by `rustc` against the library that this test was built with. The
//! comments `//~` in it are texts of wharf's own that the error has to contain. Nothing is compared with
//! the compiler's own words, which differ from one version to the next.
#![forbid(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

#[test]
fn a_buffered_protocol_is_installed_as_buffered() {
    check("a_buffered_protocol_is_installed_as_buffered");
}

#[test]
fn a_child_process_wants_a_process_protocol() {
    check("a_child_process_wants_a_process_protocol");
}

#[test]
fn a_child_transport_cannot_be_implemented() {
    check("a_child_transport_cannot_be_implemented");
}

#[test]
fn a_datagram_transport_cannot_be_implemented() {
    check("a_datagram_transport_cannot_be_implemented");
}

#[test]
fn a_frame_protocol_is_installed_as_framed() {
    check("a_frame_protocol_is_installed_as_framed");
}

#[test]
fn a_handle_cannot_leave_its_thread() {
    check("a_handle_cannot_leave_its_thread");
}

#[test]
fn a_line_protocol_is_installed_as_lines() {
    check("a_line_protocol_is_installed_as_lines");
}

#[test]
fn a_loop_cannot_leave_its_thread() {
    check("a_loop_cannot_leave_its_thread");
}

#[test]
fn a_promise_cannot_leave_its_thread() {
    check("a_promise_cannot_leave_its_thread");
}

#[test]
fn as_buffered_is_sealed() {
    check("as_buffered_is_sealed");
}

#[test]
fn a_protocol_is_not_installed_as_buffered() {
    check("a_protocol_is_not_installed_as_buffered");
}

#[test]
fn a_transport_cannot_be_implemented() {
    check("a_transport_cannot_be_implemented");
}

#[test]
fn a_transport_is_kept_as_its_handle() {
    check("a_transport_is_kept_as_its_handle");
}

#[test]
fn an_endpoint_wants_a_datagram_protocol() {
    check("an_endpoint_wants_a_datagram_protocol");
}

#[test]
fn a_server_wants_a_factory() {
    check("a_server_wants_a_factory");
}

#[test]
fn every_case_is_checked() {
    let source = include_str!("main.rs");
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let call = format!("(\"{name}\")");
        assert!(source.contains(&call), "nobody checks {name}");
    }
}

/// Compiles a program that has to fail with the texts that it names.
fn check(name: &str) {
    let Some(library) = library() else { return };
    let path = case(name);
    let source = fs::read_to_string(&path).unwrap();
    let wanted: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("//~ ")).collect();
    assert!(!wanted.is_empty(), "{name} wants nothing");
    let errors = compile(&path, library).expect_err("it has to be refused");
    for text in wanted {
        assert!(errors.contains(text), "not in the error: {text}\n\n{errors}");
    }
}

/// The library that this test was built with; `None` where it cannot be used.
///
/// Several may be there, of other features and other compilers: it is the newest with which the control,
/// a program without a mistake, compiles.
fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let control = case("control");
        let library = candidates().into_iter().find(|library| compile(&control, library).is_ok());
        if library.is_none() {
            let what = "rustc, and the library that it has built";
            assert!(env::var_os("CI").is_none(), "this test needs {what}");
            eprintln!("not tested: it needs {what}");
        }
        library
    });
    library.as_deref()
}

/// Every build of the library beside this test, the newest first.
fn candidates() -> Vec<PathBuf> {
    let mut found: Vec<(SystemTime, PathBuf)> = fs::read_dir(dependencies())
        .unwrap()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?;
            let is_library = name.starts_with("libwharf-") && name.ends_with(".rlib");
            is_library.then(|| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))?
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

/// Checks a program; the compiler's errors if it does not compile.
fn compile(source: &Path, library: &Path) -> Result<(), String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut wharf = OsString::from("wharf=");
    wharf.push(library);
    let mut dependencies_flag = OsString::from("dependency=");
    dependencies_flag.push(dependencies());
    let output = Command::new(rustc)
        .args(["--edition", "2024", "--crate-type", "lib", "--emit", "metadata"])
        .args([
            "--color",
            "never",
            "--cap-lints",
            "allow",
            "--out-dir",
            env!("CARGO_TARGET_TMPDIR"),
        ])
        .arg("--extern")
        .arg(wharf)
        .arg("-L")
        .arg(dependencies_flag)
        .arg(source)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Where cargo has put this test, and what it was built with.
fn dependencies() -> PathBuf {
    env::current_exe().unwrap().parent().unwrap().to_owned()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics/cases")
}

fn case(name: &str) -> PathBuf {
    folder().join(name).with_extension("rs")
}
