//! Ends in good order.

use rustix::process::Signal;

use crate::support::{Place, listening, run, start, until_it_runs};

#[test]
fn a_worker_that_is_to_end_finishes_what_it_runs_and_so_does_the_coordinator() {
    let place = Place::new();
    let coordinator = place.serve(&[]);
    listening(&coordinator);
    let worker = place.work(&["--slots", "1"]);
    run(async |event_loop| {
        let client = place.client(&event_loop);
        let task = client.submit("sleep", &300).await?;
        until_it_runs(&task).await;
        worker.signal(Signal::TERM);
        assert_eq!(task.result::<u64>().await?, 300);
        assert_eq!(task.status().await?.attempts, 1);
        let ending = worker.end();
        assert_eq!(ending.code, Some(0), "{}", ending.errors);

        // A task goes on while there is no coordinator, and its result is for the next one.
        let worker = place.work(&["--slots", "1"]);
        let task = client.submit("sleep", &500).await?;
        until_it_runs(&task).await;
        coordinator.signal(Signal::TERM);
        let ending = coordinator.end();
        assert_eq!(ending.code, Some(0), "{}", ending.errors);
        let coordinator = place.serve(&[]);
        listening(&coordinator);
        assert_eq!(task.result::<u64>().await?, 500);
        assert_eq!(task.status().await?.attempts, 1);

        // A second signal does not wait.
        let task = client.submit("sleep", &600_000).await?;
        until_it_runs(&task).await;
        worker.signal(Signal::TERM);
        worker.signal(Signal::INT);
        let ending = worker.end();
        assert_eq!(ending.code, Some(1), "{}", ending.errors);
        Ok(())
    });
}

#[test]
fn a_copy_is_the_store_of_another_coordinator() {
    let (place, other) = (Place::new(), Place::new());
    let coordinator = place.serve(&[]);
    listening(&coordinator);
    run(async |event_loop| {
        let task = place.client(&event_loop).submit("sleep", &1).await?;
        let copy = other.text("copy");
        let back_up = || start(&["backup", "--connect", &place.address(), "--out", &copy]).end();
        assert_eq!(back_up().code, Some(0));
        let again = back_up();
        assert!(again.code != Some(0) && again.errors.contains("exists"), "{}", again.errors);
        std::fs::create_dir(other.path("data"))?;
        std::fs::rename(copy.clone(), other.path("data").join("tasks.redb"))?;
        let restored = other.serve(&[]);
        listening(&restored);
        let _worker = other.work(&[]);
        let client = other.client(&event_loop);
        assert_eq!(client.find(task.id().clone()).result::<u64>().await?, 1);
        Ok(())
    });
}
