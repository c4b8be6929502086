//! One implementation of [`DatagramTransport`] for everything that leads to an endpoint.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use super::flags::Flags;
use super::handle::DatagramHandle;
use super::statistics::DatagramStatistics;
use super::transport::{DatagramTransport, DropPolicy, SendStatus, sealed};
use super::{DatagramEndpoint, Ended};
use crate::address::Address;
use crate::driver::{DatagramSocket, Key, MulticastInterface, Outbox, TransportId};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, EventLoop};
use crate::transport::{Info, WaterMarks};

/// What leads to an endpoint: the transport lent to a callback, or a handle.
pub(crate) trait Access {
    fn core(&self) -> &Rc<Core>;
    fn key(&self) -> Key;
    fn ended(&self) -> &Rc<Ended>;
    /// What `act` makes of the endpoint; `None` when it is closed.
    fn with<R>(&self, act: impl FnOnce(&Rc<DatagramEndpoint>) -> R) -> Option<R>;

    /// Sends the datagram if it is as long as the last one and goes to the same peer, as most answers
    /// do: what was checked then holds now. Whether it did.
    #[inline(always)]
    fn send_alike(&self, data: &[u8], to: Option<&Address>) -> bool {
        let _ = (data, to);
        false
    }
}

/// The transport that is lent to a callback.
pub(super) struct Lent<'a> {
    pub(super) core: &'a Rc<Core>,
    pub(super) endpoint: &'a Rc<DatagramEndpoint>,
    /// Where what it sends is gathered, or a place where nothing ever is.
    pub(super) gather: &'a RefCell<Outbox>,
}

impl Access for Lent<'_> {
    fn core(&self) -> &Rc<Core> {
        self.core
    }

    fn key(&self) -> Key {
        self.endpoint.key
    }

    fn ended(&self) -> &Rc<Ended> {
        &self.endpoint.ended
    }

    #[inline]
    fn with<R>(&self, act: impl FnOnce(&Rc<DatagramEndpoint>) -> R) -> Option<R> {
        Some(act(self.endpoint))
    }

    #[inline(always)]
    fn send_alike(&self, data: &[u8], to: Option<&Address>) -> bool {
        self.gather.try_borrow_mut().is_ok_and(|mut gather| gather.push_alike(data, to))
    }
}

/// Sends one datagram that the short way is not for.
#[cold]
fn send_one(access: &impl Access, data: &[u8], to: Option<&Address>) -> Result<SendStatus, Error> {
    access.with(|endpoint| endpoint.send(access.core(), data, to)).unwrap_or(Ok(SendStatus::Closed))
}

/// Does something to the socket of an endpoint that is open.
fn control(
    access: &impl Access,
    act: impl FnOnce(&DatagramEndpoint, &DatagramSocket) -> Result<(), Error>,
) -> Result<(), Error> {
    let open = |endpoint: &Rc<DatagramEndpoint>| {
        if endpoint.is_closed() {
            return Err(access.ended().closed());
        }
        act(endpoint, &endpoint.socket.borrow())
    };
    access.with(open).unwrap_or_else(|| Err(access.ended().closed()))
}

fn failed(what: String) -> impl FnOnce(io::Error) -> Error {
    move |error| match error.kind() {
        io::ErrorKind::Unsupported => Error::with_source(Kind::Unsupported, what, error),
        _ => Error::io(what, error),
    }
}

impl<A: Access> sealed::Sealed for A {}

impl<A: Access> DatagramTransport for A {
    fn send(&self, data: &[u8]) -> Result<SendStatus, Error> {
        if self.send_alike(data, None) {
            return Ok(SendStatus::Accepted);
        }
        send_one(self, data, None)
    }

    fn send_to(&self, data: &[u8], to: &Address) -> Result<SendStatus, Error> {
        if self.send_alike(data, Some(to)) {
            return Ok(SendStatus::Accepted);
        }
        send_one(self, data, Some(to))
    }

    fn send_segments(
        &self,
        data: &[u8],
        size: usize,
        to: Option<&Address>,
    ) -> Result<SendStatus, Error> {
        self.with(|endpoint| endpoint.send_segments(self.core(), data, size, to))
            .unwrap_or(Ok(SendStatus::Closed))
    }

    fn send_many_to(&self, datagrams: &[(&[u8], &Address)]) -> Result<usize, Error> {
        self.with(|endpoint| endpoint.send_many_to(self.core(), datagrams)).unwrap_or(Ok(0))
    }

    fn write_buffer_size(&self) -> usize {
        self.with(|endpoint| {
            let gathers = endpoint.has(Flags::GATHERS);
            let gathered = if gathers { self.core().datagrams.gather.borrow().size() } else { 0 };
            endpoint.queue_size() + gathered
        })
        .unwrap_or(0)
    }

    fn write_buffer_limits(&self) -> WaterMarks {
        self.with(|endpoint| endpoint.marks.get()).unwrap_or(WaterMarks { low: 0, high: 0 })
    }

    fn set_write_buffer_limits(&self, limits: WaterMarks) -> Result<(), Error> {
        self.with(|endpoint| endpoint.set_write_buffer_limits(self.core(), limits))
            .unwrap_or(Ok(()))
    }

    fn set_queue_limit(&self, limit: usize, policy: DropPolicy) {
        self.with(|endpoint| {
            endpoint.queue_limit.set(limit);
            endpoint.drop_policy.set(policy);
            if policy == DropPolicy::Refuse {
                endpoint.end_gathering(self.core());
            }
        });
    }

    fn join_multicast(&self, group: IpAddr, interface: MulticastInterface) -> Result<(), Error> {
        control(self, |endpoint, socket| {
            endpoint.reach.check_group(group)?;
            let what = format!("the group {group} could not be joined");
            socket.join_multicast(group, interface).map_err(failed(what))
        })
    }

    fn leave_multicast(&self, group: IpAddr, interface: MulticastInterface) -> Result<(), Error> {
        control(self, |endpoint, socket| {
            endpoint.reach.check_group(group)?;
            let what = format!("the group {group} could not be left");
            socket.leave_multicast(group, interface).map_err(failed(what))
        })
    }

    fn set_multicast_ttl(&self, hops: u32) -> Result<(), Error> {
        control(self, |_, socket| {
            let what = format!("a multicast time to live of {hops} could not be set");
            socket.set_multicast_ttl(hops).map_err(failed(what))
        })
    }

    fn set_multicast_loop(&self, on: bool) -> Result<(), Error> {
        control(self, |_, socket| {
            let what = "the multicast loop could not be set".to_owned();
            socket.set_multicast_loop(on).map_err(failed(what))
        })
    }

    fn set_multicast_interface(&self, interface: MulticastInterface) -> Result<(), Error> {
        control(self, |_, socket| {
            let what = "the multicast interface could not be set".to_owned();
            socket.set_multicast_interface(interface).map_err(failed(what))
        })
    }

    fn set_broadcast(&self, on: bool) -> Result<(), Error> {
        control(self, |_, socket| {
            let what = "broadcast could not be set".to_owned();
            socket.set_broadcast(on).map_err(failed(what))
        })
    }

    fn close(&self) {
        self.with(|endpoint| endpoint.close(self.core()));
    }

    fn abort(&self) {
        self.with(|endpoint| endpoint.abort(self.core()));
    }

    fn is_closing(&self) -> bool {
        self.with(|endpoint| endpoint.has(Flags::CLOSING.union(Flags::CLOSED))).unwrap_or(true)
    }

    fn pause_reading(&self) {
        self.with(|endpoint| endpoint.pause_reading());
    }

    fn resume_reading(&self) {
        self.with(|endpoint| endpoint.resume_reading(self.core()));
    }

    fn is_reading(&self) -> bool {
        self.with(|endpoint| endpoint.is_reading()).unwrap_or(false)
    }

    fn local_address(&self) -> Result<Address, Error> {
        let known = self.with(|endpoint| endpoint.info().local_address().cloned());
        let known = known.ok_or_else(|| self.ended().closed())?;
        known.ok_or_else(|| Error::new(Kind::Unsupported, "the socket has no address"))
    }

    fn peer_address(&self) -> Option<Address> {
        self.with(|endpoint| endpoint.reach.remote.clone()).flatten()
    }

    fn statistics(&self) -> DatagramStatistics {
        self.with(|endpoint| endpoint.statistics()).unwrap_or_default()
    }

    fn receive_drops(&self) -> Option<u64> {
        self.with(|endpoint| endpoint.socket.borrow().receive_drops()).flatten()
    }

    fn info(&self) -> Rc<Info> {
        self.with(|endpoint| endpoint.info()).unwrap_or_default()
    }

    fn id(&self) -> TransportId {
        TransportId(self.key())
    }

    fn handle(&self) -> DatagramHandle {
        DatagramHandle::new(Rc::clone(self.core()), self.key(), Rc::clone(self.ended()))
    }

    fn event_loop(&self) -> EventLoop {
        EventLoop::from_core(Rc::clone(self.core()))
    }
}
