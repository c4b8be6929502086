//! TLS inside TLS, as through an HTTPS proxy.

use std::cell::RefCell;
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{Eof, Error, Protocol, Result, TlsVersion, Transport, TransportHandle};

use super::{Stage, VERSIONS, logs};
use crate::encryption::Tls;
use crate::probe::{Call, Probe};

const ORIGIN: &str = "10.0.0.2:443";
const REQUEST: &[u8] = b"CONNECT server.test:443 HTTP/1.1\r\n\r\n";
const ACCEPTED: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

/// Where the other half of a tunnel is, once it is there.
type Other = Rc<RefCell<Option<TransportHandle>>>;

/// The proxy's end at the client: waits for the request, connects, and hands on from then on.
struct Proxy {
    request: Vec<u8>,
    other: Other,
}

impl Protocol for Proxy {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        if let Some(other) = &*self.other.borrow() {
            other.write(data);
            return Ok(());
        }
        self.request.extend_from_slice(data);
        if self.request != REQUEST {
            return Ok(());
        }
        let (client, other) = (transport.handle(), Rc::clone(&self.other));
        let event_loop = transport.event_loop();
        let connecting = event_loop.create_connection(move || Onward { client }, ORIGIN).start();
        let task = event_loop.create_task(async move {
            let connection = connecting.await.expect("a connection");
            *other.borrow_mut() = Some(connection.handle().clone());
        });
        task.detach();
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        if let Some(other) = self.other.take() {
            other.close();
        }
        Ok(())
    }
}

/// Its end at the origin: hands on to the client.
struct Onward {
    client: TransportHandle,
}

impl Protocol for Onward {
    fn connection_made(&mut self, _: &dyn Transport) -> Result {
        self.client.write(ACCEPTED);
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.client.write(data);
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        self.client.close();
        Ok(Eof::Close)
    }
}

// 261.
#[test]
fn a_tunnel_through_a_proxy_under_tls_is_tls_inside_tls() {
    for [outer, inner] in VERSIONS.map(|outer| VERSIONS.map(|inner| [outer, inner])).concat() {
        let stage = Stage::with(outer);
        let (near, far) = logs();
        let (proxy, _) = stage.serve(|| Proxy { request: Vec::new(), other: Other::default() });
        let inside = Tls::new(inner);
        let mut probe = Some(Probe::new(&far).echoing());
        let origin = stage.event_loop.create_server(move || probe.take().expect("one"), ORIGIN);
        let origin = stage.event_loop.run_until_complete(origin.tls(&inside.server).start());
        let origin = origin.and_then(|server| server).expect("a server");
        let tls = inside.client.server_name("server.test");
        let answer = near.clone();
        let client = Probe::new(&near)
            .on_made(|transport| {
                transport.write(REQUEST);
                Ok(())
            })
            .on_data(move |transport, _| {
                if answer.received() == ACCEPTED {
                    transport.start_tls((&tls).into(), Bytes::new());
                    transport.write(&[7; 100_000]);
                }
                Ok(())
            });
        let _connection = stage.connect(client).expect("a connection");
        let expected = ACCEPTED.len() + 100_000;
        stage.run_until("the echo", || near.received_len() == expected);
        assert_eq!(far.received(), [7; 100_000]);
        let mut order = near.calls();
        order.retain(|call| !matches!(call, Call::Pause | Call::Resume));
        order.dedup();
        assert_eq!(order, [Call::Made, Call::Data, Call::TlsEstablished, Call::Data]);
        // What is known is of the layer that the user's bytes are in.
        for info in [near.handle().info(), far.handle().info()] {
            let tls = info.tls().expect("TLS");
            let known: (Option<TlsVersion>, _) = (tls.version(), tls.server_name());
            assert_eq!(known, (Some(inner), Some("server.test")));
        }
        near.handle().close();
        stage.run_until("both ends", || near.is_lost() && far.is_lost());
        assert_eq!((near.cause(), far.cause()), (None, None));
        proxy.close();
        origin.close();
        assert!(stage.reports.take().is_empty());
    }
}
