//! A task's arguments, as words of a command line.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What words of a command line mean as a task's arguments.
///
/// - No word is `null`.
/// - A word that is JSON is that value; any other is a string of it. (`7` is a number, `"7"` with its quotes a string.)
/// - One word is its value, several are an array of theirs.
/// - If each word is `NAME=VALUE`, together they are an object. A name has letters, digits, `_` and `-`.
pub(super) fn arguments(words: &[String]) -> Result<Box<RawValue>, serde_json::Error> {
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

    #[test]
    fn words_are_json_or_strings_and_several_an_array_or_an_object() {
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
            assert_eq!(arguments(&words).unwrap().get(), json, "{words:?}");
        }
    }
}
