//~ UseRemoteAndTransportId

use wharf::{Transport, TransportHandle};

pub fn close_later(handle: TransportHandle) {
    std::thread::spawn(move || handle.close());
}
