//! What is kept of what tasks write.

use std::rc::Rc;

use redb::backends::InMemoryBackend;

use super::{DiskStore, EncodedBatch, Journal, Key, MemoryStore, record};
use crate::store::{OutputRow, Store};
use crate::task::Piece;

const TASK: Key = Key(7);

fn piece(random: &mut fastrand::Rng) -> Piece {
    let text = "aé€𝄞".chars().cycle().take(random.usize(0..3_000)).collect();
    Piece::of(random.bool(), text)
}

/// The text of rows, and how much is missing between them.
fn read(rows: &[(u64, OutputRow)]) -> (String, u64) {
    let (mut text, mut missing, mut next) = (String::new(), 0, 0);
    for (offset, row) in rows {
        missing += offset - next;
        next = offset + row.length();
        text.extend(row.pieces.iter().map(Piece::text));
    }
    (text, missing)
}

/// A journal in memory and one on a disk, of which each batch is durable at once.
struct Both(Journal<MemoryStore>, Journal<DiskStore>);

impl Both {
    fn new() -> Self {
        let disk = DiskStore::open_in(InMemoryBackend::new()).unwrap();
        let mut both = Self(Journal::new(MemoryStore::new()), Journal::new(disk));
        both.0.put(TASK, Rc::new(record("x")));
        both.1.put(TASK, Rc::new(record("x")));
        both
    }

    fn append(&mut self, attempt: u32, offset: u64, pieces: &[Piece], most: usize) {
        self.0.append_output(TASK, attempt, offset, pieces, most).unwrap();
        self.1.append_output(TASK, attempt, offset, pieces, most).unwrap();
    }

    fn commit(&mut self) {
        if let Some(batch) = self.0.take_batch() {
            self.0.store().apply(&batch);
            self.0.committed(&batch);
        }
        if let Some(batch) = self.1.take_batch() {
            let encoded = EncodedBatch::new(&batch).unwrap();
            self.1.store().writer().commit(&[encoded]).unwrap();
            self.1.committed(&batch);
        }
    }

    fn output(&mut self, offset: u64, most: usize) -> Vec<(u64, OutputRow)> {
        let rows = self.0.store().output(TASK, offset, most).unwrap();
        assert_eq!(self.1.store().output(TASK, offset, most).unwrap(), rows);
        rows
    }
}

#[test]
fn the_beginning_and_the_end_of_an_output_are_kept_within_its_limit() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut both = Both::new();
    let (mut all, most) = (String::new(), 64 * 1024);
    for _ in 0..300 {
        let pieces: Vec<_> = (0..random.usize(0..3)).map(|_| piece(&mut random)).collect();
        both.append(1, all.len() as u64, &pieces, most);
        all.extend(pieces.iter().map(Piece::text));
        if random.u8(..) < 100 {
            both.commit();
        }
        if random.u8(..) < 50 {
            // What is read again from the store is the same.
            both.0.close_output(TASK);
            both.1.close_output(TASK);
        }
    }
    both.commit();
    let rows = both.output(0, usize::MAX);
    let (text, missing) = read(&rows);
    assert_eq!(text.len() as u64 + missing, all.len() as u64);
    assert!(text.len() < most && text.len() > most * 3 / 4, "{}", text.len());
    let gap = rows.windows(2).filter(|rows| rows[0].0 + rows[0].1.length() < rows[1].0);
    let [before] = gap.map(|rows| rows[0].0 + rows[0].1.length()).collect::<Vec<_>>()[..] else {
        panic!("one gap")
    };
    assert!(before as usize >= most / 4, "{before}");
    let (head, tail) = text.split_at(before as usize);
    assert!(all.starts_with(head) && all.ends_with(tail));
    // A page has the row that an offset is in, and as many as are asked for.
    let page = both.output(before - 1, 1);
    assert_eq!(page.len(), 1);
    assert!(page[0].0 < before && page[0].0 + page[0].1.length() == before);
    assert!(both.output(all.len() as u64, 1).len() == 1 && both.output(0, 1).len() == 1);
}

#[test]
fn output_that_is_said_again_is_kept_once_and_what_is_left_out_is_missing() {
    let mut both = Both::new();
    let stdout = |text: &str| [Piece::Stdout(text.to_owned())];
    both.append(1, 0, &stdout("one "), 1_000);
    both.append(1, 0, &stdout("one "), 1_000);
    both.commit();
    both.0.close_output(TASK);
    both.1.close_output(TASK);
    // Its worker had not heard that it is kept.
    both.append(1, 0, &stdout("one "), 1_000);
    both.append(1, 4, &stdout("two "), 1_000);
    both.append(1, 100, &stdout("three "), 1_000);
    // Another attempt begins anew.
    both.append(2, 0, &stdout("one "), 1_000);
    both.append(2, 0, &stdout("one "), 1_000);
    both.append(3, 5, &stdout("x"), 1_000);
    both.commit();
    let rows = both.output(0, usize::MAX);
    assert_eq!(read(&rows), ("one two three one x".to_owned(), 92 + 5));
    let attempts: Vec<_> = rows.iter().map(|(offset, row)| (*offset, row.attempt)).collect();
    assert_eq!(attempts, [(0, 1), (100, 1), (106, 2), (115, 3)]);
}

#[test]
fn what_a_task_has_written_is_forgotten_with_it() {
    let mut both = Both::new();
    both.append(1, 0, &[Piece::Stderr("x".to_owned())], 1_000);
    both.commit();
    assert_eq!(both.output(0, 1).len(), 1);
    both.append(1, 1, &[Piece::Stderr("y".to_owned())], 1_000);
    let id = record("x").id;
    both.0.remove(TASK, id.clone());
    both.1.remove(TASK, id);
    both.commit();
    assert_eq!(both.output(0, usize::MAX), []);
}
