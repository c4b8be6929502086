use std::io::{ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Control, STALL_LIMIT, pattern};
use crate::Result;
use crate::arguments::Arguments;
use crate::counters::cpu::own_time;

/// Datagrams to and fro on one socket, with a fixed number of them under way. It receives and sends
/// as many as there are with one call, so that it waits for the server and not the server for it.
#[derive(Debug, Clone, Copy)]
pub struct Udp {
    /// The server.
    pub server: SocketAddr,
    /// The size of a datagram, in bytes.
    pub size: usize,
    /// How many are under way.
    pub in_flight: usize,
    /// How many come back in the measured part.
    pub messages: u64,
    /// How many come back before.
    pub warm_up: u64,
}

impl Udp {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let load = Self {
            server: arguments.required("--connect")?,
            size: arguments.option_or("--size", 64)?,
            in_flight: arguments.option_or("--in-flight", 64)?,
            messages: arguments.option_or("--messages", 100_000)?,
            warm_up: arguments.option_or("--warm-up", 5_000)?,
        };
        arguments.finish()?;
        Ok(load)
    }

    /// Runs the load.
    ///
    /// # Errors
    /// The server stalls, loses a datagram, or sends back something else.
    pub fn run(&self, control: &mut Control) -> Result<String> {
        let mut run = Run::new(self)?;
        run.exchange(self.warm_up)?;
        control.ready()?;
        let (start, cpu) = (Instant::now(), own_time()?);
        run.exchange(self.messages)?;
        let (seconds, cpu) = (start.elapsed(), own_time()? - cpu);
        Ok(format!(
            "messages={} seconds={} load_cpu_seconds={}",
            self.messages,
            seconds.as_secs_f64(),
            cpu.as_secs_f64()
        ))
    }
}

struct Run<'a> {
    load: &'a Udp,
    socket: UdpSocket,
    state: UdpSocketState,
    message: Vec<u8>,
    /// As many messages as may be under way.
    messages: Vec<u8>,
    buffers: Vec<Vec<u8>>,
}

impl<'a> Run<'a> {
    fn new(load: &'a Udp) -> Result<Self> {
        let any = if load.server.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(load.server)?;
        socket.set_nonblocking(true)?;
        // That of another socket: it sets options on the one it is made of.
        let state = UdpSocketState::new((&UdpSocket::bind(any)?).into())?;
        let message = pattern(load.size);
        let messages = message.repeat(load.in_flight);
        let buffers = vec![vec![0; load.size + 1]; BATCH_SIZE];
        Ok(Self { load, socket, state, message, messages, buffers })
    }

    /// Sends and receives `count`, at most so many at once as may be under way.
    fn exchange(&mut self, count: u64) -> Result {
        let (mut sent, mut received) = (0, 0);
        while received < count {
            let room = (self.load.in_flight as u64 - (sent - received)).min(count - sent);
            self.send(room as usize)?;
            sent += room;
            received += self.receive()?;
        }
        Ok(())
    }

    fn send(&self, mut count: usize) -> Result {
        while count > 0 {
            let now = count.min(self.state.max_gso_segments());
            let transmit = Transmit {
                destination: self.load.server,
                ecn: None,
                contents: &self.messages[..now * self.load.size],
                segment_size: Some(self.load.size),
                src_ip: None,
            };
            self.state.try_send((&self.socket).into(), &transmit)?;
            count -= now;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<u64> {
        let mut metadata = [RecvMeta::default(); BATCH_SIZE];
        loop {
            let mut slices: Vec<_> =
                self.buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
            match self.state.recv((&self.socket).into(), &mut slices, &mut metadata) {
                Ok(count) => {
                    let mut received = metadata[..count].iter().zip(&self.buffers);
                    if received.any(|(meta, buffer)| buffer[..meta.len] != self.message) {
                        return Err("the server changed what it echoed".into());
                    }
                    return Ok(count as u64);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait()?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn wait(&self) -> Result {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        let limit = Timespec { tv_sec: STALL_LIMIT.as_secs() as i64, tv_nsec: 0 };
        if poll(&mut fds, Some(&limit))? == 0 {
            return Err("the server does not answer, or a datagram was lost".into());
        }
        Ok(())
    }
}
