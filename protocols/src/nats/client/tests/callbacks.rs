//! What users' callbacks do.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use wharf::Result;

use super::super::*;
use super::{ADDRESS, run};

/// nats.py#204: a callback that threw when the connection was lost ended the reconnects.
#[test]
fn callbacks_may_panic_and_the_client_goes_on() -> Result {
    run(async |event_loop, broker| {
        let reported = Rc::new(RefCell::new(Vec::new()));
        let reporting = Rc::clone(&reported);
        event_loop.set_exception_handler(move |_, exception| {
            reporting.borrow_mut().push(exception.to_string());
        });
        let options = Options::new().on_event(|event| panic!("at {event:?}"));
        let client = options.connect(&event_loop, [ADDRESS]).await?;
        client.on_event(|event| {
            assert!(!matches!(event, Event::Disconnected { .. }), "on purpose");
        });
        let mut events = client.events();
        let seen = Rc::new(Cell::new(0));
        let seeing = Rc::clone(&seen);
        client
            .subscription("a")
            .on_message(move |message| {
                seeing.set(seeing.get() + 1);
                assert_eq!(message.payload(), b"good", "on purpose");
            })?
            .detach();
        let mut messages = client.subscribe("a")?;
        for payload in ["bad", "good"] {
            client.publish("a", payload)?;
        }
        client.flush().await?;
        assert_eq!((seen.get(), client.connections()), (2, 1), "the connection is the same");
        assert_eq!(messages.len(), 2);

        broker.drop_connections();
        assert!(matches!(events.next().await, Some(Event::Disconnected { .. })));
        assert!(matches!(events.next().await, Some(Event::Connected { .. })));
        client.publish("a", "good")?;
        client.flush().await?;
        assert_eq!((seen.get(), client.connections()), (3, 2));
        assert_eq!(messages.next().await.unwrap().payload(), b"bad");
        client.close();
        client.closed().await?;
        // Connected, a message, the loss twice, connected, closed.
        assert_eq!(reported.borrow().len(), 6, "{reported:?}");
        assert!(reported.borrow().iter().all(|text| text.contains("panicked")), "{reported:?}");
        Ok(())
    })
}

#[test]
fn a_panic_of_what_makes_connections_is_an_error_of_the_client() -> Result {
    run(async |event_loop, broker| {
        event_loop.set_exception_handler(|_, _| ());
        let asked = Rc::new(Cell::new(0));
        let asking = Rc::clone(&asked);
        let options = Options::new().retry_first_connect(true).ask_credentials(move |_| {
            asking.set(asking.get() + 1);
            assert!(asking.get() != 2, "on purpose");
            Ok(Credentials::Token(asking.get().to_string()))
        });
        let client = options.connect(&event_loop, [ADDRESS]).await?;
        broker.drop_connections();
        wharf::sleep(Duration::from_secs(10)).await;
        client.flush().await?;
        assert_eq!((asked.get(), broker.tokens()), (3, vec!["1".to_owned(), "3".to_owned()]));
        Ok(())
    })
}

#[test]
fn callbacks_may_do_anything_with_their_client() -> Result {
    run(async |event_loop, broker| {
        let client = Options::new().connect(&event_loop, [ADDRESS]).await?;
        // Ends its own subscription, makes others, and closes the client in the end.
        let (own, handle) = (client.clone(), Rc::new(RefCell::new(None::<SubscriptionHandle>)));
        let ending = Rc::clone(&handle);
        let count = Rc::new(Cell::new(0));
        let counting = Rc::clone(&count);
        let made = client.subscription("a").on_message(move |message| {
            counting.set(counting.get() + 1);
            drop(ending.borrow_mut().take());
            drop(own.subscribe("b").unwrap());
            own.publish("b", message.payload()).unwrap();
            own.reconnect_now();
        })?;
        *handle.borrow_mut() = Some(made);
        client.publish("a", "1")?;
        client.publish("a", "2")?;
        while client.connections() < 2 {
            wharf::sleep(Duration::from_millis(10)).await;
        }
        client.publish("a", "3")?;
        client.flush().await?;
        assert_eq!((count.get(), client.connections()), (1, 2));

        let closing = client.clone();
        client.subscription("c").on_message(move |_| closing.close())?.detach();
        client.publish("c", "")?;
        client.publish("c", "")?;
        client.closed().await?;
        assert!(matches!(client.publish("c", ""), Err(NatsError::Closed)));
        wharf::sleep(Duration::from_secs(1)).await;
        assert_eq!(broker.connections(), 0);
        Ok(())
    })
}
