//! `start_tls`.

use std::time::Duration;

use wharf::bytes::Bytes;
use wharf::testing::{advance, pair};
use wharf::{TimeoutKind, TlsUpgrade, Transport, WaterMarks};

use super::{Stage, VERSIONS, distrusting, logs, trusting};
use crate::loops::{settle, system_loop};
use crate::probe::{Call, Probe};

fn client() -> TlsUpgrade {
    trusting().server_name("server.test").into()
}

// 237, 264.
#[test]
fn a_protocol_upgrades_in_place_and_keeps_its_handle() {
    for version in VERSIONS {
        let stage = Stage::with(version);
        let (near, far) = logs();
        let server = stage.tls.server.clone();
        let tls = stage.tls.client.clone().server_name("server.test");
        pair(
            &stage.event_loop,
            100,
            Probe::new(&near)
                .on_made(|transport| {
                    transport.write(b"STARTTLS\n");
                    Ok(())
                })
                .on_data(move |transport, data| {
                    if data == b"go ahead\n" {
                        transport.start_tls((&tls).into(), Bytes::new());
                        assert!(transport.info().tls().is_none());
                        transport.write(b"under TLS");
                        assert!(transport.write_buffer_size() >= 9);
                    }
                    Ok(())
                }),
            Probe::new(&far).on_data(move |transport, data| {
                if data == b"STARTTLS\n" {
                    transport.write(b"go ahead\n");
                    transport.start_tls((&server).into(), Bytes::new());
                } else {
                    transport.write(b"indeed");
                }
                Ok(())
            }),
        )
        .unwrap();
        let (before, id) = (near.handle(), near.handle().id());
        before.set_write_buffer_limits(WaterMarks { low: 678, high: 12_345 }).unwrap();
        stage.run_until("the answer", || near.received() == b"go ahead\nindeed");
        assert_eq!(far.received(), b"STARTTLS\nunder TLS");
        let order = [Call::Made, Call::Data, Call::TlsEstablished, Call::Data];
        assert_eq!((near.order(), far.order()), (order.to_vec(), order.to_vec()));
        assert_eq!(before.id(), id);
        assert_eq!(stage.event_loop.transport(id).as_ref(), Some(&before));
        assert_eq!(before.write_buffer_limits(), WaterMarks { low: 678, high: 12_345 });
        assert_eq!(before.info().tls().unwrap().version(), Some(version));
        assert_eq!(far.handle().info().tls().unwrap().server_name(), Some("server.test"));
        before.close();
        stage.run_until("both ends", || near.is_lost() && far.is_lost());
        assert_eq!((near.cause(), far.cause()), (None, None));
    }
}

// 265: differs.
#[test]
fn bytes_received_before_the_upgrade_are_refused() {
    let stage = Stage::new();
    for how in ["leftover", "unread", "protocol"] {
        let (near, far) = logs();
        let server = stage.tls.server.clone();
        let next = near.clone();
        pair(
            &stage.event_loop,
            1000,
            Probe::new(&near).on_data(move |transport, data| {
                let (_, rest) = data.split_at(9);
                match how {
                    "leftover" => {
                        transport.start_tls((&server).into(), Bytes::copy_from_slice(rest));
                    }
                    "unread" => {
                        transport.unread(rest.len());
                        transport.start_tls((&server).into(), Bytes::new());
                    }
                    _ => {
                        transport.start_tls((&server).into(), Bytes::new());
                        let next = Probe::new(&next);
                        transport.set_protocol(Box::new(next), Bytes::copy_from_slice(rest));
                    }
                }
                Ok(())
            }),
            Probe::new(&far),
        )
        .unwrap();
        far.handle().write(b"STARTTLS\nRSET\n");
        stage.run_until("the end", || near.is_lost());
        let cause = near.cause().unwrap();
        assert!(cause.is_tls && !cause.is_truncated, "{how}: {cause:?}");
        assert!(cause.text.contains("before TLS"), "{cause:?}");
        assert_eq!(near.count(Call::Data), 1, "nothing more of it is seen");
        assert!(far.received().is_empty());
    }
    assert!(stage.reports.take().is_empty());
}

// 265.
#[test]
fn bytes_received_before_the_upgrade_begin_the_handshake_if_it_says_so() {
    let stage = Stage::new();
    for gives_back in [false, true] {
        let (near, far) = logs();
        let server = stage.tls.server.clone();
        pair(
            &stage.event_loop,
            10_000,
            // Looks at the first byte to tell TLS from others.
            Probe::new(&near).on_data(move |transport, data| {
                if transport.info().tls().is_none() {
                    assert_eq!(data[0], 22);
                    let upgrade = TlsUpgrade::from(&server).feed_leftover();
                    if gives_back {
                        transport.unread(data.len());
                        transport.start_tls(upgrade, Bytes::new());
                    } else {
                        transport.start_tls(upgrade, Bytes::copy_from_slice(data));
                    }
                }
                Ok(())
            }),
            Probe::new(&far).on_made(|transport| {
                transport.start_tls(client(), Bytes::new());
                transport.write(b"hello");
                Ok(())
            }),
        )
        .unwrap();
        stage.run_until("the handshake", || near.received().ends_with(b"hello"));
        assert_eq!(near.count(Call::TlsEstablished), 1);
        near.handle().close();
        stage.run_until("both ends", || near.is_lost() && far.is_lost());
        assert_eq!((near.cause(), far.cause()), (None, None));
    }
}

// 266, 267: differs.
#[test]
fn a_failed_upgrade_ends_the_connection_and_both_protocols_hear_of_it() {
    let stage = Stage::new();
    let server = stage.tls.server.clone();
    let (near, far) = logs();
    let refuse = move |transport: &dyn Transport| {
        let tls = distrusting().server_name("server.test");
        transport.start_tls(tls.into(), Bytes::new());
        Ok(())
    };
    let accept = move |transport: &dyn Transport| {
        transport.start_tls((&server).into(), Bytes::new());
        Ok(())
    };
    pair(
        &stage.event_loop,
        1000,
        Probe::new(&near).on_made(refuse),
        Probe::new(&far).on_made(accept.clone()),
    )
    .unwrap();
    stage.run_until("both ends", || near.is_lost() && far.is_lost());
    assert!(near.cause().unwrap().text.contains("certificate"), "{:?}", near.cause());
    assert!(far.cause().unwrap().text.contains("alert"), "{:?}", far.cause());

    let (near, far) = logs();
    pair(&stage.event_loop, 1000, Probe::new(&near).on_made(accept.clone()), Probe::new(&far))
        .unwrap();
    advance(&stage.event_loop, Duration::from_secs(11)).unwrap();
    assert_eq!(near.cause().unwrap().timeout, Some(TimeoutKind::TlsHandshake));
    assert_eq!(near.calls(), [Call::Made, Call::Lost]);

    let (near, far) = logs();
    pair(&stage.event_loop, 1000, Probe::new(&near).on_made(accept), Probe::new(&far)).unwrap();
    far.handle().write_eof();
    stage.run_until("the end", || near.is_lost());
    assert!(near.cause().unwrap().is_truncated);
    assert_eq!(near.calls(), [Call::Made, Call::Lost]);

    // A peer that says something else, and one that resets the connection.
    for resets in [false, true] {
        let (near, far) = logs();
        let upgrade = TlsUpgrade::from(&stage.tls.server);
        let mut upgrade = Some(upgrade);
        let probe = Probe::new(&near).on_made(move |transport| {
            transport.write(b"go ahead");
            transport.start_tls(upgrade.take().unwrap(), Bytes::new());
            Ok(())
        });
        let peer = Probe::new(&far);
        let peer = if resets { peer.not_reading() } else { peer };
        pair(&stage.event_loop, 1000, probe, peer).unwrap();
        match resets {
            // What it has not read makes its end a reset.
            true => {
                settle(&stage.event_loop).unwrap();
                far.handle().abort();
            }
            false => drop(far.handle().write(b"EHLO client.test\r\n")),
        }
        stage.run_until("the end", || near.is_lost() && far.is_lost());
        let cause = near.cause().unwrap();
        let kind = Some(std::io::ErrorKind::ConnectionReset);
        assert!(if resets { cause.io_kind == kind } else { cause.is_tls }, "{cause:?}");
        assert_eq!(near.calls(), [Call::Made, Call::Lost]);
    }
    assert!(stage.reports.take().is_empty());
}

// 268: differs.
#[test]
fn an_upgrade_while_writing_is_paused_keeps_order_and_flow_control() {
    let stage = Stage::new();
    let server = stage.tls.server.clone();
    let (near, far) = logs();
    pair(
        &stage.event_loop,
        1000,
        Probe::new(&near),
        Probe::new(&far).not_reading().on_data(move |transport, data| {
            if let Some(end) = data.iter().position(|byte| *byte == b'\n') {
                // The client does not wait for an answer.
                let upgrade = TlsUpgrade::from(&server).feed_leftover();
                transport.start_tls(upgrade, Bytes::copy_from_slice(&data[end + 1..]));
            }
            Ok(())
        }),
    )
    .unwrap();
    let mut before = vec![b'x'; 100_000];
    before.push(b'\n');
    near.handle().write(&before);
    settle(&stage.event_loop).unwrap();
    assert_eq!(near.order(), [Call::Made, Call::Pause]);
    near.handle().start_tls(client(), Bytes::new());
    near.handle().write(b"after");
    assert!(near.handle().write_buffer_size() > 99_000);
    settle(&stage.event_loop).unwrap();
    assert_eq!(near.order(), [Call::Made, Call::Pause]);
    far.handle().resume_reading();
    stage.run_until("all of it", || far.received().ends_with(b"after"));
    assert!(far.received().starts_with(&before));
    assert_eq!(near.order(), [Call::Made, Call::Pause, Call::Resume, Call::TlsEstablished]);
}

#[test]
fn an_upgrade_while_reading_is_paused_goes_on_and_data_waits() {
    let stage = Stage::new();
    let server = stage.tls.server.clone();
    let (near, far) = logs();
    pair(
        &stage.event_loop,
        10_000,
        Probe::new(&near).on_made(move |transport| {
            transport.pause_reading();
            transport.start_tls((&server).into(), Bytes::new());
            Ok(())
        }),
        Probe::new(&far).on_made(|transport| {
            transport.start_tls(client(), Bytes::new());
            transport.write(b"waits");
            transport.write_eof();
            Ok(())
        }),
    )
    .unwrap();
    settle(&stage.event_loop).unwrap();
    assert_eq!(near.calls(), [Call::Made, Call::TlsEstablished]);
    near.handle().resume_reading();
    stage.run_until("the end", || near.is_lost());
    assert_eq!(near.received(), b"waits");
    let order = [Call::Made, Call::TlsEstablished, Call::Data, Call::Eof, Call::Lost];
    assert_eq!(near.order(), order);
}

#[test]
fn close_during_an_upgrade_waits_only_for_what_is_written() {
    let stage = Stage::new();
    for writes in [false, true] {
        let server = stage.tls.server.clone();
        let (near, far) = logs();
        pair(
            &stage.event_loop,
            10_000,
            Probe::new(&near).on_made(move |transport| {
                transport.start_tls(client(), Bytes::new());
                if writes {
                    transport.write(b"good-bye");
                }
                transport.close();
                Ok(())
            }),
            Probe::new(&far).on_made(move |transport| {
                transport.start_tls((&server).into(), Bytes::new());
                Ok(())
            }),
        )
        .unwrap();
        stage.run_until("both ends", || near.is_lost() && far.is_lost());
        assert_eq!(near.cause(), None);
        assert_eq!(far.received(), if writes { &b"good-bye"[..] } else { b"" });
        assert_eq!(far.cause().is_none(), writes, "{:?}", far.cause());
    }
}

// 263.
#[test]
fn an_upgrade_that_makes_no_sense_ends_the_connection_with_is_invalid() {
    let stage = Stage::new();
    let checks: [fn(&dyn Transport); 3] = [
        // Whom is the certificate to be of?
        |transport| {
            let ca = &crate::encryption::SERVER.chain;
            let nameless = wharf::TlsClient::builder().ca_pem(ca).build().unwrap();
            transport.start_tls(nameless.into(), Bytes::new());
        },
        |transport| {
            transport.write_eof();
            transport.start_tls(client(), Bytes::new());
        },
        |transport| {
            transport.start_tls(client(), Bytes::new());
            transport.start_tls(client(), Bytes::new());
        },
    ];
    for check in checks {
        let (near, far) = logs();
        pair(
            &stage.event_loop,
            1000,
            Probe::new(&near).on_made(move |transport| {
                check(transport);
                Ok(())
            }),
            Probe::new(&far),
        )
        .unwrap();
        stage.run_until("the end", || near.is_lost());
        assert!(near.cause().unwrap().is_invalid, "{:?}", near.cause());
    }
    let (near, far) = logs();
    pair(&stage.event_loop, 1000, Probe::new(&near), Probe::new(&far)).unwrap();
    near.handle().close();
    near.handle().start_tls(client(), Bytes::new());
    stage.run_until("the end", || near.is_lost());
    assert_eq!(near.cause(), None);
    near.handle().start_tls(client(), Bytes::new());
}

// 263.
#[test]
fn an_upgrade_behind_a_file_or_descriptors_is_refused() {
    use std::os::unix::net::UnixStream;

    let event_loop = system_loop();
    let reports = crate::running::Reports::of(&event_loop);
    for sends_file in [true, false] {
        for inside in [true, false] {
            let (near, far) = logs();
            let (own, peer) = UnixStream::pair().unwrap();
            let upgrades = move |transport: &dyn Transport| {
                // More than the socket takes, so that what is behind it waits.
                transport.write(&vec![7; 4 << 20]);
                if sends_file {
                    transport.send_file(crate::files::file_with(b"a file"), 0, None).detach();
                } else {
                    let descriptor = std::fs::File::open("/dev/null")?.into();
                    transport.write_with_descriptors(b"!", vec![descriptor])?;
                }
                transport.start_tls(client(), Bytes::new());
                Ok(())
            };
            let probe = match inside {
                true => Probe::new(&near).on_made(upgrades),
                false => Probe::new(&near),
            };
            let reader = Probe::new(&far).not_reading();
            let far_end = event_loop.create_connection_on(|| reader, peer).start();
            event_loop.run_until_complete(far_end).unwrap().unwrap();
            let near_end = event_loop.create_connection_on(|| probe, own).start();
            event_loop.run_until_complete(near_end).unwrap().unwrap();
            if !inside {
                upgrades(&near.handle()).unwrap();
            }
            crate::running::run_until(&event_loop, "the end", || near.is_lost());
            let cause = near.cause().unwrap();
            assert!(cause.is_invalid, "{cause:?}");
            assert!(cause.text.contains("file or descriptors"), "{cause:?}");
            far.handle().abort();
            crate::running::run_until(&event_loop, "the other end", || far.is_lost());
        }
    }
    assert_eq!(reports.take(), [""; 0]);
}
