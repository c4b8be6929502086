//! How the datagram endpoints among the examples begin and end.

use std::io::{self, Write};

use wharf::{DatagramHandle, DatagramTransport, Result};

use crate::stopping::stop_signal;

/// Says where the endpoint receives, waits for SIGINT or SIGTERM, and closes it.
pub async fn run_until_signal(endpoint: &DatagramHandle) -> Result {
    let stopped = stop_signal(&endpoint.event_loop())?;
    // Now that everything is set up: whoever waits for this line may send datagrams, or a signal.
    if let Ok(address) = endpoint.local_address() {
        // Nobody may be reading: that is no failure.
        let _ = writeln!(io::stdout(), "listening on {address}");
    }
    stopped.await?;
    endpoint.close();
    Ok(())
}
