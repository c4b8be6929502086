//! A member at a terminal: two Unix sockets of the host, and somebody who types and reads there.

use std::rc::Rc;
use std::time::Duration;

use wharf::sim::Random;
use wharf::{EventLoop, Listener, Result};

use super::client::{Desk, Keyboard, Screen, take_part};
use super::evening::{Evening, VisitId};

/// Who takes part, and comes back whenever that has ended, as long as there is a chat.
pub(crate) struct Visitor {
    event_loop: EventLoop,
    name: &'static str,
    evening: Rc<Evening>,
    random: Random,
    terminal: Terminal,
}

impl Visitor {
    pub(crate) async fn new(
        event_loop: EventLoop,
        name: &'static str,
        evening: Rc<Evening>,
        random: Random,
    ) -> Result<Self> {
        let keyboards = event_loop.listen_unix(KEYBOARD).await?;
        let screens = event_loop.listen_unix(SCREEN).await?;
        let terminal = Terminal { keyboards, screens };
        Ok(Self { event_loop, name, evening, random, terminal })
    }

    pub(crate) async fn stay(&self, address: &str) -> Result {
        loop {
            self.visit(address).await?;
            self.event_loop.sleep(self.random.duration(100 * MS..=2_000 * MS)).await;
        }
    }

    async fn visit(&self, address: &str) -> Result {
        let visit = self.evening.begin(self.name);
        let visited = self.event_loop.scope(async |scope| {
            let reads = scope.spawn(self.read(visit));
            scope.spawn(self.type_lines(visit));
            let outcome =
                take_part(&self.event_loop, address.to_owned(), None, &self.terminal).await;
            reads.await?;
            self.evening.end(visit, outcome);
            scope.cancel();
            Ok(())
        });
        Ok(visited.await?)
    }

    /// Notes what the screen shows.
    async fn read(&self, visit: VisitId) -> Result {
        let (mut screen, _writer) = self.terminal.screens.accept().await?;
        // The last line may be cut off.
        while let Ok(line) = screen.read_until(b"\n").await {
            self.evening.hears(visit, line);
        }
        Ok(())
    }

    /// Says something now and then, and leaves sometimes.
    async fn type_lines(&self, visit: VisitId) -> Result {
        let (_reader, keyboard) = self.terminal.keyboards.accept().await?;
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
