//! The file format pcapng, as Wireshark reads it: blocks of 32-bit words, with options.

use std::net::IpAddr;
use std::time::Duration;

use super::frame::Frame;

/// Blocks, one behind the other.
#[derive(Default)]
pub(super) struct Blocks(Vec<u8>);

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const NAMES: u32 = 4;
const PACKET: u32 = 6;

/// Packets begin with the header of IP, either version.
const RAW_IP: u16 = 101;

/// Options.
const END: u16 = 0;
const COMMENT: u16 = 1;
const INTERFACE_NAME: u16 = 2;
const FLAGS: u16 = 2;
const APPLICATION: u16 = 4;
const TIME_UNIT: u16 = 9;

const NANOSECONDS: u8 = 9;
const OUTBOUND: u32 = 2;

impl Blocks {
    /// The beginning of the file. `comment`: what is to be said of it.
    pub(super) fn section(&mut self, comment: &str) {
        let mut body = Vec::new();
        body.extend(0x1a2b_3c4d_u32.to_le_bytes());
        body.extend(1_u16.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        // Of unknown length.
        body.extend(u64::MAX.to_le_bytes());
        if !comment.is_empty() {
            option(&mut body, COMMENT, text(comment).as_bytes());
        }
        option(&mut body, APPLICATION, b"wharf");
        option(&mut body, END, &[]);
        self.block(SECTION, &body);
    }

    /// The next interface: where packets are seen.
    pub(super) fn interface(&mut self, name: &str) {
        let mut body = Vec::new();
        body.extend(RAW_IP.to_le_bytes());
        body.extend([0; 2]);
        // Packets of any length.
        body.extend(0_u32.to_le_bytes());
        option(&mut body, INTERFACE_NAME, text(name).as_bytes());
        option(&mut body, TIME_UNIT, &[NANOSECONDS]);
        option(&mut body, END, &[]);
        self.block(INTERFACE, &body);
    }

    /// What addresses are called.
    pub(super) fn names<'a>(&mut self, names: impl Iterator<Item = (IpAddr, &'a str)>) {
        let mut body = Vec::new();
        for (address, name) in names {
            let (kind, mut record) = match address {
                IpAddr::V4(address) => (1_u16, address.octets().to_vec()),
                IpAddr::V6(address) => (2, address.octets().to_vec()),
            };
            record.extend(text(name).as_bytes());
            record.push(0);
            option(&mut body, kind, &record);
        }
        option(&mut body, END, &[]);
        self.block(NAMES, &body);
    }

    /// A packet that leaves an interface at a time since the Unix epoch.
    pub(super) fn packet(
        &mut self,
        interface: usize,
        at: Duration,
        frame: &Frame,
        comments: &[String],
    ) {
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        let mut body = Vec::with_capacity(frame.bytes.len() + 48);
        body.extend((interface as u32).to_le_bytes());
        body.extend(((nanos >> 32) as u32).to_le_bytes());
        body.extend((nanos as u32).to_le_bytes());
        body.extend((frame.bytes.len() as u32).to_le_bytes());
        body.extend((frame.length as u32).to_le_bytes());
        body.extend(&frame.bytes);
        pad(&mut body);
        option(&mut body, FLAGS, &OUTBOUND.to_le_bytes());
        for comment in comments {
            option(&mut body, COMMENT, text(comment).as_bytes());
        }
        option(&mut body, END, &[]);
        self.block(PACKET, &body);
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let length = (body.len() as u32 + 12).to_le_bytes();
        self.0.extend(kind.to_le_bytes());
        self.0.extend(length);
        self.0.extend(body);
        self.0.extend(length);
    }
}

/// An option, or a record of a name, which has the same form.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    pad(body);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// As much as an option takes, without what ends a text in C.
fn text(text: &str) -> String {
    let mut text = text.replace('\0', "\u{fffd}");
    let mut end = text.len().min(60_000);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
