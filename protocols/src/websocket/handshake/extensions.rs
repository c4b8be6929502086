//! `Sec-WebSocket-Extensions` (RFC 6455, 9.1).

use crate::field_syntax::{is_token, is_token_text};

/// One extension, offered or accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::websocket) struct Extension {
    pub(in crate::websocket) name: String,
    pub(in crate::websocket) parameters: Vec<(String, Option<String>)>,
}

/// Takes the value of one header field apart; `None` if it does not follow the grammar.
pub(in crate::websocket) fn parse(value: &str) -> Option<Vec<Extension>> {
    let mut rest = Cursor(value);
    let mut extensions = Vec::new();
    loop {
        rest.skip_blanks();
        if rest.0.is_empty() {
            return Some(extensions);
        }
        // Empty elements of a list are passed over (RFC 9110, 5.6.1).
        if rest.eat(',') {
            continue;
        }
        extensions.push(extension(&mut rest)?);
        rest.skip_blanks();
        if !rest.0.is_empty() && !rest.eat(',') {
            return None;
        }
    }
}

fn extension(rest: &mut Cursor<'_>) -> Option<Extension> {
    let name = rest.token()?.to_owned();
    let mut parameters = Vec::new();
    loop {
        rest.skip_blanks();
        if !rest.eat(';') {
            return Some(Extension { name, parameters });
        }
        rest.skip_blanks();
        let name = rest.token()?.to_owned();
        rest.skip_blanks();
        let value = match rest.eat('=') {
            true => {
                rest.skip_blanks();
                Some(rest.value()?)
            }
            false => None,
        };
        parameters.push((name, value));
    }
}

struct Cursor<'v>(&'v str);

impl<'v> Cursor<'v> {
    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn eat(&mut self, wanted: char) -> bool {
        let rest = self.0.strip_prefix(wanted);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn token(&mut self) -> Option<&'v str> {
        let end = self.0.bytes().position(|byte| !is_token(byte)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// A token, or a quoted string that is one when it is unescaped (RFC 6455, 9.1).
    fn value(&mut self) -> Option<String> {
        if !self.eat('"') {
            return self.token().map(str::to_owned);
        }
        let mut value = String::new();
        let mut characters = self.0.chars();
        loop {
            match characters.next()? {
                '"' => break,
                '\\' => value.push(characters.next()?),
                character => value.push(character),
            }
        }
        self.0 = characters.as_str();
        is_token_text(value.as_bytes()).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Option<String> {
        let extensions = parse(value)?;
        let shown = extensions.iter().map(|extension| {
            let parameters = extension.parameters.iter().map(|(name, value)| match value {
                Some(value) => format!(";{name}={value}"),
                None => format!(";{name}"),
            });
            extension.name.clone() + &parameters.collect::<String>()
        });
        Some(shown.collect::<Vec<_>>().join(","))
    }

    #[test]
    fn what_follows_the_grammar() {
        for (value, expected) in [
            ("", ""),
            ("foo", "foo"),
            (" , foo ,, bar;baz=2 ,", "foo,bar;baz=2"),
            (
                "permessage-deflate; client_max_window_bits; server_max_window_bits=\"1\\0\"",
                "permessage-deflate;client_max_window_bits;server_max_window_bits=10",
            ),
            ("a;b = c;d", "a;b=c;d"),
        ] {
            assert_eq!(shown(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_does_not() {
        for value in [
            "a b",
            "a;",
            "a;=1",
            "a;b=",
            "a;b=\"",
            "a;b=\"\"",
            "a;b=\"x y\"",
            "a;b=\"\\",
            "\"a\"",
            "a=1",
            "a;b=c d",
            "\u{e4}",
        ] {
            assert_eq!(shown(value), None, "{value}");
        }
    }
}
