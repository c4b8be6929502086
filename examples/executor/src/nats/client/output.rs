//! What tasks have written, read from its stream.

use std::collections::VecDeque;
use std::time::Duration;

use wharf_protocols::nats::NatsError;

use super::{LOOKS, NatsClient};
use crate::nats::output::length;
use crate::nats::records::Records;
use crate::wire::{Answer, AskOutput, OutputPage, OutputPart};

/// A page has no more messages behind so many bytes.
const PAGE: u64 = 64 * 1024;
/// What is published is heard before it is kept: it is looked for again so soon.
const SOON: Duration = Duration::from_millis(10);

impl NatsClient {
    /// A page of what a task has written. Offsets of requests, and [`OutputPage::next`], are numbers of messages here.
    pub(super) async fn output(&self, ask: AskOutput) -> Result<Answer, NatsError> {
        let records = self.records().await?;
        let names = &self.session.names;
        // First this: what is told between the two is not missed.
        let mut news = match ask.follow {
            true => Some(self.session.connection.subscribe(names.told_of(&ask.id))?),
            false => None,
        };
        let (mut progress, mut pause) = (ask.progress, LOOKS.0);
        loop {
            let mut page = page(&records, &ask).await?;
            let mut has_ended = false;
            if page.parts.is_empty() {
                has_ended = match records.find(&ask.id).await? {
                    None if ask.offset == 0 => return Ok(Answer::Output(None)),
                    found => found.is_none_or(|(record, _)| record.outcome().is_some()),
                };
            }
            if has_ended {
                // All that it wrote was kept before it ended.
                page = self::page(&records, &ask).await?;
                page.ended = page.parts.is_empty();
                return Ok(Answer::Output(Some(page)));
            }
            let Some(news) = news.as_mut().filter(|_| page.parts.is_empty()) else {
                page.progress = progress;
                return Ok(Answer::Output(Some(page)));
            };
            if progress != ask.progress {
                page.progress = progress;
                return Ok(Answer::Output(Some(page)));
            }
            match self.session.event_loop.timeout(pause, news.next()).await {
                Ok(None) => return Err(NatsError::Closed),
                Ok(Some(told)) if told.subject() == names.progress(&ask.id) => {
                    progress = serde_json::from_slice(told.payload()).ok().or(progress);
                }
                Ok(Some(_)) => pause = SOON,
                Err(_) => pause = (pause * 2).min(LOOKS.1),
            }
        }
    }
}

/// What is kept from the message on that is asked for, or as much of the end.
async fn page(records: &Records, ask: &AskOutput) -> Result<OutputPage, NatsError> {
    let (mut parts, mut bytes) = (VecDeque::new(), 0);
    let mut next = ask.offset.max(1);
    while ask.last.is_some() || bytes < PAGE {
        let Some((number, part)) = records.output_from(&ask.id, next).await? else { break };
        next = number + 1;
        bytes += length(&part);
        parts.push_back(part);
        if let Some(last) = ask.last {
            bytes -= cut(&mut parts, bytes.saturating_sub(u64::from(last).min(PAGE)));
        }
    }
    Ok(OutputPage { parts: parts.into(), next, ended: false, progress: None })
}

/// Removes whole pieces at the beginning, no more than so many bytes, and gives how many.
fn cut(parts: &mut VecDeque<OutputPart>, most: u64) -> u64 {
    let mut removed = 0;
    while let Some(part) = parts.front_mut() {
        let Some(piece) = part.pieces.first() else {
            parts.pop_front();
            continue;
        };
        let length = piece.text().len() as u64;
        if removed + length > most {
            break;
        }
        part.pieces.remove(0);
        part.offset = part.offset.saturating_add(length);
        removed += length;
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Piece;

    #[test]
    fn the_end_of_what_was_written_has_whole_pieces_and_their_offsets() {
        let part = |offset, texts: &[&str]| OutputPart {
            offset,
            attempt: 1,
            pieces: texts.iter().map(|text| Piece::Stdout((*text).to_owned())).collect(),
        };
        let mut parts = VecDeque::from([part(10, &["abc", "de"]), part(15, &["fgh"])]);
        assert_eq!(cut(&mut parts, 2), 0);
        assert_eq!(cut(&mut parts, 4), 3);
        assert_eq!(parts, [part(13, &["de"]), part(15, &["fgh"])]);
        assert_eq!(cut(&mut parts, 3), 2);
        assert_eq!(parts, [part(15, &["fgh"])]);
        assert_eq!((cut(&mut parts, 3), parts.len()), (3, 0));
    }
}
