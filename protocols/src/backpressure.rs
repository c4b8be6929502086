//! Whether a connection takes more.

use wharf::Transport;

/// Whether more waits to be sent than the high-water mark allows.
pub(crate) fn is_above_high_water(transport: &(impl Transport + ?Sized)) -> bool {
    transport.write_buffer_size() > transport.write_buffer_limits().high
}
