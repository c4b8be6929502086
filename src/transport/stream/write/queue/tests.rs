use std::fs::File;

use allocation_counter::measure;
use proptest::prelude::*;

use super::chunk::CHUNK;
use super::*;
use crate::event_loop::EventLoop;
use crate::task::future;

fn drain(queue: &mut WriteQueue, step: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while !queue.is_empty() {
        let mut slices = [IoSlice::new(&[]); 4];
        let count = queue.fill(&mut slices, step);
        let mut taken = 0;
        for slice in &slices[..count] {
            assert!(!slice.is_empty(), "an empty slice in a flush spins");
            let part = slice.len().min(step - taken);
            out.extend_from_slice(&slice[..part]);
            taken += part;
        }
        queue.advance(taken, &mut Vec::new());
    }
    out
}

#[test]
fn an_empty_queue_holds_no_memory() {
    let mut queue = WriteQueue::default();
    queue.push_copy(b"some");
    queue.push_bytes(&Bytes::from(vec![1; SHARE_FROM]));
    queue.advance(4 + SHARE_FROM, &mut Vec::new());
    assert!(queue.chunks.is_none());
}

#[test]
fn empty_writes_leave_no_chunk() {
    let mut queue = WriteQueue::default();
    queue.push_copy(b"");
    queue.push_bytes(&Bytes::new());
    assert!(queue.chunks.is_none());
}

#[test]
fn small_copies_share_a_chunk() {
    let mut queue = WriteQueue::default();
    for _ in 0..100 {
        queue.push_copy(b"0123456789");
    }
    assert_eq!(queue.chunks.unwrap().list.len(), 1);
}

#[test]
fn spent_bytes_are_handed_back() {
    let mut queue = WriteQueue::default();
    queue.push_bytes(&Bytes::from(vec![1; SHARE_FROM]));
    let mut drops = Vec::new();
    queue.advance(1, &mut drops);
    assert!(drops.is_empty());
    queue.advance(SHARE_FROM - 1, &mut drops);
    assert_eq!(drops.len(), 1);
}

#[test]
fn what_carries_descriptors_is_apart_from_the_bytes_around_it() {
    let mut queue = WriteQueue::default();
    queue.push_copy(b"before");
    let pipe = std::io::pipe().unwrap();
    queue.push_carrying(b"with", vec![pipe.0.into(), pipe.1.into()]);
    queue.push_copy(b"after");
    assert_eq!((queue.len(), queue.descriptors()), (15, 2));
    let mut slices = [IoSlice::new(&[]); 4];
    assert_eq!(queue.fill(&mut slices, usize::MAX), 1);
    assert_eq!(&*slices[0], b"before");
    queue.advance(6, &mut Vec::new());
    assert!(matches!(queue.front(), Some(Front::Carrying(b"with", [_, _]))));
    assert_eq!(queue.carried(1).len(), 2);
    assert_eq!((queue.len(), queue.descriptors()), (8, 0));
    assert!(!queue.is_mixed());
    assert_eq!(drain(&mut queue, 3), b"ithafter");
    assert!(queue.chunks.is_none());
}

proptest! {
    #[test]
    fn bytes_come_out_as_they_went_in(
        writes in prop::collection::vec((any::<bool>(), 0usize..3000), 0..40),
        step in 1usize..5000,
    ) {
        let mut queue = WriteQueue::default();
        let mut model = Vec::new();
        for (position, (shared, len)) in writes.into_iter().enumerate() {
            let data = vec![position as u8; len];
            model.extend_from_slice(&data);
            if shared { queue.push_bytes(&data.into()) } else { queue.push_copy(&data) }
            prop_assert_eq!(queue.len(), model.len());
        }
        prop_assert_eq!(drain(&mut queue, step), model);
    }
}

/// What a queue may hold beyond one and a half times its length: its box, the first chunk, and what
/// is sent of a chunk before the others are copied.
const CONSTANT: usize = 8 * 1024;

#[derive(Clone, Debug)]
enum Act {
    Copy(usize),
    Share(usize),
    File,
    Descriptors(usize),
    Send(usize),
    Cancel(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (1usize..64).prop_map(Act::Copy),
        (1usize..64).prop_map(Act::Copy),
        (1usize..200_000).prop_map(Act::Copy),
        // Chunks that are full, and those that were begun for the rest.
        (32_000usize..66_000).prop_map(Act::Copy),
        (1usize..2_000).prop_map(Act::Share),
        (512usize..700).prop_map(Act::Share),
        (1usize..100_000).prop_map(Act::Share),
        Just(Act::File),
        (200usize..1000).prop_map(Act::Descriptors),
        (1usize..3_000).prop_map(Act::Send),
        (1usize..500_000).prop_map(Act::Send),
        (0usize..10).prop_map(Act::Cancel),
    ];
    // Each act several times: what is cheap once may not be a hundred times.
    prop::collection::vec((act, 1usize..100), 1..12)
        .prop_map(|acts| acts.into_iter().flat_map(|(act, times)| vec![act; times]).collect())
}

/// Sends at most `count` bytes from the front, whatever they are of; files that are sent go to `files`.
fn send(queue: &mut WriteQueue, count: usize, files: &mut Vec<QueuedFile>) {
    let mut left = count;
    while left > 0 {
        let taken = match queue.front() {
            None => return,
            Some(Front::Bytes { .. }) => {
                let mut slices = [IoSlice::new(&[]); 4];
                let filled = queue.fill(&mut slices, left);
                slices[..filled].iter().map(|slice| slice.len()).sum()
            }
            Some(Front::File(_)) => {
                files.extend(queue.take_front_file().map(|file| *file));
                left = left.saturating_sub(FILE_WEIGHT);
                continue;
            }
            Some(Front::Carrying(data, _)) => {
                let sent = data.len().min(left);
                drop(queue.carried(sent));
                left -= sent;
                continue;
            }
            Some(Front::Piped) => unreachable!("none was put in"),
        };
        queue.advance(taken, &mut Vec::new());
        left -= taken;
    }
}

/// As many as `PROPTEST_CASES` says.
fn cases() -> u32 {
    if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 64 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn held_memory_is_at_most_one_and_a_half_times_the_length(acts in acts()) {
        held_memory_follows_the_length(&acts)?;
    }
}

#[test]
fn room_for_copies_follows_the_length() {
    // A chunk that was begun with much room, because much was queued, is the last one left.
    for small in [1, 100, 10_000, 49_153] {
        let mut acts = vec![Act::Copy(1_100_000), Act::Copy(small)];
        acts.resize(200, Act::Send(10_253));
        held_memory_follows_the_length(&acts).expect("it follows");
    }
    let mut acts = vec![Act::Share(512); 28];
    acts.resize(80, Act::Copy(49_153));
    acts.resize(600, Act::Send(10_253));
    held_memory_follows_the_length(&acts).expect("it follows");
    // A chunk that grew is the front, too, and much of it is sent.
    let mut acts = vec![Act::Copy(64); 460];
    acts.resize(1_000, Act::Send(64));
    held_memory_follows_the_length(&acts).expect("it follows");
}

fn held_memory_follows_the_length(acts: &[Act]) -> Result<(), TestCaseError> {
    let event_loop = EventLoop::new().expect("a loop");
    let file = Rc::new(File::open("/dev/null").expect("a file"));
    let mut queue = WriteQueue::default();
    let mut files: VecDeque<Rc<Progress>> = VecDeque::new();
    let mut held = 0;
    for (position, act) in acts.iter().enumerate() {
        // What is of the file's future is not the queue's.
        let (promise, _future) = future(event_loop.core());
        let progress = Rc::new(Progress::default());
        let queued = QueuedFile::new(Rc::clone(&file), 0, 1, Rc::clone(&progress), promise);
        let mut queued = Some(queued);
        let cancelled = match act {
            Act::Cancel(number) if *number < files.len() => files.remove(*number),
            _ => None,
        };
        let descriptors = match act {
            Act::Descriptors(_) => vec![file.try_clone().expect("a descriptor").into()],
            _ => Vec::new(),
        };
        if let Act::File = act {
            files.push_back(progress);
        }
        let mut taken = Vec::with_capacity(acts.len());
        let info = measure(|| match act {
            Act::Copy(len) => queue.push_copy(&vec![position as u8; *len]),
            Act::Share(len) => queue.push_bytes(&vec![position as u8; *len].into()),
            Act::File => queue.push_file(queued.take().expect("a file")),
            Act::Descriptors(len) => queue.push_carrying(&vec![1; *len], descriptors),
            Act::Send(count) => send(&mut queue, *count, &mut taken),
            Act::Cancel(_) => {
                let file = cancelled.as_ref().and_then(|progress| queue.take_file(progress));
                taken.extend(file.map(|file| *file));
            }
        });
        drop((queued, taken));
        held += info.bytes_current;
        let most = queue.len() + queue.len() / 2 + CONSTANT;
        prop_assert!(held <= most as i64, "{held} held of {}: {act:?}", queue.len());
    }
    let mut taken = Vec::with_capacity(acts.len());
    let info = measure(|| send(&mut queue, usize::MAX / 2, &mut taken));
    held += info.bytes_current;
    // But for the lists that the descriptors came in.
    prop_assert!(held.unsigned_abs() < CONSTANT as u64, "{held} bytes are left");
    Ok(())
}

/// Looks at chunks per chunk that was sent.
fn looks(chunks: usize, special: impl Fn(&mut WriteQueue, usize)) -> usize {
    let mut queue = WriteQueue::default();
    for position in 0..chunks {
        queue.push_bytes(&Bytes::from_static(&[7; SHARE_FROM]));
        special(&mut queue, position);
    }
    queue.push_carrying(b"end", Vec::new());
    send(&mut queue, usize::MAX / 2, &mut Vec::new());
    assert!(queue.is_empty());
    queue.looked_at.get() / chunks
}

#[test]
fn each_step_of_a_flush_looks_at_a_bounded_number_of_chunks() {
    for size in [1_000, 2_000, 4_000, 8_000] {
        let looks_each = looks(size, |_, _| {});
        assert!(looks_each <= 2 + LOOK_AHEAD / 4 + 1, "{looks_each} looks for each of {size}");
        // Special chunks between, as responses with files are.
        let looks_each = looks(size, |queue, position| {
            if position % 3 == 0 {
                queue.push_carrying(b"x", Vec::new());
            }
        });
        assert!(looks_each <= 8, "{looks_each} looks for each of {size}");
    }
}

fn queued_file(event_loop: &EventLoop) -> (QueuedFile, Rc<Progress>) {
    let file = Rc::new(File::open("/dev/null").expect("a file"));
    let (promise, _future) = future(event_loop.core());
    let progress = Rc::new(Progress::default());
    (QueuedFile::new(file, 0, 1, Rc::clone(&progress), promise), progress)
}

#[test]
fn a_cancelled_file_is_found_without_a_search_and_leaves_nothing() {
    let event_loop = EventLoop::new().expect("a loop");
    let mut queue = WriteQueue::default();
    queue.push_copy(b"before");
    let mut waiting = VecDeque::new();
    for _ in 0..500 {
        let (file, progress) = queued_file(&event_loop);
        queue.push_file(file);
        queue.push_copy(b"x");
        waiting.push_back(progress);
        // Of five that come one stays, at both ends and between.
        if waiting.len() > 5 {
            for position in [4, 2, 0, 1] {
                let progress = waiting.remove(position).expect("one");
                assert!(queue.take_file(&progress).is_some());
                assert!(queue.take_file(&progress).is_none(), "it is taken once");
            }
        }
    }
    let left = waiting.len();
    let chunks = queue.chunks.as_ref().expect("chunks");
    let kept = chunks.special + 500 + 1;
    assert!(chunks.list.len() <= 2 * kept, "{} places for {kept}", chunks.list.len());
    assert_eq!(queue.len(), 6 + 500 + chunks.special * FILE_WEIGHT);
    assert!(left <= chunks.special);
    assert_eq!(queue.looked_at.get(), 0);
    send(&mut queue, usize::MAX / 2, &mut Vec::new());
    assert!(queue.chunks.is_none());
    for progress in waiting {
        assert!(queue.take_file(&progress).is_none());
    }
}

#[test]
fn files_that_come_and_go_do_not_make_the_list_longer() {
    let event_loop = EventLoop::new().expect("a loop");
    let mut queue = WriteQueue::default();
    queue.push_copy(b"before");
    let (first, first_progress) = queued_file(&event_loop);
    queue.push_file(first);
    let (mut last, mut last_progress) = queued_file(&event_loop);
    for _ in 0..1_000 {
        queue.push_file(last);
        let (next, next_progress) = queued_file(&event_loop);
        queue.push_file(next);
        assert!(queue.take_file(&last_progress).is_some());
        let (another, another_progress) = queued_file(&event_loop);
        last = another;
        last_progress = another_progress;
        assert!(queue.take_file(&next_progress).is_some());
        let chunks = queue.chunks.as_ref().expect("chunks");
        assert!(chunks.list.len() <= 3 + 2 * SMALL_LIST, "{}", chunks.list.len());
    }
    assert!(queue.take_file(&first_progress).is_some());
    assert_eq!(queue.len(), 6);
    assert_eq!(drain(&mut queue, 10), b"before");
    assert!(queue.chunks.is_none());
}

#[test]
fn a_large_copy_is_let_go_of_as_it_is_sent() {
    let mut queue = WriteQueue::default();
    let info = measure(|| {
        queue.push_copy(&vec![1; 100 * CHUNK]);
        queue.advance(99 * CHUNK, &mut Vec::new());
    });
    assert!(info.bytes_current < 2 * CHUNK as i64, "{info:?}");
}

#[test]
fn little_that_is_left_of_bytes_does_not_keep_all_of_them() {
    let mut queue = WriteQueue::default();
    let data = Bytes::from(vec![1; 1_000_000]);
    queue.push_bytes(&data);
    let mut drops = Vec::new();
    queue.advance(999_000, &mut drops);
    assert!(drops.is_empty(), "somebody else has them");
    drop(data);
    queue.advance(1, &mut drops);
    assert_eq!(drops.len(), 1);
    assert_eq!(queue.len(), 999);
    assert_eq!(drain(&mut queue, 100), [1; 999]);
}
