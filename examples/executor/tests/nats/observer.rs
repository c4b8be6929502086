//! What is in the bucket of records.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use wharf::{EventLoop, Result, Task};
use wharf_executor::nats::{Names, NatsOptions};
use wharf_executor::task::{Outcome, Record};
use wharf_protocols::nats::jetstream::{JetStream, KeyValue, Operation, Update};
use wharf_protocols::nats::{Client, Options};

/// Outcomes with their revisions, by key.
type Outcomes = Rc<RefCell<BTreeMap<String, Vec<(u64, Record)>>>>;

/// All outcomes that were ever recorded, by key.
pub(crate) struct Observer {
    pub(crate) jetstream: JetStream,
    outcomes: Outcomes,
    _watching: Task<Result>,
}

impl Observer {
    /// Begins to look at what is recorded from now on.
    pub(crate) async fn start(
        event_loop: &EventLoop,
        servers: &[String],
        nats: &NatsOptions,
    ) -> Result<Self> {
        let client: Client = Options::new().connect(event_loop, servers).await?;
        let jetstream = JetStream::new(&client).timeout(Duration::from_secs(30));
        let bucket = Names::new(&nats.name)?.bucket();
        let bucket = loop {
            match KeyValue::bucket(&jetstream, &bucket).await {
                Ok(bucket) => break bucket,
                // Nobody has made it yet.
                Err(_) => event_loop.sleep(Duration::from_millis(50)).await,
            }
        };
        let mut watch = bucket.watch(">").await?;
        let outcomes = Outcomes::default();
        let own = Rc::clone(&outcomes);
        let _watching = event_loop.create_task(async move {
            loop {
                let Update::Entry(entry) = watch.next().await? else { continue };
                assert_eq!(entry.operation, Operation::Put);
                let record: Record = serde_json::from_slice(&entry.value)?;
                if record.outcome().is_some() {
                    let mut own = own.borrow_mut();
                    own.entry(entry.key).or_default().push((entry.revision, record));
                }
            }
        });
        Ok(Self { jetstream, outcomes, _watching })
    }

    /// Waits until so many tasks have an outcome, and checks that each has one, and only one.
    pub(crate) async fn each_has_one(&self, count: usize) -> Result<Vec<(Outcome, Record)>> {
        while self.outcomes.borrow().len() < count {
            wharf::sleep(Duration::from_millis(50)).await;
        }
        let mut found = Vec::new();
        for (key, outcomes) in &*self.outcomes.borrow() {
            // A watch that was made anew may tell one twice.
            let mut revisions: Vec<_> = outcomes.iter().map(|(revision, _)| revision).collect();
            revisions.dedup();
            assert_eq!(revisions.len(), 1, "{key} has several outcomes: {outcomes:?}");
            let record = &outcomes[0].1;
            found.push((record.outcome().unwrap(), record.clone()));
        }
        assert_eq!(found.len(), count);
        Ok(found)
    }

    /// How many messages wait in the stream, once they are as few as that.
    pub(crate) async fn waiting(&self, nats: &NatsOptions, at_most: u64) -> Result {
        let stream = Names::new(&nats.name)?.stream();
        while self.jetstream.stream_info(&stream).await?.state.messages > at_most {
            wharf::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}
