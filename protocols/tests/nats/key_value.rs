use wharf::Result;
use wharf_protocols::nats::jetstream::{JetStream, KeyValue, KeyValueConfig, Operation, Update};
use wharf_protocols::nats::{NatsError, Options};

use crate::server::{Server, is_missing, run};

#[test]
fn revisions_history_and_watch() -> Result {
    if is_missing() {
        return Ok(());
    }
    let server = Server::start();
    run(async |event_loop| {
        let client = Options::new().connect(&event_loop, [&server.address]).await?;
        let jetstream = JetStream::new(&client);
        let mut config = KeyValueConfig::new("settings");
        config.history = 5;
        let bucket = KeyValue::create_bucket(&jetstream, &config).await?;
        KeyValue::create_bucket(&jetstream, &config).await?;
        assert!(KeyValue::bucket(&jetstream, "none").await.is_err());

        assert_eq!(bucket.get("color").await?, None);
        let mut empty = bucket.watch(">").await?;
        assert_eq!(empty.next().await?, Update::Current);
        let first = bucket.create("color", "red").await?;
        let Update::Entry(seen) = empty.next().await? else { panic!() };
        assert_eq!(
            (seen.key.as_str(), seen.revision, &seen.value[..]),
            ("color", first, &b"red"[..])
        );
        let Err(NatsError::JetStream(error)) = bucket.create("color", "blue").await else {
            panic!()
        };
        assert!(error.is_wrong_last_sequence());
        let second = bucket.update("color", "green", first).await?;
        assert!(second > first);
        assert!(bucket.update("color", "blue", first).await.is_err());
        let entry = bucket.get("color").await?.unwrap();
        assert_eq!(
            (entry.revision, &entry.value[..], entry.operation),
            (second, &b"green"[..], Operation::Put)
        );
        assert_eq!(bucket.entry_at("color", first).await?.unwrap().value, "red");
        assert_eq!(bucket.entry_at("other", first).await?, None);
        bucket.put("size.x", [0, 255]).await?;
        assert_eq!(&bucket.get("size.x").await?.unwrap().value[..], [0, 255]);
        assert_eq!(bucket.keys().await?, ["color", "size.x"]);

        bucket.delete("color").await?;
        assert_eq!(bucket.get("color").await?, None);
        assert_eq!(bucket.entry("color").await?.unwrap().operation, Operation::Delete);
        let created = bucket.create("color", "again").await?;
        let operations: Vec<_> =
            bucket.history("color").await?.iter().map(|entry| entry.operation).collect();
        assert_eq!(operations, [Operation::Put, Operation::Put, Operation::Delete, Operation::Put]);
        assert!(created > second);

        let mut watch = bucket.watch("color").await?;
        let Update::Entry(current) = watch.next().await? else { panic!() };
        assert_eq!(current.revision, created);
        assert_eq!(watch.next().await?, Update::Current);
        bucket.purge("color").await?;
        let Update::Entry(purged) = watch.next().await? else { panic!() };
        assert_eq!(purged.operation, Operation::Purge);
        assert_eq!(bucket.history("color").await?.len(), 1);
        assert_eq!(bucket.keys().await?, ["size.x"]);
        for key in ["", ".a", "a.", "a..b", "a b", "a*", ">", "ä"] {
            assert!(bucket.put(key, "").await.is_err(), "{key:?}");
        }
        bucket.delete_bucket().await?;
        Ok(())
    })
}

#[test]
fn a_watch_of_a_bucket_that_was_made_again_ends() -> Result {
    if is_missing() {
        return Ok(());
    }
    let server = Server::start();
    run(async |event_loop| {
        let client = Options::new().connect(&event_loop, [&server.address]).await?;
        let jetstream = JetStream::new(&client);
        let config = KeyValueConfig::new("settings");
        let bucket = KeyValue::create_bucket(&jetstream, &config).await?;
        for color in ["red", "green", "blue"] {
            bucket.put("color", color).await?;
        }
        let mut watch = bucket.watch(">").await?;
        assert!(matches!(watch.next().await?, Update::Entry(_)));
        assert_eq!(watch.next().await?, Update::Current);
        bucket.clone().delete_bucket().await?;
        let bucket = KeyValue::create_bucket(&jetstream, &config).await?;
        // It would never come: its number is one that was told before.
        bucket.put("color", "white").await?;
        let Err(NatsError::JetStream(error)) = watch.next().await else { panic!() };
        assert!(error.is_not_found(), "{error}");
        let mut watch = bucket.watch(">").await?;
        let Update::Entry(entry) = watch.next().await? else { panic!() };
        assert_eq!(entry.value, "white");
        Ok(())
    })
}
