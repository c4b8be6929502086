//! The name that a client asks for.
//!
//! rustls's unbuffered interface does not say which it was, so it is read on the way. Nothing is
//! checked here: rustls refuses a hello that is not well-formed.

/// The first message of a client (RFC 8446, 4.1.2), collected from the records it comes in.
#[derive(Default)]
pub(crate) struct ClientHelloReader {
    header: Vec<u8>,
    /// How much of the current record is still to come.
    fragment_left: usize,
    message: Vec<u8>,
}

/// What is known so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// More is to come.
    Unknown,
    /// The hello is complete; `None`: it names nobody.
    Name(Option<String>),
}

const RECORD_HEADER: usize = 5;
const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// What rustls takes at most.
const MOST: usize = 64 * 1024;

impl ClientHelloReader {
    /// Takes the next bytes of the connection.
    pub(crate) fn feed(&mut self, mut input: &[u8]) -> Asked {
        loop {
            if self.fragment_left == 0 {
                let missing = RECORD_HEADER - self.header.len();
                let Some((header, rest)) = input.split_at_checked(missing) else {
                    self.header.extend_from_slice(input);
                    return Asked::Unknown;
                };
                self.header.extend_from_slice(header);
                input = rest;
                let &[kind, _, _, high, low] = &*self.header else { return Asked::Name(None) };
                if kind != HANDSHAKE_RECORD {
                    return Asked::Name(None);
                }
                self.fragment_left = usize::from(u16::from_be_bytes([high, low]));
                self.header.clear();
                if self.fragment_left == 0 {
                    // rustls refuses it.
                    return Asked::Name(None);
                }
            }
            let taken = self.fragment_left.min(input.len());
            let (fragment, rest) = input.split_at(taken);
            self.message.extend_from_slice(fragment);
            self.fragment_left -= taken;
            input = rest;
            match message_len(&self.message) {
                Some(len) if len <= self.message.len() => {
                    return Asked::Name(server_name(&self.message[..len]));
                }
                Some(len) if len > MOST => return Asked::Name(None),
                _ => {}
            }
            if input.is_empty() && self.fragment_left > 0 {
                return Asked::Unknown;
            }
        }
    }
}

fn message_len(message: &[u8]) -> Option<usize> {
    let &[_, a, b, c] = message.first_chunk()?;
    Some(4 + u32::from_be_bytes([0, a, b, c]) as usize)
}

/// The host name in the extension of RFC 6066, 3.
fn server_name(message: &[u8]) -> Option<String> {
    let mut hello = Reader(message);
    if hello.byte()? != CLIENT_HELLO {
        return None;
    }
    hello.take(3 + 2 + 32)?;
    let session_id = hello.byte()?;
    hello.take(session_id.into())?;
    let suites = hello.short()?;
    hello.take(suites)?;
    let compressions = hello.byte()?;
    hello.take(compressions.into())?;
    let extensions = hello.short()?;
    let mut extensions = Reader(hello.take(extensions)?);
    loop {
        let kind = extensions.short()?;
        let len = extensions.short()?;
        let mut extension = Reader(extensions.take(len)?);
        if kind == 0 {
            let names = extension.short()?;
            let mut names = Reader(extension.take(names)?);
            let kind = names.byte()?;
            let len = names.short()?;
            let name = names.take(len)?;
            let is_host = kind == 0 && name.is_ascii();
            return is_host.then(|| String::from_utf8_lossy(name).into_owned());
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn short(&mut self) -> Option<usize> {
        let &[high, low] = self.take(2)? else { return None };
        Some(u16::from_be_bytes([high, low]).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A hello that asks for `name`, as handshake message.
    fn hello(name: &[u8]) -> Vec<u8> {
        let mut names = vec![0];
        names.extend((name.len() as u16).to_be_bytes());
        names.extend(name);
        let mut extensions = vec![0, 43, 0, 3, 2, 3, 4, 0, 0];
        extensions.extend((names.len() as u16 + 2).to_be_bytes());
        extensions.extend((names.len() as u16).to_be_bytes());
        extensions.extend(names);
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([2, 8, 8]);
        body.extend([0, 2, 0x13, 1]);
        body.extend([1, 0]);
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let mut message = vec![1, 0];
        message.extend((body.len() as u16).to_be_bytes());
        message.extend(body);
        message
    }

    fn records(message: &[u8], fragment: usize) -> Vec<u8> {
        let mut records = Vec::new();
        for fragment in message.chunks(fragment) {
            records.extend([22, 3, 1]);
            records.extend((fragment.len() as u16).to_be_bytes());
            records.extend(fragment);
        }
        records
    }

    #[test]
    fn name_is_found_however_the_hello_is_cut() {
        let message = hello(b"example.org");
        for fragment in [1, 7, 60, 1000] {
            let bytes = records(&message, fragment);
            for piece in [1, 3, 50, bytes.len()] {
                let mut reader = ClientHelloReader::default();
                let mut asked = Asked::Unknown;
                for piece in bytes.chunks(piece) {
                    assert_eq!(asked, Asked::Unknown);
                    asked = reader.feed(piece);
                }
                assert_eq!(asked, Asked::Name(Some("example.org".to_owned())));
            }
        }
    }

    #[test]
    fn other_records_name_nobody() {
        assert_eq!(ClientHelloReader::default().feed(&[21, 3, 3, 0, 2, 1, 0]), Asked::Name(None));
        assert_eq!(ClientHelloReader::default().feed(b"GET / HTTP/1.1"), Asked::Name(None));
        assert_eq!(ClientHelloReader::default().feed(&[22, 3, 1, 0, 0]), Asked::Name(None));
    }

    proptest! {
        #[test]
        fn any_input_is_bounded_and_does_not_panic(
            input in prop::collection::vec(any::<u8>(), 0..300),
            at in 0usize..100,
        ) {
            let mut bytes = records(&hello(b"a"), 1000);
            let end = (at + input.len()).min(bytes.len());
            bytes.splice(at.min(end)..end, input);
            let mut reader = ClientHelloReader::default();
            if let Asked::Unknown = reader.feed(&bytes) {
                prop_assert!(reader.message.len() <= bytes.len());
            }
        }
    }
}
