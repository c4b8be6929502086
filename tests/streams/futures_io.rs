//! The traits by which other libraries read and write.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use futures_lite::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy};
use futures_lite::{StreamExt, future};
use wharf::ByteStream;

use super::{joined, one_way, poll_once, settle};

#[test]
fn a_stream_is_read_and_written_by_the_traits_of_futures_io() {
    joined(async |_, mut near, mut far| {
        AsyncWriteExt::write_all(&mut near, b"hello\nworld\n").await?;
        near.flush().await?;
        let mut line = String::new();
        AsyncBufReadExt::read_line(&mut far, &mut line).await?;
        assert_eq!(line, "hello\n");
        let mut buffer = [0; 6];
        AsyncReadExt::read_exact(&mut far, &mut buffer).await?;
        assert_eq!(&buffer, b"world\n");
        AsyncWriteExt::close(&mut near).await?;
        assert_eq!(AsyncReadExt::read(&mut far, &mut buffer).await?, 0);
        let (reader, mut writer) = far.split();
        drop(reader);
        let slices = [io::IoSlice::new(b"one "), io::IoSlice::new(b"two")];
        assert_eq!(AsyncWriteExt::write_vectored(&mut writer, &slices).await?, 7);
        AsyncWriteExt::close(&mut writer).await?;
        AsyncWriteExt::close(&mut writer).await?;
        let mut all = Vec::new();
        near.read_to_end(&mut all).await?;
        assert_eq!(all, b"one two");
        Ok(())
    });
}

#[test]
fn adapters_of_other_libraries_work_on_a_stream() {
    joined(async |_, near, far| {
        let (_reader, mut writer) = near.split();
        let sending = async {
            let data: Vec<u8> = (0..300_000_u32).map(|number| b'a' + (number % 26) as u8).collect();
            for line in data.chunks(1000) {
                AsyncWriteExt::write_all(&mut writer, line).await?;
                AsyncWriteExt::write_all(&mut writer, b"\n").await?;
            }
            AsyncWriteExt::close(&mut writer).await
        };
        let (reader, _far) = far.split();
        let counting = async {
            let mut lines = AsyncBufReadExt::lines(BufReader::new(reader));
            let mut count = 0;
            while let Some(line) = StreamExt::next(&mut lines).await {
                assert_eq!(line?.len(), 1000);
                count += 1;
            }
            Ok::<_, io::Error>(count)
        };
        let (sent, count) = future::zip(sending, counting).await;
        sent?;
        assert_eq!(count?, 300);
        Ok(())
    });
}

#[test]
fn a_copy_between_streams_is_bounded_by_back_pressure() {
    joined(async |event_loop, near, far| {
        let (other, mut sink) = wharf::testing::stream_pair(&event_loop, 1000)?;
        let (reader, _far) = far.split();
        let (_reader, mut writer) = other.split();
        let copying = event_loop.create_task(async move {
            let copied = copy(reader, &mut writer).await?;
            AsyncWriteExt::close(&mut writer).await?;
            Ok::<_, io::Error>(copied)
        });
        near.writer().write(&[7; 1_000_000]);
        settle(&event_loop).await;
        assert!(near.writer().write_buffer_size() > 500_000, "what nobody takes is not taken");
        let (_near, writer) = near.split();
        drop(writer);
        let all = sink.reader().read_to_end(1 << 20).await?;
        assert_eq!(all.len(), 1_000_000);
        assert_eq!(copying.await??, 1_000_000);
        Ok(())
    });
}

#[test]
fn who_writes_by_the_traits_leaves_others_their_turn_though_the_peer_takes_everything() {
    for (size, count) in [(64 * 1024, 32 * 16), (4 << 20, 8)] {
        joined(async |event_loop, _, _| {
            let (mut near, _far) = wharf::testing::stream_pair(&event_loop, 64 << 20)?;
            let turns = Rc::new(Cell::new(0));
            let counter = Rc::clone(&turns);
            let counting = event_loop.create_task(async move {
                loop {
                    wharf::yield_now().await;
                    counter.set(counter.get() + 1);
                }
            });
            let data = vec![7; size];
            for number in 0..count {
                if number % 2 == 0 {
                    AsyncWriteExt::write_all(&mut near, &data).await?;
                } else {
                    let slices = [io::IoSlice::new(&data[..9]), io::IoSlice::new(&data[9..])];
                    AsyncWriteExt::write_vectored(&mut near, &slices).await?;
                }
            }
            assert!(turns.get() > 4, "{} turns", turns.get());
            counting.cancel();
            Ok(())
        });
    }
}

#[test]
fn errors_come_out_of_the_traits_as_they_went_in() {
    one_way(async |event_loop, writer, reader| {
        writer.write(&[0; 200_000]);
        settle(&event_loop).await;
        writer.abort();
        settle(&event_loop).await;
        let mut stream = ByteStream::join(reader, writer);
        let mut sink = Vec::new();
        let error = AsyncReadExt::read_to_end(&mut stream, &mut sink).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let error = AsyncWriteExt::write(&mut stream, b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{error}");
        assert!(wharf::Error::from(error).is_closed());
        assert!(poll_once(AsyncWriteExt::flush(&mut stream)).await.unwrap().is_err());
        Ok(())
    });
}
