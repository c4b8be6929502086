//! A task's arguments, as words of a command line.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::task::Kind;

/// What words of a command line mean as a task's arguments.
///
/// - No word is `null`.
/// - A word that is JSON is that value; any other is a string of it. (`7` is a number, `"7"` with its quotes a string.)
/// - One word is its value, several are an array of theirs.
/// - If each word is `NAME=VALUE`, together they are an object. A name has letters, digits, `_` and `-`.
/// - Those of a program (the kind `exec`) are its command line, all of them strings; but one that is a JSON array or object
///   is that value, and `argv=..` with others makes an object as elsewhere.
pub(super) fn arguments(kind: &Kind, words: &[String]) -> Result<Box<RawValue>, serde_json::Error> {
    if kind.as_str() == "exec" && is_command_line(words) {
        return serde_json::value::to_raw_value(words);
    }
    if let Some(members) = words.iter().map(|word| member(word)).collect::<Option<Vec<_>>>()
        && !members.is_empty()
    {
        let object: Map<String, Value> =
            members.into_iter().map(|(name, word)| (name.to_owned(), value(word))).collect();
        return serde_json::value::to_raw_value(&object);
    }
    match words {
        [] => Ok(RawValue::NULL.to_owned()),
        // As it was written: 1.50 stays so.
        [word] => RawValue::from_string(word.trim().to_owned())
            .or_else(|_| serde_json::value::to_raw_value(word)),
        words => {
            let values: Vec<_> = words.iter().map(|word| value(word)).collect();
            serde_json::value::to_raw_value(&values)
        }
    }
}

/// Whether words for `exec` are a program with its arguments, not JSON.
fn is_command_line(words: &[String]) -> bool {
    match words {
        [] => false,
        [word] if matches!(value(word), Value::Array(_) | Value::Object(_)) => false,
        words => !words.iter().any(|word| word.starts_with("argv=")),
    }
}

fn value(word: &str) -> Value {
    serde_json::from_str(word).unwrap_or_else(|_| Value::String(word.to_owned()))
}

fn member(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let may_be = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    (!name.is_empty() && name.chars().all(may_be)).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::arguments;
    use crate::task::Kind;

    #[test]
    fn words_are_json_or_strings_and_several_an_array_or_an_object() {
        let kind = Kind::new("any").unwrap();
        for (words, json) in [
            (&[][..], "null"),
            (&["7"], "7"),
            (&["\"7\""], "\"7\""),
            (&["to be or not"], "\"to be or not\""),
            (&[r#"{"a": 1.50}"#], r#"{"a": 1.50}"#),
            (&["{not json"], r#""{not json""#),
            (&["a", "7", "true"], r#"["a",7,true]"#),
            (&["a=b", "n=7", "list=[1,2]", "empty="], r#"{"a":"b","empty":"","list":[1,2],"n":7}"#),
            (&["a=b"], r#"{"a":"b"}"#),
            (&["a=b", "c"], r#"["a=b","c"]"#),
            (&["http://x/?q=1"], r#""http://x/?q=1""#),
            (&["=b"], r#""=b""#),
        ] {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(arguments(&kind, &words).unwrap().get(), json, "{words:?}");
        }
    }

    #[test]
    fn words_for_exec_are_its_command_line_unless_they_are_json() {
        let kind = Kind::new("exec").unwrap();
        for (words, json) in [
            (&["sleep", "30"][..], r#"["sleep","30"]"#),
            (&["true"], r#"["true"]"#),
            (&["env", "a=b"], r#"["env","a=b"]"#),
            (&[r#"["a", "b"]"#], r#"["a", "b"]"#),
            (&[r#"{"argv": ["a"]}"#], r#"{"argv": ["a"]}"#),
            (&["argv=[\"a\"]", "cwd=/"], r#"{"argv":["a"],"cwd":"/"}"#),
        ] {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(arguments(&kind, &words).unwrap().get(), json, "{words:?}");
        }
    }
}
