//! The client: `async`, one request at a time.

use wharf::{Error, EventLoop, Result};
use wharf_protocols::framing::{FramedReader, FramedWriter};

use crate::{Message, MessageDecoder, MessageEncoder};

/// A connection to a server of counters. Dropping it closes it.
#[derive(Debug)]
pub struct Client {
    messages: FramedReader<MessageDecoder>,
    writer: FramedWriter<MessageEncoder>,
}

impl Client {
    /// Connects to a server.
    ///
    /// # Errors
    /// Those of the connect.
    pub async fn connect(event_loop: &EventLoop, address: &str) -> Result<Self> {
        let (reader, writer) = event_loop.open_connection(address).await?;
        Ok(Self {
            messages: FramedReader::new(reader, MessageDecoder::default()),
            writer: FramedWriter::new(writer, MessageEncoder),
        })
    }

    /// Adds to a counter, and returns what it has then.
    ///
    /// # Errors
    /// The name is not allowed, the server refuses, or the connection ends.
    pub async fn add(&mut self, name: &str, amount: u32) -> Result<u64> {
        self.ask(&Message::Add { amount, name }).await
    }

    /// What a counter has.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub async fn get(&mut self, name: &str) -> Result<u64> {
        self.ask(&Message::Get { name }).await
    }

    async fn ask(&mut self, question: &Message<'_>) -> Result<u64> {
        self.writer.send(question).await?;
        match self.messages.next().await? {
            Some(Message::Total(total)) => Ok(total),
            Some(Message::Refused(text)) => Err(format!("refused: {text}").into()),
            Some(_) => Err(Error::protocol_violation("a question for an answer").into()),
            None => Err("the server closed the connection".into()),
        }
    }
}
