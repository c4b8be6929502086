use std::convert::Infallible;

use super::{Extent, PartialFrame};

/// Collects so many bytes for a protocol that is written by hand: "expect n bytes, then go on".
///
/// What lies whole in the data just received is lent from there; otherwise it is kept until all is there, and memory is
/// held only meanwhile, for as much as has arrived. Between two pieces, look whether the transport
/// [is reading](wharf::Transport::is_reading), and give back what is left if it is not: so a pause, a close and another
/// protocol take effect there. [`Delivery`](super::Delivery) does that for decoders, and minds the write buffer, too.
///
/// ```
/// use wharf::testing::Recorder;
/// use wharf::{Protocol, Result, Transport};
/// use wharf_protocols::framing::Collector;
///
/// /// Answers requests: a type, the length of a name, and the name.
/// #[derive(Default)]
/// struct Names {
///     collector: Collector,
///     /// The length that a head announced.
///     name: Option<usize>,
/// }
///
/// impl Protocol for Names {
///     fn data_received(&mut self, transport: &dyn Transport, mut data: &[u8]) -> Result {
///         while transport.is_reading() {
///             if let Some(length) = self.name {
///                 let Some(name) = self.collector.expect(length, &mut data) else { return Ok(()) };
///                 transport.write(name);
///                 self.name = None;
///             } else {
///                 let Some(head) = self.collector.expect(2, &mut data) else { return Ok(()) };
///                 self.name = Some(usize::from(head[1]));
///             }
///         }
///         transport.unread(data.len());
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let mut recorder = Recorder::new(Names::default)?;
/// recorder.receive(b"\x00\x05wh")?;
/// recorder.receive(b"arf\x00\x01!")?;
/// assert_eq!(recorder.sent()?, b"wharf!");
/// # Ok(())
/// # }
/// ```
#[doc(alias("IntNStringReceiver", "StatefulProtocol", "setRawMode", "readexactly"))]
#[derive(Clone, Debug, Default)]
pub struct Collector {
    frames: PartialFrame<(), Infallible>,
}

impl Collector {
    /// At the start of a stream.
    pub const fn new() -> Self {
        Self { frames: PartialFrame::new() }
    }

    /// Takes the next `count` bytes out of what is kept and `input`. `None`: the input was taken whole, and fewer have come.
    ///
    /// `count` is up to the caller, who must refuse what a peer may not ask for: so much memory may be held.
    pub fn expect<'a, 'i: 'a>(
        &'a mut self,
        count: usize,
        input: &mut &'i [u8],
    ) -> Option<&'a [u8]> {
        if count == 0 {
            return Some(&[]);
        }
        let Ok(bytes) = self.frames.expect(count, input);
        bytes
    }

    /// Takes whatever is there: what is kept, or else all of `input`. `None`: there is nothing.
    pub fn expect_any<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<&'a [u8]> {
        let kept = self.buffered().len();
        let count = if kept > 0 { kept } else { input.len() };
        if count == 0 { None } else { self.expect(count, input) }
    }

    /// Where in the stream the next bytes to expect begin.
    pub const fn offset(&self) -> u64 {
        self.frames.offset()
    }

    /// What is kept: the beginning of what is expected.
    pub fn buffered(&self) -> &[u8] {
        self.frames.buffered()
    }

    /// Takes out what is kept, for whoever reads the stream from here on.
    pub fn take_remainder(&mut self) -> Vec<u8> {
        self.frames.take_remainder()
    }
}

impl PartialFrame<(), Infallible> {
    /// Takes so many bytes, whatever was expected before.
    fn expect<'a, 'i: 'a>(
        &'a mut self,
        count: usize,
        input: &mut &'i [u8],
    ) -> Result<Option<&'a [u8]>, Infallible> {
        self.forget_extent();
        let frame = self.take(input, |_, _| Ok(Extent::Exactly { length: count, head: () }))?;
        Ok(frame.map(|((), bytes)| bytes))
    }
}
