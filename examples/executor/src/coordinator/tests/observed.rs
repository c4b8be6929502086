//! What can be seen of a coordinator.

use std::time::Duration;

use super::{World, id, spec};
use crate::coordinator::{Filter, PhaseCounts, Report, Span, SpanEnd, Totals};
use crate::task::{Kind, Phase, Spec, Timestamp};

fn filter(state: Option<Phase>, kind: Option<&str>) -> Filter {
    Filter { state, kind: kind.map(|kind| Kind::new(kind).unwrap()) }
}

fn keys(
    world: &World,
    filter: &Filter,
    before: Option<u64>,
    limit: usize,
) -> (Vec<u64>, Option<u64>) {
    let page = world.coordinator.list(filter, before, limit).unwrap();
    (page.tasks.iter().map(|task| task.key).collect(), page.next)
}

/// What the index counts is what the records say.
pub(super) fn assert_counted(world: &mut World) {
    let mut counted = PhaseCounts::default();
    for phase in Phase::ALL {
        let mut before = None;
        loop {
            let page = world.coordinator.list(&filter(Some(phase), None), before, 200).unwrap();
            for task in &page.tasks {
                assert_eq!(Phase::from(&task.state), phase, "{task:?}");
                let number = match phase {
                    Phase::Blocked => &mut counted.blocked,
                    Phase::Delayed => &mut counted.delayed,
                    Phase::Queued => &mut counted.queued,
                    Phase::Running => &mut counted.running,
                    Phase::Succeeded => &mut counted.succeeded,
                    Phase::Failed => &mut counted.failed,
                    Phase::Cancelled => &mut counted.cancelled,
                };
                *number += 1;
            }
            before = page.next;
            if before.is_none() {
                break;
            }
        }
    }
    let overview = world.coordinator.overview(world.now);
    assert_eq!(overview.tasks, counted);
    assert_eq!(overview.tasks.queued, world.coordinator.queued() as u64);
    assert_eq!(overview.tasks.running, world.coordinator.running() as u64);
    let mut by_kind = PhaseCounts::default();
    for view in &overview.kinds {
        by_kind.blocked += view.tasks.blocked;
        by_kind.delayed += view.tasks.delayed;
        by_kind.queued += view.tasks.queued;
        by_kind.running += view.tasks.running;
        by_kind.succeeded += view.tasks.succeeded;
        by_kind.failed += view.tasks.failed;
        by_kind.cancelled += view.tasks.cancelled;
    }
    assert_eq!(by_kind, counted);
}

#[test]
fn an_overview_counts_tasks_and_what_happened_to_them() {
    let mut world = World::new();
    let worker = world.join(9, &["a"]);
    let delayed = Spec { at: Some(Timestamp(world.now.wall.0 + 60_000)), ..spec("a") };
    world.submit(delayed);
    for kind in ["a", "a", "a", "a", "b", "b"] {
        world.submit(Spec { retries: 1, ..spec(kind) });
    }
    let tasks = world.assigned();
    world.submit(Spec { after: vec![tasks[3].1.id.clone()], ..spec("a") });
    let reports = [
        Report::Succeeded(serde_json::value::RawValue::NULL.to_owned()),
        Report::Failed("no".into()),
    ];
    for ((_, task), report) in tasks.iter().zip(reports) {
        world.coordinator.reported(worker, task.fence, report, world.now).unwrap();
    }
    let cancelled = world.coordinator.find(&tasks[2].1.id).unwrap().unwrap().0;
    world.coordinator.cancel(cancelled, world.now).unwrap();
    world.coordinator.reported(worker, tasks[2].1.fence, Report::Stopped, world.now).unwrap();
    assert_counted(&mut world);
    let overview = world.coordinator.overview(world.now);
    let expected = PhaseCounts {
        blocked: 1,
        delayed: 2,
        queued: 2,
        running: 1,
        succeeded: 1,
        failed: 0,
        cancelled: 1,
    };
    assert_eq!(overview.tasks, expected);
    let expected = Totals {
        submitted: 8,
        assigned: 4,
        succeeded: 1,
        failed: 0,
        cancelled: 1,
        retried: 1,
        lost: 0,
    };
    assert_eq!(overview.totals, expected);
    world.coordinator.worker_left(worker, world.now).unwrap();
    let overview = world.coordinator.overview(world.now);
    assert_eq!((overview.totals.lost, overview.tasks.queued, overview.worker_count), (1, 3, 0));
    // After a restart tasks are counted again, and nothing has happened yet.
    world.commit();
    world.restart();
    assert_counted(&mut world);
    let again = world.coordinator.overview(world.now);
    assert_eq!((again.tasks, again.totals), (overview.tasks, Totals::default()));
}

#[test]
fn a_worker_is_seen_with_what_runs_in_its_slots_and_since_when() {
    let mut world = World::new();
    world.coordinator.watch_spans(true);
    let worker = world.join_with_slots(4, 2, &["a"]);
    for name in ["1", "2", "3"] {
        world.submit(Spec { id: Some(id(name)), ..spec("a") });
    }
    let begin = world.now.wall;
    let [one, two, _] = world.assigned().try_into().unwrap();
    world.skip(Duration::from_secs(1));
    let report = Report::Failed("no".into());
    world.coordinator.reported(worker, two.1.fence, report, world.now).unwrap();
    let overview = world.coordinator.overview(world.now);
    let [seen] = overview.workers.try_into().unwrap();
    assert_eq!((&*seen.name, seen.slots, seen.capacity, seen.waiting), ("worker", 2, 4, 0));
    let running: Vec<_> =
        seen.running.iter().map(|slot| (slot.slot, slot.id.as_str(), slot.since)).collect();
    assert_eq!(running, [(0, "1", begin), (1, "3", world.now.wall)]);
    world.skip(Duration::from_secs(1));
    world.coordinator.worker_left(worker, world.now).unwrap();
    let (spans, missed) = world.coordinator.spans();
    let spans: Vec<_> = spans
        .into_iter()
        .map(|span| {
            let Span { slot, id, since, until, end, .. } = span;
            (slot, id.to_string(), since.0 - begin.0, until.0 - begin.0, end)
        })
        .collect();
    let expected = [
        (1, "2".to_owned(), 0, 1_000, SpanEnd::Failed),
        (0, "1".to_owned(), 0, 2_000, SpanEnd::Lost),
        (1, "3".to_owned(), 1_000, 2_000, SpanEnd::Lost),
    ];
    assert_eq!((spans.as_slice(), missed), (expected.as_slice(), 0));
    let _ = one;
}

#[test]
fn short_tasks_are_one_span_and_spans_that_nobody_takes_are_counted_and_not_kept() {
    let mut world = World::new();
    world.coordinator.watch_spans(true);
    let worker = world.join(1, &["a", "b"]);
    for number in 0..1_100 {
        // One after the other, and then by turns.
        world.submit(spec(if number % 2 == 1 && number > 500 { "b" } else { "a" }));
        let [(_, task)] = world.assigned().try_into().unwrap();
        let done = Report::Succeeded(serde_json::value::RawValue::NULL.to_owned());
        world.coordinator.reported(worker, task.fence, done, world.now).unwrap();
    }
    let (spans, missed) = world.coordinator.spans();
    assert_eq!((spans.len(), missed), (512, 88));
    assert_eq!((spans[0].count, spans[1].count), (501, 1));
    world.coordinator.watch_spans(false);
    assert_eq!(world.coordinator.spans().0.len(), 0);
}

#[test]
fn tasks_are_listed_newest_first_in_pages() {
    let mut world = World::new();
    for number in 0..5_000 {
        world.submit(spec(if number % 1_000 == 0 { "rare" } else { "a" }));
    }
    let all = filter(None, None);
    let (mut before, mut expected) = (None, 5_000);
    loop {
        let (page, next) = keys(&world, &all, before, 150);
        for key in page {
            assert_eq!(key, expected);
            expected -= 1;
        }
        before = next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(expected, 0);
    let rare = filter(Some(Phase::Queued), Some("rare"));
    assert_eq!(keys(&world, &rare, None, 3), (vec![4_001, 3_001, 2_001], Some(2_001)));
    assert_eq!(keys(&world, &rare, Some(2_001), 3), (vec![1_001, 1], None));
    assert_eq!(keys(&world, &filter(Some(Phase::Failed), None), None, 3), (vec![], None));
    assert_eq!(keys(&world, &filter(None, Some("nobody")), None, 3), (vec![], None));
}

#[test]
fn large_arguments_make_short_pages_and_are_cut() {
    let mut world = World::new();
    let args = format!("\"{}\"", "é".repeat(200_000));
    for _ in 0..10 {
        let args = serde_json::value::RawValue::from_string(args.clone()).unwrap();
        world.submit(Spec { args, ..spec("a") });
    }
    let page = world.coordinator.list(&filter(None, None), None, 200).unwrap();
    assert_eq!((page.tasks.len(), page.next), (3, Some(8)));
    assert_eq!(&*page.tasks[0].args, format!("\"{}…", "é".repeat(127)));
}
