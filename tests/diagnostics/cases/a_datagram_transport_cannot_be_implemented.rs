//~ `DatagramTransport` is sealed: `Mock` cannot implement it
//~ to test a protocol without sockets, use `wharf::testing`

pub struct Mock;

impl wharf::DatagramTransport for Mock {}
