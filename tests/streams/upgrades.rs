//! Peers that do anything but a handshake while a stream changes to TLS.

use std::time::Duration;

use wharf::testing::{MemoryNetwork, stream_pair};
use wharf::{ByteStream, Result, TlsVersion};
use wharf_test_support::encryption::Tls;

use super::poll_once;

/// What the client says first.
async fn hello(event_loop: &wharf::EventLoop, tls: &Tls) -> Result<Vec<u8>> {
    let (mut client, mut peer) = stream_pair(event_loop, 64 * 1024)?;
    let upgrade = client.start_tls(tls.client.clone().server_name("localhost"));
    assert!(poll_once(upgrade).await.is_none());
    Ok(peer.reader().read_chunk().await?.to_vec())
}

/// What a peer does after it has sent a part.
#[derive(Clone, Copy, Debug)]
enum Then {
    Reset,
    End,
    Close,
    Nothing,
    Garbage,
}

#[test]
fn a_handshake_that_is_cut_off_at_any_point_is_an_error() {
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            let tls = Tls::new(TlsVersion::Tls13);
            let hello = hello(&event_loop, &tls).await?;
            for then in [Then::Reset, Then::End, Then::Close, Then::Nothing, Then::Garbage] {
                for count in (0..hello.len()).step_by(7) {
                    let (mut near, far) = stream_pair(&event_loop, 64 * 1024)?;
                    let case = format!("{then:?} after {count}");
                    let began = event_loop.time();
                    let server = near.start_tls(&tls.server);
                    let peer = act(far, &hello[..count], then);
                    let (outcome, _far) = futures_lite::future::zip(server, peer).await;
                    assert!(outcome.is_err(), "{case}");
                    let took = event_loop.time() - began;
                    assert!(took <= Duration::from_secs(10), "{case}: {took:?}");
                    assert!(near.reader().read_chunk().await.is_err(), "{case}");
                    assert!(near.writer().wait_closed().await.is_err(), "{case}");
                    assert!(near.writer().drain().await.is_err(), "{case}");
                }
            }
            event_loop.sleep(Duration::from_secs(100)).await;
            assert_eq!(event_loop.statistics().connections_open, 0);
            Ok(())
        })
        .unwrap();
}

async fn act(far: ByteStream, part: &[u8], then: Then) -> Option<ByteStream> {
    far.writer().write(part);
    let _ = far.writer().flush().await;
    match then {
        Then::Reset => far.writer().abort(),
        Then::End => far.writer().write_eof(),
        Then::Close => return None,
        Then::Nothing => {}
        Then::Garbage => {
            far.writer().write(&[0xff; 20_000]);
        }
    }
    Some(far)
}
