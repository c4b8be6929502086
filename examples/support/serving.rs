//! How the servers among the examples begin and end.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use wharf::signal::{SIGINT, SIGTERM};
use wharf::{Result, Server};

/// Where to listen.
#[allow(dead_code, reason = "not every server offers both")]
pub(crate) enum Listen {
    Address(String),
    Unix(PathBuf),
}

/// How long connections have to come to an end after the signal.
const GRACE: Duration = Duration::from_secs(5);

const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// Says where the server listens, serves until SIGINT or SIGTERM, then drains: nobody new is
/// accepted, what is written is sent, and what is still open after [`GRACE`] is aborted.
pub(crate) async fn serve_until_signal(server: Server) -> Result {
    let event_loop = server.event_loop();
    for signal in SIGNALS {
        let (server, event_loop) = (server.clone(), event_loop.clone());
        server.event_loop().add_signal_handler(signal, move || {
            // A second signal ends the process at once, as signals do that nobody handles.
            for signal in SIGNALS {
                event_loop.remove_signal_handler(signal);
            }
            server.close();
        })?;
    }
    // Now that everything is set up: whoever waits for this line may connect, or send a signal.
    for address in server.addresses() {
        writeln!(io::stdout(), "listening on {address}")?;
    }
    server.serve_forever().await?;
    server.shutdown(GRACE).await?;
    Ok(())
}
