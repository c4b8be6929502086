//! What a script can do to one transport.

use std::cell::OnceCell;
use std::fs::{self, File, OpenOptions};
use std::io::{IoSlice, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use wharf::bytes::Bytes;
use wharf::{Buffered, RateLimit, SendFile, Timeout, Transport, TransportId, WaterMarks};

use super::actor::{Actor, Inside, Owner};
use super::layers::Side;
use super::{LEFTOVER, MOST_ACTIONS, PERIOD, World, byte_at};

/// Script bytes from here on are choices that came later: the meaning of all others, and so of older
/// inputs, stays.
pub(super) const LATER: u8 = 240;

/// The longest file that is sent, in bytes.
const MOST_OF_FILE: usize = 255 * 40;

/// A file on its way that nobody waits for yet.
pub(super) struct Sending {
    file: SendFile,
    connection: TransportId,
    /// Where in all that the connection writes the file begins and ends.
    begin: usize,
    end: usize,
}

impl Sending {
    /// Whether it has come to its end.
    pub(super) fn is_over(&self) -> bool {
        self.file.take_result().is_some()
    }
}

impl World {
    /// Does what the script says to one transport.
    pub(super) fn act(self: &Rc<Self>, transport: &dyn Transport) {
        if self.actions.replace(self.actions.get() + 1) >= MOST_ACTIONS {
            return;
        }
        self.may_use_future(&transport.event_loop());
        let choice = self.byte();
        if choice >= LATER {
            return self.act_later(transport, choice - LATER);
        }
        match choice % 24 {
            0 | 1 => drop(transport.write(&self.written(transport, self.amount()))),
            2 => {
                let written = self.written(transport, self.amount());
                transport.write_bytes(Bytes::from_owner(Owner::new(written)));
            }
            3 => {
                let data = self.written(transport, self.amount());
                let tail = self.written(transport, 4);
                let slices = [IoSlice::new(&data), IoSlice::new(b""), IoSlice::new(&tail)];
                transport.write_vectored(&slices);
            }
            4 => transport.write_eof(),
            5 => transport.close(),
            6 => transport.abort(),
            7 => transport.pause_reading(),
            8 | 9 => transport.resume_reading(),
            10 => transport.hold_reading(),
            11 => self.set_marks(transport),
            12 => transport.set_write_buffer_cap(Some(self.amount() * 4)),
            13 => self.set_timeout(transport),
            14 | 15 => self.switch(transport),
            16 => {
                let (world, handle) = (Rc::clone(self), transport.handle());
                transport.event_loop().call_soon(move || {
                    let _inside = Inside::enter(&world, "call_soon");
                    world.act(&handle);
                    world.may_panic();
                });
            }
            17 => {
                let (world, handle) = (Rc::clone(self), transport.handle());
                let after = Duration::from_millis(u64::from(self.byte()));
                transport.event_loop().call_later(after, move || {
                    let _inside = Inside::enter(&world, "call_later");
                    world.act(&handle);
                    world.may_panic();
                });
            }
            18 => self.use_connection(),
            19 => self.connect(&transport.event_loop()),
            20 => transport.event_loop().stop(),
            21 => self.act_on_any(),
            22 => drop(self.handles.borrow_mut().pop()),
            _ => self.look_at(transport),
        }
    }

    fn act_later(self: &Rc<Self>, transport: &dyn Transport, choice: u8) {
        match choice {
            0..=5 => self.limit(transport, choice),
            6..=10 => self.send_file(transport),
            11 => self.give_up_a_file(),
            12..=14 => self.use_relay(),
            _ => self.connect_by_proxy(&transport.event_loop()),
        }
    }

    fn amount(&self) -> usize {
        usize::from(self.byte()) * 40
    }

    pub(super) fn set_marks(&self, transport: &dyn Transport) {
        let (high, low) = (self.amount(), self.amount());
        let refused = transport.set_write_buffer_limits(WaterMarks { low, high }).is_err();
        self.check(!refused || low > high, "limits refused that are in order");
    }

    pub(super) fn set_timeout(&self, transport: &dyn Transport) {
        let kinds = [Timeout::Idle, Timeout::Linger, Timeout::WriteStall];
        let kind = kinds[usize::from(self.byte() % 3)];
        let after = Duration::from_millis(u64::from(self.byte()) * 50);
        transport.set_timeout(kind, (!after.is_zero()).then_some(after));
    }

    pub(super) fn look_at(&self, transport: &dyn Transport) {
        transport.info();
        let WaterMarks { low, high } = transport.write_buffer_limits();
        self.check(low <= high, "low above high");
        // After a failed write the rest of the input is still delivered.
        let closed = transport.is_closing() && transport.is_reading();
        let failed = transport.write(&[]) == wharf::WriteStatus::Closed;
        self.check(!closed || failed, "a closing connection is reading");
    }

    /// The next bytes of what the connection writes.
    fn written(&self, transport: &dyn Transport, amount: usize) -> Vec<u8> {
        let from = self.advance_written(transport, amount);
        (from..from + amount).map(byte_at).collect()
    }

    /// Where the next `amount` bytes that the connection writes begin.
    fn advance_written(&self, transport: &dyn Transport, amount: usize) -> usize {
        let lives = self.lives.borrow();
        lives.get(&transport.id()).map_or(0, |life| {
            // What is refused counts, too: nothing comes after it.
            life.written.replace(life.written.get() + amount)
        })
    }

    fn switch(self: &Rc<Self>, transport: &dyn Transport) {
        // Its connection is made already, whichever side of it this is.
        let mut next = Actor::new(self, Side::Client);
        next.own = Some(transport.handle());
        let leftover = Bytes::from_owner(Owner::new(vec![LEFTOVER; usize::from(self.byte() % 8)]));
        if self.byte().is_multiple_of(2) {
            transport.set_protocol(Box::new(next), leftover);
        } else {
            transport.set_protocol(Box::new(Buffered(next)), leftover);
        }
    }

    /// Limits of the connection, or of the group that it may be in.
    pub(super) fn limit(&self, transport: &dyn Transport, choice: u8) {
        let limit = || {
            let (rate, burst) = (u64::from(self.byte()) * 100, u64::from(self.byte()) * 20);
            RateLimit::bytes_per_second(rate).burst(burst)
        };
        let Some(group) = self.group.borrow().clone() else { return };
        match choice {
            0 => transport.set_read_limit(Some(limit())),
            1 => transport.set_write_limit(Some(limit())),
            2 => {
                transport.set_read_limit(None);
                transport.set_write_limit(None);
            }
            3 => {
                let joined = transport.set_rate_group(Some(&group));
                self.check(joined.is_ok(), "a group of the same loop was refused");
            }
            4 => {
                let left = transport.set_rate_group(None);
                self.check(left.is_ok(), "leaving a group was refused");
            }
            _ if self.byte().is_multiple_of(2) => group.set_read_limit(Some(limit())),
            _ => group.set_write_limit(Some(limit())),
        }
    }

    fn send_file(self: &Rc<Self>, transport: &dyn Transport) {
        let amount = self.amount();
        let begin = self.advance_written(transport, amount);
        let offset = (begin % PERIOD) as u64;
        let file = transport.send_file(file(), offset, Some(amount as u64));
        match self.byte() % 4 {
            0 => file.detach(),
            1 => {
                let world = Rc::clone(self);
                file.add_done_callback(move |result| {
                    let _inside = Inside::enter(&world, "a file's callback");
                    match result {
                        Ok(sent) => world.check(*sent == amount as u64, "a file sent in part"),
                        Err(error) => {
                            let expected = !error.is_invalid() && !error.is_unsupported();
                            world.check(expected, format_args!("a file: {error}"));
                        }
                    }
                    world.act_on_any();
                });
            }
            _ => {
                let connection = transport.id();
                let sending = Sending { file, connection, begin, end: begin + amount };
                self.files.borrow_mut().push(sending);
            }
        }
    }

    /// Cancels a file, if nothing was written after it: else what its receiver gets would no longer be
    /// in order.
    fn give_up_a_file(&self) {
        let Some(sending) = self.files.borrow_mut().pop() else { return };
        let Sending { file, connection, begin, end } = sending;
        let lives = self.lives.borrow();
        let life = lives.get(&connection).filter(|life| life.written.get() == end);
        let Some(life) = life else { return file.detach() };
        let was_done = file.is_done();
        let progress = file.progress() as usize;
        self.check(progress <= end - begin, "more of a file was sent than there is");
        if self.byte().is_multiple_of(2) {
            self.check(file.cancel() != was_done, "a file that is done was cancelled, or none");
        }
        drop(file);
        // What was sent is sent, and what comes next follows there.
        life.written.set(begin + progress);
    }
}

/// What every connection writes, from a multiple of its period on.
fn file() -> Rc<File> {
    thread_local! {
        static FILE: OnceCell<Rc<File>> = const { OnceCell::new() };
    }
    FILE.with(|file| Rc::clone(file.get_or_init(make_file)))
}

fn make_file() -> Rc<File> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("wharf-fuzz-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut options = OpenOptions::new();
    let mut file = options.create_new(true).read(true).write(true).open(&path).expect("a file");
    fs::remove_file(&path).expect("its name to be removed");
    let bytes: Vec<u8> = (0..PERIOD + MOST_OF_FILE).map(byte_at).collect();
    file.write_all(&bytes).expect("room for it");
    Rc::new(file)
}
