//! How the datagram endpoints among the examples begin and end.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use wharf::signal::{SIGINT, SIGTERM};
use wharf::{DatagramHandle, DatagramTransport, Result};

/// Says where the endpoint receives, waits for SIGINT or SIGTERM, and closes it.
pub(crate) async fn run_until_signal(endpoint: &DatagramHandle) -> Result {
    let event_loop = endpoint.event_loop();
    let (ending, end) = event_loop.create_future();
    let ending = Rc::new(RefCell::new(Some(ending)));
    for signal in [SIGINT, SIGTERM] {
        let ending = Rc::clone(&ending);
        event_loop.add_signal_handler(signal, move || {
            // The first one ends it; nobody waits for a second.
            if let Some(ending) = ending.take() {
                let _ = ending.set_result(());
            }
        })?;
    }
    // Now that everything is set up: whoever waits for this line may send datagrams, or a signal.
    if let Ok(address) = endpoint.local_address() {
        writeln!(io::stdout(), "listening on {address}")?;
    }
    end.await?;
    endpoint.close();
    Ok(())
}
