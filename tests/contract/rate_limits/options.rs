//! Limits as options of clients and servers.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use wharf::{RateGroup, Result, Transport};

use crate::loops::{memory_loop, system_loop};

use super::{Idle, SECOND, Sink, Source, limit};

#[test]
fn limits_are_options_of_clients_and_servers() -> Result {
    let event_loop = memory_loop();
    event_loop.run(async |event_loop| {
        let group = RateGroup::new(&event_loop);
        group.set_read_limit(Some(limit(20_000, 100)));
        let total = Rc::new(Cell::new(0));
        let count = Rc::clone(&total);
        let server = event_loop
            .create_server(move || Sink(Rc::clone(&count)), "10.0.0.1:7")
            .read_limit(limit(15_000, 100))
            .rate_group(&group)
            .await?;
        let first = event_loop.create_connection(|| Source, "10.0.0.1:7").await?;
        event_loop.sleep(10 * SECOND).await;
        assert!(total.get().abs_diff(150_000) <= 200, "{}", total.get());
        let second = event_loop.create_connection(|| Source, "10.0.0.1:7").await?;
        assert_eq!(group.members(), 2);
        total.set(0);
        event_loop.sleep(10 * SECOND).await;
        assert!(total.get().abs_diff(200_000) <= 300, "{}", total.get());
        first.handle().abort();
        second.handle().abort();
        server.close();
        // What they had sent before is read, no faster than the limit.
        event_loop.sleep(20 * SECOND).await;
        assert_eq!(group.members(), 0);

        let server = event_loop.create_unix_server(|| Idle, "/limited").await?;
        let slow = event_loop
            .create_unix_connection(|| Idle, "/limited")
            .write_limit(limit(10, 10))
            .await?;
        slow.handle().write(&[0; 50]);
        event_loop.sleep(SECOND / 1000).await;
        assert_eq!(slow.handle().write_buffer_size(), 40);
        server.close();
        Ok(())
    })
}

#[test]
fn limits_hold_for_sockets_of_the_operating_system() {
    let event_loop = system_loop();
    let received = Rc::new(Cell::new(0));
    let count = Rc::clone(&received);
    event_loop
        .run(async |event_loop| {
            let server = event_loop
                .create_server(move || Sink(Rc::clone(&count)), "127.0.0.1:0")
                .read_limit(limit(1_000_000, 10_000))
                .await?;
            let address = server.local_address()?;
            let began = event_loop.time();
            let _client = event_loop.create_connection(|| Source, address).await?;
            event_loop.sleep(Duration::from_millis(300)).await;
            let most = (event_loop.time() - began).as_secs_f64() * 1e6 + 10_000.0;
            assert!(received.get() as f64 <= most, "{} of {most}", received.get());
            assert!(received.get() >= 10_000);
            Ok(())
        })
        .unwrap();
}
