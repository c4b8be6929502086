//! The first message of each side, read on its way.
//!
//! rustls's unbuffered interface does not say which name a client asked for, nor what keying material
//! is exported with under TLS 1.2. Nothing is checked here: rustls refuses what is not well-formed.

/// The first message of a side (RFC 8446, 4.1.2 and 4.1.3), collected from the records it comes in.
#[derive(Default)]
pub(crate) struct HelloReader {
    header: Vec<u8>,
    /// How much of the current record is still to come.
    fragment_left: usize,
    message: Vec<u8>,
}

/// What is known so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hello<'a> {
    /// More is to come.
    Partial,
    /// The message, with its header.
    Whole(&'a [u8]),
    /// It is no handshake message, or one that is refused.
    None,
}

/// What of a server's hello keys are made with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerHello {
    pub(crate) random: [u8; 32],
    /// The master secret depends on the whole handshake (RFC 7627).
    pub(crate) extends_master_secret: bool,
}

const RECORD_HEADER: usize = 5;
const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

const SERVER_NAME: usize = 0;
const EXTENDED_MASTER_SECRET: usize = 23;

/// What rustls takes at most.
const MOST: usize = 64 * 1024;

impl HelloReader {
    /// Takes the next bytes of the connection.
    pub(crate) fn feed(&mut self, mut input: &[u8]) -> Hello<'_> {
        loop {
            if self.fragment_left == 0 {
                let missing = RECORD_HEADER - self.header.len();
                let Some((header, rest)) = input.split_at_checked(missing) else {
                    self.header.extend_from_slice(input);
                    return Hello::Partial;
                };
                self.header.extend_from_slice(header);
                input = rest;
                let &[kind, _, _, high, low] = &*self.header else { return Hello::None };
                if kind != HANDSHAKE_RECORD {
                    return Hello::None;
                }
                self.fragment_left = usize::from(u16::from_be_bytes([high, low]));
                self.header.clear();
                if self.fragment_left == 0 {
                    // rustls refuses it.
                    return Hello::None;
                }
            }
            let taken = self.fragment_left.min(input.len());
            let (fragment, rest) = input.split_at(taken);
            self.message.extend_from_slice(fragment);
            self.fragment_left -= taken;
            input = rest;
            match message_len(&self.message) {
                Some(len) if len <= self.message.len() => {
                    return Hello::Whole(&self.message[..len]);
                }
                Some(len) if len > MOST => return Hello::None,
                _ => {}
            }
            if input.is_empty() && self.fragment_left > 0 {
                return Hello::Partial;
            }
        }
    }
}

fn message_len(message: &[u8]) -> Option<usize> {
    let &[_, a, b, c] = message.first_chunk()?;
    Some(4 + u32::from_be_bytes([0, a, b, c]) as usize)
}

/// The host name that a client asks for: the extension of RFC 6066, 3.
pub(crate) fn server_name(message: &[u8]) -> Option<String> {
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
    let mut extension = hello.extension(SERVER_NAME)?;
    let names = extension.short()?;
    let mut names = Reader(extension.take(names)?);
    let kind = names.byte()?;
    let len = names.short()?;
    let name = names.take(len)?;
    let is_host = kind == 0 && name.is_ascii();
    is_host.then(|| String::from_utf8_lossy(name).into_owned())
}

/// What a server's first message says of keys.
pub(crate) fn server_hello(message: &[u8]) -> Option<ServerHello> {
    let mut hello = Reader(message);
    if hello.byte()? != SERVER_HELLO {
        return None;
    }
    hello.take(3 + 2)?;
    let random = *hello.take(32)?.first_chunk()?;
    let session_id = hello.byte()?;
    hello.take(session_id.into())?;
    hello.take(2 + 1)?;
    let extends_master_secret = hello.extension(EXTENDED_MASTER_SECRET).is_some();
    Some(ServerHello { random, extends_master_secret })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// What is in the extension of this kind, with all extensions to come.
    fn extension(&mut self, wanted: usize) -> Option<Reader<'a>> {
        let extensions = self.short()?;
        let mut extensions = Reader(self.take(extensions)?);
        loop {
            let kind = extensions.short()?;
            let len = extensions.short()?;
            let extension = Reader(extensions.take(len)?);
            if kind == wanted {
                return Some(extension);
            }
        }
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
                let mut reader = HelloReader::default();
                let mut name = None;
                for piece in bytes.chunks(piece) {
                    assert_eq!(name, None);
                    if let Hello::Whole(whole) = reader.feed(piece) {
                        name = server_name(whole);
                    }
                }
                assert_eq!(name.as_deref(), Some("example.org"));
            }
        }
    }

    #[test]
    fn other_records_name_nobody() {
        assert_eq!(HelloReader::default().feed(&[21, 3, 3, 0, 2, 1, 0]), Hello::None);
        assert_eq!(HelloReader::default().feed(b"GET / HTTP/1.1"), Hello::None);
        assert_eq!(HelloReader::default().feed(&[22, 3, 1, 0, 0]), Hello::None);
        assert_eq!(server_name(&[2, 0, 0, 0]), None);
        assert_eq!(server_hello(&hello(b"a")), None);
    }

    #[test]
    fn a_servers_hello_says_what_keys_are_made_with() {
        let mut message = vec![2, 0, 0, 0, 3, 3];
        message.extend([9; 32]);
        message.extend([1, 5, 0xc0, 0x2b, 0]);
        let said = |message: &[u8]| server_hello(message).map(|hello| hello.extends_master_secret);
        assert_eq!(said(&message), Some(false), "no extensions");
        message.extend([0, 5, 0xff, 1, 0, 1, 0]);
        assert_eq!(said(&message), Some(false));
        let end = message.len() - 6;
        message[end] = 9;
        message.extend([0, 23, 0, 0]);
        assert_eq!(said(&message), Some(true));
        assert_eq!(server_hello(&message).unwrap().random, [9; 32]);
        assert_eq!(said(&message[..38]), None, "cut");
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
            let mut reader = HelloReader::default();
            match reader.feed(&bytes) {
                Hello::Partial => prop_assert!(reader.message.len() <= bytes.len()),
                Hello::Whole(message) => {
                    server_name(message);
                    server_hello(message);
                }
                Hello::None => {}
            }
        }
    }
}
