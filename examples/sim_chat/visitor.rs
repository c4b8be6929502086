//! A member at a terminal: two Unix sockets of the host, and somebody who types and reads there.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use wharf::sim::Random;
use wharf::{EventLoop, Listener, Result};

use super::client::{Desk, Keyboard, Screen, take_part};
use super::evening::{Evening, VisitId};

/// Who takes part, and comes back whenever that has ended, as long as there is a chat.
pub(crate) struct Visitor {
    pub(crate) event_loop: EventLoop,
    pub(crate) name: &'static str,
    pub(crate) evening: Rc<Evening>,
    pub(crate) random: Random,
}

impl Visitor {
    pub(crate) async fn stay(&self, address: &str) -> Result {
        loop {
            self.visit(address).await?;
            self.event_loop.sleep(self.random.duration(100 * MS..=2_000 * MS)).await;
        }
    }

    async fn visit(&self, address: &str) -> Result {
        let terminal = &Terminal {
            keyboards: self.event_loop.listen_unix(KEYBOARD).await?,
            screens: self.event_loop.listen_unix(SCREEN).await?,
            in_use: Cell::new(0),
        };
        let visit = self.evening.begin(self.name);
        let visited = self.event_loop.scope(async |scope| {
            let reads = scope.spawn(self.read(terminal, visit));
            scope.spawn(self.type_lines(terminal, visit));
            let outcome = take_part(&self.event_loop, address.to_owned(), None, terminal).await;
            // All that was shown is there by now. There may be no screen: descriptors are short at times.
            if let Ok(read) = wharf::timeout(1_000 * MS, reads).await {
                read?;
            }
            // Without all of its terminal it leaves, and means nothing by it.
            if terminal.in_use.get() == 2 {
                self.evening.end(visit, outcome);
            }
            scope.cancel();
            Ok(())
        });
        Ok(visited.await?)
    }

    /// Notes what the screen shows.
    async fn read(&self, terminal: &Terminal, visit: VisitId) -> Result {
        let (mut screen, _writer) = terminal.screens.accept().await?;
        terminal.is_used();
        // The last line may be cut off.
        while let Ok(line) = screen.read_until(b"\n").await {
            self.evening.hears(visit, line);
        }
        Ok(())
    }

    /// Says something now and then, and leaves sometimes.
    async fn type_lines(&self, terminal: &Terminal, visit: VisitId) -> Result {
        let (_reader, keyboard) = terminal.keyboards.accept().await?;
        terminal.is_used();
        let mut line = format!("/nick {}\n", self.name);
        // Until nobody takes it any more.
        while keyboard.write_all(line.as_bytes()).await.is_ok() {
            self.event_loop.sleep(self.random.duration(100 * MS..=2_000 * MS)).await;
            line = if self.random.chance(0.03) && self.evening.quits(visit) {
                "/quit\n".to_owned()
            } else {
                self.evening.says(visit, self.random.below(800)) + "\n"
            };
        }
        Ok(())
    }
}

const MS: Duration = Duration::from_millis(1);

const KEYBOARD: &str = "/run/keyboard";
const SCREEN: &str = "/run/screen";

/// The host's side of the terminal: the client connects to it as to standard input and output.
struct Terminal {
    keyboards: Listener,
    screens: Listener,
    /// How many of the two the client uses.
    in_use: Cell<u32>,
}

impl Terminal {
    fn is_used(&self) {
        self.in_use.set(self.in_use.get() + 1);
    }
}

impl Desk for Terminal {
    async fn connect_screen(&self, event_loop: &EventLoop, screen: Screen) -> Result {
        event_loop.create_unix_connection(|| screen, SCREEN).await?;
        Ok(())
    }

    async fn connect_keyboard(&self, event_loop: &EventLoop, keyboard: Keyboard) -> Result {
        event_loop.create_unix_connection(|| keyboard, KEYBOARD).await?;
        Ok(())
    }
}
