use std::fmt;
use std::fs::File;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{ByteStream, Result};

use super::Answer;
use crate::http::HttpError;

/// The content of an answer: bytes, a part of a file, what a function writes bit by bit, or another protocol.
pub struct Body(pub(super) Kind);

pub(super) enum Kind {
    Bytes(Bytes),
    File { file: Rc<File>, offset: u64, count: u64 },
    Writer { length: Option<u64>, write: Write },
    Upgrade(Box<dyn FnOnce(ByteStream)>),
}

pub(super) type Write =
    Box<dyn FnOnce(BodyWriter) -> Pin<Box<dyn Future<Output = Result<BodyWriter>>>>>;

impl Body {
    /// No content.
    pub const fn empty() -> Self {
        Self(Kind::Bytes(Bytes::new()))
    }

    /// `count` bytes of `file` from `offset` on, sent by the operating system itself. If it does not have them, the answer is
    /// 500; if it is cut shorter while it is sent, the connection is aborted.
    pub fn file(file: impl Into<Rc<File>>, offset: u64, count: u64) -> Self {
        Self(Kind::File { file: file.into(), offset, count })
    }

    /// What `write` writes, at the client's pace. An `Err` aborts the connection, so that the client does not take a part for
    /// the whole.
    ///
    /// ```
    /// use wharf_protocols::http::Body;
    ///
    /// let body = Body::from_writer(async |writer| {
    ///     for number in 0..1000 {
    ///         writer.write(format!("{number}\n").as_bytes()).await?;
    ///     }
    ///     Ok(())
    /// });
    /// # drop(body);
    /// ```
    pub fn from_writer<F>(write: F) -> Self
    where
        F: AsyncFnOnce(&mut BodyWriter) -> Result + 'static,
    {
        let write: Write = Box::new(|mut writer| {
            Box::pin(async move {
                write(&mut writer).await?;
                Ok(writer)
            })
        });
        Self(Kind::Writer { length: None, write })
    }

    /// Says how long the content is that a function writes, so that it is not sent in chunks. The answer's `Content-Length`
    /// says the same.
    #[must_use]
    pub fn with_length(mut self, bytes: u64) -> Self {
        if let Kind::Writer { length, .. } = &mut self.0 {
            *length = Some(bytes);
        }
        self
    }

    /// For an answer of status 101, or 2xx to CONNECT: goes on with the connection as a stream.
    pub fn upgrade(next: impl FnOnce(ByteStream) + 'static) -> Self {
        Self(Kind::Upgrade(Box::new(next)))
    }
}

macro_rules! from_bytes {
    ($($type:ty),*) => {
        $(impl From<$type> for Body {
            fn from(content: $type) -> Self {
                Self(Kind::Bytes(content.into()))
            }
        })*
    };
}

from_bytes!(Bytes, Vec<u8>, String, &'static str, &'static [u8]);

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::Bytes(bytes) => return f.debug_tuple("Body").field(&bytes.len()).finish(),
            Kind::File { .. } => "file",
            Kind::Writer { .. } => "writer",
            Kind::Upgrade(_) => "upgrade",
        };
        f.debug_tuple("Body").field(&kind).finish()
    }
}

/// What a function of [`Body::from_writer`] writes content with.
#[derive(Debug)]
pub struct BodyWriter {
    pub(super) answer: Answer,
    pub(super) trailers: http::HeaderMap,
}

impl BodyWriter {
    /// Sends some of the content, and waits until the client has taken enough.
    ///
    /// # Errors
    /// The client is gone; more content than was announced.
    pub async fn write(&mut self, data: &[u8]) -> Result<(), HttpError> {
        self.answer.write(data)?;
        self.answer.drain().await
    }

    /// Sends a part of a file.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub async fn write_file(
        &mut self,
        file: Rc<File>,
        offset: u64,
        count: u64,
    ) -> Result<(), HttpError> {
        self.answer.write_file(file, offset, count)?;
        self.answer.drain().await
    }

    /// The fields to send behind the content, if it goes in chunks.
    pub fn trailers(&mut self) -> &mut http::HeaderMap {
        &mut self.trailers
    }
}
