//! One page: what it asks for.

use std::cell::Cell;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use wharf::{Error, Result};
use wharf_protocols::websocket::{CloseCode, Closure, WebSocket, WebSocketProtocol};

use super::hub::Hub;
use super::source::Detail;
use super::visitors::Ticket;
use crate::coordinator::{Filter, Page};
use crate::task::TaskId;
use crate::wire::{AskOutput, OutputPage};

/// How much a page may ask for before it is answered.
const MOST_UNDER_WAY: usize = 16;

pub(super) struct Session {
    hub: Rc<Hub>,
    number: u64,
    under_way: Rc<Cell<usize>>,
    /// Its connection is there as long as this is.
    ticket: Rc<Ticket>,
}

/// What a page says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Comes back with the answer.
    number: u64,
    ask: Ask,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Ask {
    List {
        #[serde(default)]
        filter: Filter,
        before: Option<u64>,
        limit: usize,
    },
    Task(TaskId),
    Output(AskOutput),
    Cancel(TaskId),
    Retry(TaskId),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Page(Page),
    Task(Option<Box<Detail>>),
    Output(Option<OutputPage>),
    Changed(bool),
    Failed(Box<str>),
}

#[derive(Debug, Serialize)]
struct Answered {
    answered: u64,
    answer: Answer,
}

impl Session {
    pub(super) fn new(hub: Rc<Hub>, ticket: Rc<Ticket>) -> Self {
        Self { hub, number: 0, under_way: Rc::default(), ticket }
    }

    fn asked(&self, socket: &WebSocket, asked: Asked) {
        let (hub, under_way) = (Rc::clone(&self.hub), Rc::clone(&self.under_way));
        let socket = socket.clone();
        under_way.set(under_way.get() + 1);
        let answering = async move {
            let answer = answer(&hub, asked.ask).await.unwrap_or_else(Answer::Failed);
            under_way.set(under_way.get() - 1);
            let answered = Answered { answered: asked.number, answer };
            if let Ok(text) = serde_json::to_string(&answered) {
                // A page that is gone does not hear it.
                let _ = socket.send_text(&text);
            }
        };
        self.hub.event_loop().create_task(answering).detach();
    }
}

impl WebSocketProtocol for Session {
    fn opened(&mut self, socket: &WebSocket) -> Result {
        self.ticket.is_page();
        self.number = self.hub.enter(socket);
        Ok(())
    }

    fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
        // What it sent before it heard that it is sent away.
        if !socket.is_open() {
            return Ok(());
        }
        let asked = serde_json::from_str(text);
        match asked {
            Ok(asked) if self.under_way.get() < MOST_UNDER_WAY => self.asked(socket, asked),
            Ok(_) => {
                socket.close(CloseCode::POLICY_VIOLATION, "too much at once")?;
            }
            Err(_) => {
                socket.close(CloseCode::POLICY_VIOLATION, "not what a page asks")?;
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &WebSocket, _: &Closure, _: Option<&Error>) -> Result {
        self.hub.leave(self.number);
        Ok(())
    }
}

async fn answer(hub: &Rc<Hub>, ask: Ask) -> Result<Answer, Box<str>> {
    let source = hub.source();
    Ok(match ask {
        Ask::List { filter, before, limit } => {
            Answer::Page(source.list(filter, before, limit).await?)
        }
        Ask::Task(id) => Answer::Task(source.task(id).await?.map(Box::new)),
        Ask::Output(ask) => Answer::Output(source.output(ask).await?),
        Ask::Cancel(id) => Answer::Changed(source.cancel(id).await?),
        Ask::Retry(id) => Answer::Changed(source.retry(id).await?),
    })
}
