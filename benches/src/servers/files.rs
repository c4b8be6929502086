//! Servers that send a file: a client asks for a number of bytes, and gets the file, over and over,
//! until it has them.
//!
//! `--listen ADDRESS [--file-mib 256] [--read]`; with `--read` the file is read and written, as where
//! the system does not send files by itself.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::thread;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, sendfile};
use wharf::{EventLoop, Protocol, Transport, signal};

use super::{announce, prepare};
use crate::Result;
use crate::arguments::Arguments;

/// What is read and written at a time: as much as wharf does.
const BLOCK: usize = 128 * 1024;

/// What a server can be told.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// How long the file is; it takes as much of the disk.
    pub file_mib: u64,
    /// Whether to read and write the file.
    pub read: bool,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let options = Self {
            read: arguments.flag("--read"),
            listen: arguments.required("--listen")?,
            file_mib: arguments.option_or("--file-mib", 256)?,
        };
        arguments.finish()?;
        Ok(options)
    }
}

/// The plain server: a blocking loop, one client after the other. SIGTERM ends it.
///
/// # Errors
/// The system refuses something.
pub fn blocking(options: Options) -> Result {
    prepare()?;
    let file = file(options.file_mib)?;
    let listener = TcpListener::bind(options.listen)?;
    announce(listener.local_addr()?)?;
    // Its main thread waits for the end, so that it ends well.
    let mut termination = super::termination()?;
    termination.set_nonblocking(false)?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client that goes is no error.
            let _ = serve(client, &file, options.read);
        }
    });
    termination.read_exact(&mut [0])?;
    Ok(())
}

fn serve(mut client: TcpStream, file: &File, read: bool) -> Result {
    client.set_nodelay(true)?;
    let len = file.metadata()?.len();
    let mut block = vec![0; if read { BLOCK } else { 0 }];
    let mut request = [0; 8];
    while client.read_exact(&mut request).is_ok() {
        let mut left = u64::from_be_bytes(request);
        while left > 0 {
            let mut offset = 0;
            let end = len.min(left);
            while offset < end {
                let rest = usize::try_from(end - offset)?;
                if read {
                    let count = file.read_at(&mut block[..rest.min(BLOCK)], offset)?;
                    client.write_all(&block[..count])?;
                    offset += count as u64;
                } else {
                    sendfile(&client, file, Some(&mut offset), rest)?;
                }
            }
            left -= end;
        }
    }
    Ok(())
}

/// wharf's. SIGTERM ends it.
///
/// # Errors
/// The system refuses something.
pub fn wharf(options: Options) -> Result {
    prepare()?;
    let file = Rc::new(file(options.file_mib)?);
    let listener = TcpListener::bind(options.listen)?;
    let address = listener.local_addr()?;
    let descriptor = listener.try_clone()?;
    let event_loop = EventLoop::new()?;
    let own = event_loop.clone();
    event_loop.add_signal_handler(signal::SIGTERM, move || own.stop())?;
    let accepting = event_loop.clone();
    listener.set_nonblocking(true)?;
    event_loop.add_reader(descriptor, move || {
        while let Ok((client, _)) = listener.accept() {
            if options.read {
                // `sendfile` refuses what appends; to a socket it means nothing else.
                let flags = fcntl_getfl(&client).unwrap_or(OFlags::empty());
                let _ = fcntl_setfl(&client, flags | OFlags::APPEND);
            }
            let file = Rc::clone(&file);
            accepting.connect_accepted_socket(|| Download::new(file), client).start().detach();
        }
    })?;
    announce(address)?;
    event_loop.run_forever()?;
    Ok(())
}

/// Answers requests with the file.
struct Download {
    file: Rc<File>,
    request: Vec<u8>,
    len: u64,
}

impl Download {
    fn new(file: Rc<File>) -> Self {
        let len = file.metadata().map_or(0, |metadata| metadata.len());
        Self { file, request: Vec::new(), len }
    }
}

impl Protocol for Download {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> wharf::Result {
        self.request.extend_from_slice(data);
        while let Some((request, rest)) = self.request.split_first_chunk() {
            let mut left = u64::from_be_bytes(*request);
            self.request = rest.to_vec();
            while left > 0 {
                let count = self.len.min(left);
                transport.send_file(Rc::clone(&self.file), 0, Some(count)).detach();
                left -= count;
            }
        }
        Ok(())
    }
}

/// A file of this many MiB in the page cache, that is gone with its process.
fn file(mib: u64) -> Result<File> {
    if mib == 0 {
        return Err("--file-mib must not be 0".into());
    }
    let path = std::env::temp_dir().join(format!("wharf-bench-file-{}", std::process::id()));
    let mut file = OpenOptions::new().create_new(true).read(true).write(true).open(&path)?;
    std::fs::remove_file(&path)?;
    let block: Vec<u8> = (0..1024 * 1024).map(|position| (position % 251) as u8).collect();
    for _ in 0..mib {
        file.write_all(&block)?;
    }
    Ok(file)
}
