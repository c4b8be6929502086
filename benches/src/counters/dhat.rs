//! The heap, measured by valgrind's DHAT.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::Result;

/// The command line to put before a program to have its heap measured into `output`.
pub fn wrapper(output: &Path) -> Vec<OsString> {
    let mut output_option = OsString::from("--dhat-out-file=");
    output_option.push(output);
    vec!["valgrind".into(), "-q".into(), "--tool=dhat".into(), output_option]
}

/// How many bytes the program had allocated when it had the most, as it asked for them.
///
/// # Errors
/// The file is missing or is not DHAT's.
pub fn most_bytes(output: &Path) -> Result<u64> {
    parse(&fs::read_to_string(output)?)
}

/// The sum over the places that allocate: `gb` is what a place had at the global maximum.
fn parse(output: &str) -> Result<u64> {
    let mut places = output.split("\"gb\":").skip(1).peekable();
    if places.peek().is_none() {
        return Err("DHAT wrote no places".into());
    }
    let mut most = 0;
    for place in places {
        let bytes = place.split([',', '}']).next().unwrap_or_default();
        most += bytes.trim().parse::<u64>()?;
    }
    Ok(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_what_each_place_had() {
        let output = r#"{"dhatFileVersion":2
,"pps":
 [{"tb":1072,"tbk":1,"mb":1072,"gb":1072,"gbk":1,"eb":0,"ebk":0,"fs":[1,2]}
 ,{"tb":8,"tbk":1,"mb":8,"gb":8,"gbk":1,"eb":0,"ebk":0,"fs":[3]}
 ]
}"#;
        assert_eq!(parse(output).unwrap(), 1080);
        assert!(parse("{}").is_err());
    }
}
