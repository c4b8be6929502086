//! A server that a signal ends.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::server::Server;
use crate::error::Error;
use crate::event_loop::SignalStream;
use crate::task::{LoopFuture, operation};

/// # Until a signal
impl Server {
    /// Serves until the process gets one of `signals`, then brings the server to its end as
    /// [`shutdown`](Self::shutdown) does, within `grace`. Another of them meanwhile aborts what is left, at once.
    ///
    /// It accepts from now on, if it did not. Completes with the number of connections that had to be aborted; with
    /// zero when somebody else closed the server before a signal came. Other streams and handlers of these
    /// signals on the loop are told as well.
    ///
    /// Dropping the future while it serves closes the server, as with [`serve_forever`](Self::serve_forever), and
    /// leaves its connections open; later it changes nothing, and the shutdown goes on. The signals are taken
    /// back.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use wharf::signal::{SIGINT, SIGTERM};
    /// # struct Idle;
    /// # impl wharf::Protocol for Idle {
    /// #     fn data_received(&mut self, _: &dyn wharf::Transport, _: &[u8]) -> wharf::Result { Ok(()) }
    /// # }
    ///
    /// fn main() -> wharf::Result {
    ///     wharf::run(async |event_loop| {
    ///         let server = event_loop.create_server(|| Idle, "127.0.0.1:7000").await?;
    ///         match server.serve_until([SIGINT, SIGTERM], Duration::from_secs(10)).await? {
    ///             0 => Ok(()),
    ///             aborted => Err(format!("{aborted} connections had to be cut off").into()),
    ///         }
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// The future fails with the errors of [`serve_forever`](Self::serve_forever) and of
    /// [`EventLoop::signals`](crate::EventLoop::signals), also [`is_unsupported`](Error::is_unsupported) on a loop
    /// in memory. The server is then as before.
    #[doc(alias("graceful_shutdown", "with_graceful_shutdown", "serve_forever"))]
    pub fn serve_until(
        &self,
        signals: impl IntoIterator<Item = i32>,
        grace: Duration,
    ) -> LoopFuture<usize> {
        let server = self.clone();
        let begun =
            self.event_loop().signals(signals).map(|signals| (signals, self.serve_forever()));
        operation(&self.core, async move {
            let (mut signals, mut serving) = begun?;
            if before_a_signal(&mut serving, &mut signals).await?.is_some() {
                return Ok(0);
            }
            let mut ending = server.shutdown(grace);
            match before_a_signal(&mut ending, &mut signals).await? {
                Some(aborted) => Ok(aborted),
                None => {
                    let cut_off = server.core.give_up_unfinished_lingering(Some(&server.shared));
                    let aborted = server.abort_clients() + cut_off;
                    server.wait_closed().await?;
                    Ok(aborted)
                }
            }
        })
    }
}

/// What `future` gives, or `None` when a signal comes first.
async fn before_a_signal<T>(
    future: &mut LoopFuture<T>,
    signals: &mut SignalStream,
) -> Result<Option<T>, Error> {
    poll_fn(|context| match Pin::new(&mut *future).poll(context) {
        Poll::Ready(outcome) => Poll::Ready(outcome.map(Some)),
        Poll::Pending => signals.poll_next(context).map(|_| Ok(None)),
    })
    .await
}
