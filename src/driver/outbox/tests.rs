//! Datagrams come out of an outbox as they went in.

use std::collections::VecDeque;

use super::*;
use proptest::prelude::*;

fn address(port: u16) -> Address {
    Address::Ip(([127, 0, 0, 1], port).into())
}

#[test]
fn datagrams_of_one_size_to_one_destination_are_one_run() {
    let mut outbox = Outbox::default();
    for _ in 0..3 {
        outbox.push(b"four", Some(&address(1)));
    }
    outbox.push(b"four", Some(&address(2)));
    outbox.push(b"", None);
    outbox.push(b"", None);
    assert_eq!(outbox.front().map(|run| (run.count, run.segment)), Some((3, 4)));
    assert_eq!(outbox.runs().count(), 4, "empty datagrams are no run: a kernel could not cut it");
    assert_eq!(outbox.size(), 16 + 6 * OVERHEAD);
}

#[test]
fn a_run_can_be_sent_in_parts() {
    let mut outbox = Outbox::default();
    for _ in 0..3 {
        outbox.push(b"four", None);
    }
    assert_eq!(outbox.advance(2), 8);
    assert_eq!(outbox.front().map(|run| (run.count, run.data.len())), Some((1, 4)));
    assert_eq!(outbox.advance(1), 4);
    assert_eq!(outbox.size(), 0);
}

proptest! {
    #[test]
    fn datagrams_come_out_as_they_went_in(
        sent in prop::collection::vec((0usize..5, 0u16..3, any::<bool>()), 0..200),
        steps in prop::collection::vec(1usize..40, 1..20),
    ) {
        let mut outbox = Outbox::default();
        let mut model = VecDeque::new();
        let mut steps = steps.into_iter().cycle();
        for (position, (kind, port, take)) in sent.into_iter().enumerate() {
            let data = vec![position as u8; [0, 1, 7, 1400, 9000][kind]];
            let to = (port > 0).then(|| address(port));
            match position % 5 {
                0 if !data.is_empty() => {
                    let size = data.len().div_ceil(3);
                    outbox.push_run(&data, size, to.as_ref());
                    model.extend(data.chunks(size).map(|part| (part.to_vec(), to.clone())));
                }
                // What it does not take is no harm.
                1 if outbox.push_alike(&data, to.as_ref()) => model.push_back((data, to)),
                2 => {
                    outbox.seal();
                    prop_assert!(!outbox.push_alike(&data, to.as_ref()));
                }
                _ => {
                    outbox.push(&data, to.as_ref());
                    model.push_back((data, to));
                }
            }
            if position % 7 == 3 {
                outbox.pop_last();
                model.pop_back();
            }
            if take {
                let count = steps.next().unwrap_or(1).min(model.len());
                let bytes: usize = model.drain(..count).map(|(data, _)| data.len()).sum();
                prop_assert_eq!(outbox.advance(count), bytes);
            }
            let bytes: usize = model.iter().map(|(data, _)| data.len()).sum();
            prop_assert_eq!(outbox.size(), bytes + model.len() * OVERHEAD);
            if let Some(run) = outbox.front() {
                prop_assert_eq!(run.data.len().div_ceil(run.segment.max(1)).max(1), run.count);
            }
        }
        let left: Vec<_> =
            outbox.iter().map(|one| (one.data.to_vec(), one.to.cloned())).collect();
        prop_assert_eq!(left, Vec::from(model));
    }
}
