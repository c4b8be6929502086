//! Peers that read slowly after the server has closed, and talk meanwhile. How long they take is the subject:
//! longer than the five seconds for which a peer is heard that has everything.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, sleep};
use std::time::Duration;

use wharf::{Protocol, Result, Transport};

use crate::serving::{address, run, until};

const SIZE: usize = 2_000_000;

struct Answer;

impl Protocol for Answer {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(&vec![b'a'; SIZE]);
        transport.close();
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Talks every 100 ms and reads `step` bytes each time, for 75 times; then reads as fast as it can.
fn read_slowly(address: SocketAddr, step: usize) -> usize {
    let mut socket = TcpStream::connect(address).expect("a connection");
    let (mut buffer, mut received) = (vec![0; 65_536], 0);
    let mut turn = 0;
    loop {
        let is_slow = turn < 75;
        let room = if is_slow { step } else { buffer.len() };
        if room > 0 {
            match socket.read(&mut buffer[..room]) {
                Ok(0) | Err(_) => return received,
                Ok(count) => received += count,
            }
        }
        if is_slow {
            turn += 1;
            let _ = socket.write_all(b"x");
            sleep(Duration::from_millis(100));
        }
    }
}

// 62. A receiver opens its window in steps: at 10 kB/s one of 64 KiB takes longer than six seconds, in which
// nothing is acknowledged.
#[test]
fn a_peer_that_reads_slowly_or_pauses_gets_everything_after_close() {
    run(async |event_loop| {
        let server = event_loop.create_server(|| Answer, "127.0.0.1:0").await?;
        let address = address(&server);
        let peers = [1000, 500, 0].map(|step| thread::spawn(move || read_slowly(address, step)));
        until(&event_loop, "the peers", || peers.iter().all(|peer| peer.is_finished())).await;
        for peer in peers {
            assert_eq!(peer.join().expect("a peer"), SIZE);
        }
        assert_eq!(event_loop.statistics().lingering_cut_off, 0);
        Ok(())
    });
}
