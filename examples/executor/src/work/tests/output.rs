//! What functions write.

use std::time::Duration;

use wharf::EventLoop;

use super::{ADDRESS, Functions, Worker, options, run, serve};
use crate::client::{Client, ClientOptions, OutputItem, OutputReader};
use crate::task::{Kind, Piece, Progress, Spec};
use crate::work::Job;
use crate::work::output::TaskOutput;

fn client(event_loop: &EventLoop) -> wharf::Result<Client> {
    let options = ClientOptions { token: Some("secret".into()), ..ClientOptions::default() };
    Client::start(event_loop, [ADDRESS], options)
}

async fn all(mut output: OutputReader) -> wharf::Result<Vec<OutputItem>> {
    let mut items = Vec::new();
    while let Some(item) = output.next().await? {
        items.push(item);
    }
    Ok(items)
}

fn text(items: &[OutputItem]) -> String {
    let text = |item: &OutputItem| match item {
        OutputItem::Text { piece, .. } => piece.text().to_owned(),
        OutputItem::Missing(bytes) => format!("<{bytes}>"),
        OutputItem::Progress(progress) => format!("<{}/{:?}>", progress.done, progress.of),
    };
    items.iter().map(text).collect()
}

#[test]
fn what_a_function_writes_is_there_when_its_task_has_ended_also_that_of_failed_attempts() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut functions = Functions::new();
        functions.add("try", |word: String, job: &Job| {
            writeln!(job, "{word} {}", job.attempt());
            job.write_error("no\n");
            if job.attempt() < 3 { Err("not yet") } else { Ok(()) }
        })?;
        let _worker = Worker::start(&event_loop, [ADDRESS], functions, options())?;
        let client = client(&event_loop)?;
        let task = client.submit("try", &"attempt").await?;
        // One who follows from the beginning, and one who comes when all is over.
        let followed = all(task.output()).await?;
        task.result::<()>().await?;
        let text = |attempt, piece| OutputItem::Text { attempt, piece };
        let written = |attempt| {
            let line = Piece::Stdout(format!("attempt {attempt}\n"));
            [text(attempt, line), text(attempt, Piece::Stderr("no\n".into()))]
        };
        assert_eq!(followed, [1, 2, 3].map(written).concat());
        assert_eq!(all(task.output().kept()).await?, followed);
        assert_eq!(all(task.output().last(1).kept()).await?, written(3));
        Ok(())
    });
}

#[test]
fn an_async_function_is_followed_while_it_runs_and_says_how_far_it_is() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut functions = Functions::new();
        functions.add_async("steps", async |steps: u64, job: Job| {
            for step in 1..=steps {
                job.progress(step, steps);
                write!(job, "{step} ");
                wharf::sleep(Duration::from_secs(1)).await;
            }
            Ok::<_, String>(())
        })?;
        let _worker = Worker::start(&event_loop, [ADDRESS], functions, options())?;
        let client = client(&event_loop)?;
        let began = event_loop.time();
        let mut output = client.submit("steps", &3).await?.output();
        let mut seen = Vec::new();
        while let Some(item) = output.next().await? {
            seen.push((event_loop.time() - began, item));
        }
        let at = |seconds, item| (Duration::from_secs(seconds), item);
        let text = |text: &str| OutputItem::Text { attempt: 1, piece: Piece::Stdout(text.into()) };
        let progress = |done| OutputItem::Progress(Progress { done, of: Some(3) });
        let steps = [1, 2, 3]
            .map(|step| [at(step - 1, text(&format!("{step} "))), at(step - 1, progress(step))]);
        assert_eq!(seen, steps.concat());
        Ok(())
    });
}

#[test]
fn a_function_that_writes_more_than_is_kept_loses_the_middle_and_memory_has_a_limit() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut functions = Functions::new();
        functions.add("flood", |lines: u32, job: &Job| {
            for line in 0..lines {
                writeln!(job, "{line:07}");
            }
            Ok::<_, String>(())
        })?;
        let _worker = Worker::start(&event_loop, [ADDRESS], functions, options())?;
        let client = client(&event_loop)?;
        // 1.6 MB, of which the worker keeps half a MiB until it can send it, and the coordinator 256 KiB.
        let task = client.submit("flood", &200_000).await?;
        task.result::<()>().await?;
        let items = all(task.output().kept()).await?;
        let kept = text(&items);
        assert!(kept.len() < 256 * 1024 && kept.len() > 180 * 1024, "{}", kept.len());
        assert!(kept.ends_with("0199998\n0199999\n") && kept.contains('<'));
        let missing =
            |item: &OutputItem| if let OutputItem::Missing(bytes) = item { *bytes } else { 0 };
        let length = |item: &OutputItem| match item {
            OutputItem::Text { piece, .. } => piece.text().len() as u64,
            item => missing(item),
        };
        assert_eq!(items.iter().map(length).sum::<u64>(), 1_600_000);
        Ok(())
    });
}

#[test]
fn an_async_function_that_panics_fails_and_leaves_its_slot() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let mut functions = Functions::new();
        functions.add_async("panic", async |(): (), job: Job| -> Result<(), String> {
            job.write("last words");
            wharf::sleep(Duration::from_secs(1)).await;
            panic!("on purpose")
        })?;
        let worker = Worker::start(&event_loop, [ADDRESS], functions, options())?;
        let client = client(&event_loop)?;
        let args = serde_json::value::to_raw_value(&())?;
        let spec = Spec { retries: 0, ..Spec::new(Kind::new("panic")?, args) };
        let task = client.submit_spec(spec).await?;
        let error = task.result::<()>().await.unwrap_err();
        assert_eq!(error.to_string(), "the task has failed: it panicked: on purpose");
        assert_eq!(text(&all(task.output()).await?), "last words");
        assert_eq!((worker.tasks(), server.counts()), (0, (0, 0)));
        Ok(())
    });
}

#[test]
fn who_can_wait_does_while_much_is_not_sent_and_after_the_limit_only_the_end_is() {
    run(async |_| {
        let output = TaskOutput::default();
        let has_space = async || wharf::move_on_after(Duration::ZERO, output.has_space()).await;
        let block = "0123456789abcde\n".repeat(4 * 1024);
        let mut sent = 0;
        // 256 of 64 KiB are the limit.
        for _ in 0..85 {
            for _ in 0..3 {
                assert!(has_space().await.is_some());
                output.write(false, &block);
            }
            assert!(has_space().await.is_none(), "three of 64 KiB are more than 128");
            for _ in 0..3 {
                let chunk = output.next().await.expect("there is more");
                assert_eq!(chunk.offset, sent);
                sent += chunk.pieces.iter().map(|piece| piece.text().len() as u64).sum::<u64>();
            }
        }
        output.write(false, &block);
        assert!(output.next().await.is_some());
        for line in 0..20_000 {
            assert!(has_space().await.is_some());
            output.write(false, &format!("{line:07}\n"));
        }
        output.close();
        let mut end = String::new();
        while let Some(chunk) = output.next().await {
            end.extend(chunk.pieces.iter().map(Piece::text));
        }
        assert!(end.len() <= 64 * 1024 && end.len() > 56 * 1024, "{}", end.len());
        assert!(end.ends_with("0019998\n0019999\n"));
        Ok(())
    });
}
