//! A file with a task in each line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use wharf::{EventLoop, Executor, Result};

use crate::commands::task_options::{Members, spec};
use crate::task::Spec;

/// How many tasks are read at once, and submitted with one request.
const MOST_TASKS: usize = 500;
/// Of how many bytes.
const MOST_BYTES: usize = 1024 * 1024;
/// The longest line, in bytes: twice the largest arguments.
const LONGEST: u64 = 2 * 1024 * 1024;

/// The tasks of a file, of which a few are in memory.
pub(super) struct Lines {
    input: Box<dyn BufRead + Send>,
    /// Of the last line.
    number: usize,
    /// What a line has that does not say otherwise.
    defaults: Members,
}

/// Some tasks of a file.
pub(super) struct Chunk {
    /// With the numbers of their lines. None: this is the end.
    pub(super) tasks: Vec<(usize, Spec)>,
    /// What is wrong with the line that follows.
    pub(super) error: Option<String>,
}

impl Lines {
    /// Those of a file; of standard input, if the path is `-`.
    pub(super) fn open(path: &Path, defaults: Members) -> io::Result<Self> {
        let input: Box<dyn BufRead + Send> = if path == Path::new("-") {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::new(File::open(path)?))
        };
        Ok(Self { input, number: 0, defaults })
    }

    /// The next ones. The file is read on a thread of `reader`, since a pipe may have nothing for long.
    pub(super) async fn next(
        self,
        event_loop: &EventLoop,
        reader: &Executor,
    ) -> Result<(Self, Chunk)> {
        let mut lines = self;
        let reading = event_loop.run_in(reader, move || {
            let chunk = lines.read();
            (lines, chunk)
        });
        let (lines, chunk) = reading.await?;
        Ok((lines, chunk?))
    }

    fn read(&mut self) -> io::Result<Chunk> {
        let mut chunk = Chunk { tasks: Vec::new(), error: None };
        let (mut bytes, mut line) = (0, Vec::new());
        while chunk.tasks.len() < MOST_TASKS && bytes < MOST_BYTES {
            line.clear();
            let length = self.input.by_ref().take(LONGEST + 1).read_until(b'\n', &mut line)?;
            if length == 0 {
                break;
            }
            self.number += 1;
            bytes += length;
            if line.trim_ascii().is_empty() {
                continue;
            }
            match self.spec(&line) {
                Ok(spec) => chunk.tasks.push((self.number, spec)),
                Err(error) => {
                    chunk.error = Some(format!("line {}: {error}", self.number));
                    break;
                }
            }
        }
        Ok(chunk)
    }

    fn spec(&self, line: &[u8]) -> Result<Spec, String> {
        if line.len() as u64 > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
        let text = |error: serde_json::Error| error.to_string();
        if self.defaults.is_empty() {
            return serde_json::from_slice(line).map_err(text);
        }
        let mut members: Members = serde_json::from_slice(line).map_err(text)?;
        for (name, value) in &self.defaults {
            members.entry(name.clone()).or_insert_with(|| value.clone());
        }
        spec(&members).map_err(text)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use serde_json::value::RawValue;

    use super::{LONGEST, Lines, MOST_TASKS};
    use crate::commands::task_options::Members;

    fn lines(text: impl Into<Vec<u8>>, defaults: Members) -> Lines {
        Lines { input: Box::new(Cursor::new(text.into())), number: 0, defaults }
    }

    #[test]
    fn a_file_is_read_in_parts_and_errors_have_the_number_of_their_line() {
        let mut text = "{\"kind\": \"a\"}\n\n".repeat(MOST_TASKS + 1);
        text.push_str("{\"kind\": \"a\", \"prio\": 1}\n{\"kind\": \"b\"}");
        let mut lines = lines(text, Members::new());
        let first = lines.read().unwrap();
        assert_eq!((first.tasks.len(), first.error), (MOST_TASKS, None));
        let second = lines.read().unwrap();
        assert_eq!(second.tasks[0].0, 2 * MOST_TASKS + 1);
        let error = second.error.unwrap();
        assert!(error.starts_with("line 1003: unknown field `prio`"), "{error}");
    }

    #[test]
    fn a_line_has_the_options_of_the_command_line_unless_it_says_otherwise() {
        let seven = RawValue::from_string("7".into()).unwrap();
        let defaults = Members::from([("retries".into(), seven)]);
        let text = "{\"kind\": \"a\", \"args\": 1.50}\n{\"kind\": \"a\", \"retries\": 1}";
        let chunk = lines(text, defaults).read().unwrap();
        let told: Vec<_> =
            chunk.tasks.iter().map(|(_, spec)| (spec.retries, spec.args.get())).collect();
        assert_eq!(told, [(7, "1.50"), (1, "null")]);
    }

    #[test]
    fn a_line_without_an_end_is_not_read_into_memory() {
        let mut lines = lines(vec![b' '; 3 * LONGEST as usize], Members::new());
        // Of spaces, it is empty: and so is the rest.
        assert!(lines.read().unwrap().error.is_none());
        let mut lines = super::tests::lines(vec![b'x'; 3 * LONGEST as usize], Members::new());
        let error = lines.read().unwrap().error.unwrap();
        assert!(error.contains("line 1: it is longer than"), "{error}");
    }
}
