//! Relays on the way of what is written: a proxy joins the connections that it accepts with others,
//! and is not to be noticed in what they bring.

use std::rc::Rc;
use std::time::Duration;

use wharf::bytes::Bytes;
use wharf::{
    Error, EventLoop, LoopFuture, Protocol, RelayOutcome, Result, Splicing, Transport,
    TransportHandle, relay,
};

use super::actor::{Actor, Inside};
use super::layers::Side;
use super::{PROXY, SERVER, World};

/// A relay that was begun.
pub(super) struct Relay {
    ends: [TransportHandle; 2],
    outcome: Option<LoopFuture<RelayOutcome>>,
}

impl Relay {
    /// Whether it has come to its end, as far as somebody waited for it.
    pub(super) fn is_over(&self) -> bool {
        self.outcome.as_ref().is_none_or(|outcome| outcome.take_result().is_some())
    }
}

impl World {
    pub(super) fn serve_as_proxy(self: &Rc<Self>, event_loop: &EventLoop) {
        let world = Rc::clone(self);
        let proxy = event_loop.create_server(move || Waiting::accepted(&world), PROXY);
        event_loop.run_until_complete(proxy.start()).and_then(|proxy| proxy).expect("a proxy");
    }

    pub(super) fn connect_by_proxy(self: &Rc<Self>, event_loop: &EventLoop) {
        if self.may_connect() {
            let world = Rc::clone(self);
            let factory = move || Actor::new(&world, Side::Client);
            event_loop.create_connection(factory, PROXY).start().detach();
        }
    }

    fn join(self: &Rc<Self>, client: &TransportHandle, upstream: &TransportHandle) {
        let splicing = match self.byte() % 2 {
            0 => Splicing::Automatic,
            _ => Splicing::Always,
        };
        let idle = Duration::from_secs(u64::from(self.byte() % 64));
        let builder = relay(client, upstream).splicing(splicing);
        let builder = builder.idle_timeout((!idle.is_zero()).then_some(idle));
        let statistics = builder.statistics();
        let outcome = builder.start();
        let kept = match self.byte() % 4 {
            0 => {
                outcome.detach();
                None
            }
            1 => Some(outcome),
            _ => {
                let world = Rc::clone(self);
                outcome.add_done_callback(move |outcome| {
                    let _inside = Inside::enter(&world, "a relay's callback");
                    match outcome {
                        Ok(outcome) => {
                            let counted = (statistics.a_to_b(), statistics.b_to_a());
                            let told = (outcome.a_to_b, outcome.b_to_a);
                            world
                                .check(counted == told, "a relay's outcome is not what it counted");
                            world.check(statistics.is_done(), "a relay that is done goes on");
                        }
                        Err(error) => {
                            let expected = error.is_closed() || error.is_cancelled();
                            world.check(expected, format_args!("a relay: {error}"));
                        }
                    }
                    world.act_on_any();
                });
                None
            }
        };
        let ends = [client.clone(), upstream.clone()];
        self.relays.borrow_mut().push(Relay { ends, outcome: kept });
    }

    /// Does something to a relay that leaves what it passes on in order.
    pub(super) fn use_relay(self: &Rc<Self>) {
        let (end, outcome) = {
            let mut relays = self.relays.borrow_mut();
            let Some(position) = relays.len().checked_sub(1 + usize::from(self.byte() % 8)) else {
                return;
            };
            let gives_up = self.byte() % 16 == 15;
            let relay = &mut relays[position];
            let end = relay.ends[usize::from(self.byte() % 2)].clone();
            (end, if gives_up { relay.outcome.take() } else { None })
        };
        drop(outcome);
        match self.byte() % 16 {
            choice @ 0..=5 => self.limit(&end, choice),
            6 => self.set_timeout(&end),
            7 => self.set_marks(&end),
            8 => end.set_write_buffer_cap(Some(usize::from(self.byte()) * 100)),
            9 => end.pause_reading(),
            10..=12 => end.resume_reading(),
            13 => end.close(),
            14 => end.abort(),
            _ => end.set_protocol(Box::new(Waiting::replacing(self)), Bytes::new()),
        }
        self.look_at(&end);
    }
}

/// What runs on a proxy's connections while they are not joined.
struct Waiting {
    world: Rc<World>,
    /// Whether the other connection is still to be made.
    is_accepted: bool,
}

impl Waiting {
    fn accepted(world: &Rc<World>) -> Self {
        Self { world: Rc::clone(world), is_accepted: true }
    }

    fn replacing(world: &Rc<World>) -> Self {
        Self { world: Rc::clone(world), is_accepted: false }
    }
}

impl Protocol for Waiting {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let world = Rc::clone(&self.world);
        let _inside = Inside::enter(&world, "a proxy's connection_made");
        world.made_by_proxy.set(world.made_by_proxy.get() + 1);
        transport.pause_reading();
        if !self.is_accepted {
            return Ok(());
        }
        let client = transport.handle();
        let upstream = Rc::clone(&world);
        let connecting = transport
            .event_loop()
            .create_connection(move || Waiting::replacing(&upstream), SERVER)
            .start();
        let joins = Rc::clone(&world);
        connecting.add_done_callback(move |upstream| {
            let _inside = Inside::enter(&joins, "a connect's callback");
            match upstream {
                Ok(upstream) => joins.join(&client, upstream.handle()),
                Err(_) => client.close(),
            }
        });
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        let panicked = error.is_some_and(Error::is_panic);
        self.world.check(!panicked, "a panic of the engine's in a relay");
        Ok(())
    }
}
