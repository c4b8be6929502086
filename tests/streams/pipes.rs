//! Standard streams, FIFOs and devices as streams.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use wharf::{ByteStream, EventLoop, Result, Stdio, WriteStatus};
use wharf_test_support::serving::Directory;

use super::poll_once;

const CHILD: &str = "WHARF_STREAMS_CHILD";

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    let event_loop = EventLoop::new().unwrap();
    event_loop.run(test).unwrap();
    wharf::testing::settle(&event_loop).unwrap();
    assert_eq!(event_loop.statistics().connections_open, 0, "nothing is left");
}

/// Whether this is the child; else it is run with `input`, and what it gives returned: its output and its errors.
fn child(name: &str, input: &'static [u8]) -> Option<(String, String)> {
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    let mut texts = (String::new(), String::new());
    run(async |event_loop| {
        let program = std::env::current_exe()?;
        let child = event_loop.create_subprocess_exec(program);
        let child = child.args([name, "--exact", "--nocapture", "--test-threads=1"]);
        let mut child = child.env(CHILD, name).stdin(Stdio::piped()).await?;
        let output = child.communicate(input, 1 << 20).await?;
        texts = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        assert!(output.status.success(), "{texts:?}");
        Ok(())
    });
    Some(texts)
}

#[test]
fn standard_streams_are_read_and_written() {
    let name = "pipes::standard_streams_are_read_and_written";
    if let Some((output, errors)) = child(name, b"one\ntwo\nthree") {
        assert!(output.contains("<ONE><TWO><THREE>"), "{output:?}");
        assert!(errors.contains("3 lines"), "{errors:?}");
        return;
    }
    run(async |event_loop| {
        let mut lines = event_loop.open_stdin().await?.lines();
        let (output, errors) = (event_loop.open_stdout().await?, event_loop.open_stderr().await?);
        let mut count = 0;
        while let Some(line) = lines.next().await {
            output.write_all(format!("<{}>", line?.to_uppercase()).as_bytes()).await?;
            count += 1;
        }
        errors.write(format!("{count} lines\n").as_bytes());
        output.flush().await?;
        errors.flush().await?;
        Ok(())
    });
}

#[test]
fn standard_input_and_output_are_one_stream() {
    let name = "pipes::standard_input_and_output_are_one_stream";
    if let Some((output, _)) = child(name, b"hello") {
        assert!(output.contains("<hello>"), "{output:?}");
        return;
    }
    run(async |event_loop| {
        let mut stream = event_loop.open_stdio().await?;
        let (reader, writer) = stream.halves();
        let all = reader.read_to_end(100).await?;
        writer.write_all(&[b"<", &all[..], b">\n"].concat()).await?;
        writer.flush().await?;
        Ok(())
    });
}

#[test]
fn a_fifo_is_a_stream_for_its_reader_and_for_its_writer() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR)?;
        // It waits for somebody who reads.
        let mut opening = std::pin::pin!(event_loop.open_write_fifo(&path).start());
        assert!(poll_once(opening.as_mut()).await.is_none());
        let mut reader = event_loop.open_read_fifo(&path).await?;
        let writer = opening.await?;
        assert!(!writer.can_write_eof() || !writer.is_closing());
        let data: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
        let writing = async {
            writer.write_all(&data).await?;
            writer.write_all(b"last\n").await
        };
        let (written, read) = futures_lite::future::zip(writing, async {
            reader.read_exactly(300_000).await.map(<[u8]>::to_vec)
        })
        .await;
        written?;
        assert_eq!(read?, data);
        assert_eq!(reader.read_line().await?, Some("last"));
        assert!(poll_once(reader.read_line()).await.is_none());
        drop(writer);
        assert_eq!(reader.read_line().await?, None, "nobody writes any more");
        Ok(())
    });
}

#[test]
fn a_writer_whose_reader_goes_away_is_told() {
    run(async |event_loop| {
        let (reader, writer) = std::io::pipe()?;
        let writer = event_loop.open_write_pipe(writer).await?;
        assert_ne!(writer.write(&[1; 1_000_000]), WriteStatus::Closed);
        assert!(poll_once(writer.drain()).await.is_none(), "nobody reads");
        drop(reader);
        assert!(writer.drain().await.is_err_and(|error| error.is_closed()));
        assert!(writer.wait_closed().await.is_err());
        assert_eq!(writer.write(b"x"), WriteStatus::Closed);
        Ok(())
    });
}

#[test]
fn a_reader_that_is_dropped_lets_go_of_its_pipe() {
    run(async |event_loop| {
        let (reader, mut writer) = std::io::pipe()?;
        writer.write_all(b"unread")?;
        let mut stream = event_loop.open_read_pipe(reader).await?;
        assert_eq!(stream.fill_buf().await?, b"unread");
        drop(stream);
        super::settle(&event_loop).await;
        assert!(writer.write_all(b"x").is_err(), "nobody reads it");
        Ok(())
    });
}

#[test]
fn a_terminal_is_a_stream_both_ways() {
    run(async |event_loop| {
        let (master, terminal) = pseudoterminal()?;
        let mut stream: ByteStream = event_loop.open_device(terminal).await?;
        let mut master = File::from(master);
        master.write_all(b"one\ntwo\n")?;
        assert_eq!(stream.reader().read_line().await?, Some("one"));
        assert_eq!(stream.reader().read_line().await?, Some("two"));
        stream.writer().write_all(b"answer\n").await?;
        stream.writer().flush().await?;
        let mut seen = Vec::new();
        while !seen.ends_with(b"answer\r\n") {
            let mut buffer = [0; 100];
            let count = master.read(&mut buffer)?;
            seen.extend_from_slice(&buffer[..count]);
        }
        drop(master);
        assert!(matches!(stream.reader().read_line().await, Ok(None) | Err(_)), "it is hung up");
        Ok(())
    });
}

/// The master's side of a new pseudoterminal, and the terminal.
fn pseudoterminal() -> Result<(OwnedFd, OwnedFd)> {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(ptsname(&master, Vec::new())?, flags, Mode::empty())?;
    Ok((master, terminal))
}
