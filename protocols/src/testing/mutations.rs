use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::random::Random;
use super::replay::{files, message};

/// A fuzzer for ordinary tests and stable Rust: inputs made of those in a directory by small changes, such as a bit, a cut,
/// a part of another input, or a word of a dictionary.
///
/// It does not see which branches an input takes, as a fuzzer with coverage does, so it finds less in the same time; but it
/// needs no other toolchain, and finds what is near the seeds. The same seed makes the same inputs, so that a failure
/// repeats.
///
/// ```
/// use wharf_protocols::framing::NetstringDecoder;
/// use wharf_protocols::testing::{Mutations, check_decoder};
///
/// # let directory = std::env::temp_dir().join(format!("wharf-mutations-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory).unwrap();
/// # std::fs::write(directory.join("hello"), "5:hello,0:,").unwrap();
/// // In a package: concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/messages")
/// Mutations::of(&directory).words(["3:", ","]).run(100, |data| {
///     let decoder = || NetstringDecoder::new().max_length(99);
///     check_decoder(data, 102, decoder, |payload| payload.to_vec());
/// });
/// # std::fs::remove_dir_all(&directory).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Mutations {
    inputs: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
    max_length: usize,
    random: Random,
}

impl Mutations {
    /// Changes of the files of a directory, which are the seeds of a fuzz target.
    ///
    /// # Panics
    /// If the directory cannot be read, or is empty.
    pub fn of(directory: impl AsRef<Path>) -> Self {
        let directory = directory.as_ref();
        let inputs: Vec<_> = files(directory).iter().map(|file| read(file)).collect();
        assert!(!inputs.is_empty(), "there are no seeds in {}", directory.display());
        Self { inputs, words: Vec::new(), max_length: 512, random: Random::seeded(b"") }
    }

    /// Uses a dictionary, too: a file as libFuzzer and AFL have it, `name="bytes"` on each line, with `\xNN`, `\\` and `\"`.
    ///
    /// # Panics
    /// If the file cannot be read, or has a line that is no entry.
    #[must_use]
    pub fn dictionary(mut self, file: impl AsRef<Path>) -> Self {
        let file = file.as_ref();
        let text = read(file);
        for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if !line.is_empty() && !line.starts_with(b"#") {
                let word = parse(line);
                let place = || format!("{}:{}", file.display(), number + 1);
                self.words.push(word.unwrap_or_else(|| panic!("{} is no entry", place())));
            }
        }
        self
    }

    /// Uses these byte strings, too.
    #[must_use]
    pub fn words<W: AsRef<[u8]>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(|word| word.as_ref().to_vec()));
        self
    }

    /// Other inputs than those of the seed 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = Random::seeded(&seed.to_le_bytes());
        self
    }

    /// The longest input to make, in bytes: 512 unless told otherwise.
    #[must_use]
    pub const fn max_length(mut self, max_length: usize) -> Self {
        self.max_length = max_length;
        self
    }

    /// Runs a function with so many inputs.
    ///
    /// # Panics
    /// If the function panics: with the input, to be put into a file beside the seeds, and what the function said.
    pub fn run(mut self, count: usize, mut run: impl FnMut(&[u8])) {
        for number in 1..=count {
            let input = self.next_input();
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&input))) {
                let text = message(&*panic);
                panic!("input {number}, b\"{}\": {text}", input.escape_ascii());
            }
        }
    }

    fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.random.choose(&self.inputs).cloned().unwrap_or_default();
        for _ in 0..=self.random.up_to(3) {
            self.change(&mut input);
        }
        input.truncate(self.max_length);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let random = &mut self.random;
        let start = random.up_to(input.len());
        let end = start + random.up_to((input.len() - start).min(16));
        match random.up_to(if self.words.is_empty() { 6 } else { 8 }) {
            0 | 1 => {
                if let Some(byte) = input.get_mut(start) {
                    *byte ^= 1 << random.up_to(7);
                }
            }
            2 => {
                if let Some(byte) = input.get_mut(start) {
                    *byte = *random.choose(&BYTES).unwrap_or(byte);
                }
            }
            3 => drop(input.drain(start..end)),
            4 => {
                let part = input[start..end].to_vec();
                let place = random.up_to(input.len());
                input.splice(place..place, part);
            }
            5 => input.insert(start, random.up_to(255) as u8),
            // A part of another one, to its end.
            6 => {
                if let Some(other) = random.choose(&self.inputs) {
                    input.truncate(start);
                    input.extend_from_slice(&other[random.up_to(other.len())..]);
                }
            }
            choice => {
                if let Some(word) = random.choose(&self.words) {
                    let end = if choice == 7 { start } else { end };
                    input.splice(start..end, word.iter().copied());
                }
            }
        }
    }
}

/// Bytes at which something often changes.
const BYTES: [u8; 10] = [0, 1, b' ', b'0', b'\r', b'\n', 0x7e, 0x7f, 0x80, 0xff];

fn read(file: &Path) -> Vec<u8> {
    fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// An entry of a dictionary.
fn parse(line: &[u8]) -> Option<Vec<u8>> {
    let quoted = &line[line.iter().position(|&byte| byte == b'"')? + 1..];
    let mut rest = quoted.strip_suffix(b"\"")?;
    let mut word = Vec::new();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'"' {
            return None;
        }
        if byte != b'\\' {
            word.push(byte);
            continue;
        }
        match rest {
            [quoted @ (b'\\' | b'"'), after @ ..] => {
                word.push(*quoted);
                rest = after;
            }
            [b'x', high, low, after @ ..] => {
                let digits = [*high, *low];
                word.push(u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?);
                rest = after;
            }
            _ => return None,
        }
    }
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutations(inputs: &[&[u8]]) -> Mutations {
        let inputs = inputs.iter().map(|input| input.to_vec()).collect();
        Mutations { inputs, words: Vec::new(), max_length: 512, random: Random::seeded(b"") }
    }

    fn inputs(mutations: Mutations) -> Vec<Vec<u8>> {
        let mut inputs = Vec::new();
        mutations.run(1000, |input| inputs.push(input.to_vec()));
        inputs
    }

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        let mutations = mutations(&[b"one", b"two and more"]).words(["WORD"]);
        let first = inputs(mutations.clone());
        assert_eq!(inputs(mutations.clone()), first);
        assert_ne!(inputs(mutations.clone().seed(1)), first);
        let distinct: std::collections::BTreeSet<_> = first.iter().collect();
        assert!(distinct.len() > 500, "{}", distinct.len());
        assert!(first.iter().any(|input| input.windows(4).any(|part| part == b"WORD")));
        assert!(inputs(mutations.max_length(5)).iter().all(|input| input.len() <= 5));
    }

    /// A fault that is two changes away is found, and the panic has the input.
    #[test]
    #[should_panic(expected = "b\"5:hel\": no comma")]
    fn a_failure_has_its_input() {
        mutations(&[b"5:hello,"]).run(10_000, |input| assert!(input != b"5:hel", "no comma"));
    }

    #[test]
    fn entries_of_a_dictionary() {
        for (line, word) in [
            (&br#"crlf="\x0d\x0A""#[..], Some(&b"\r\n"[..])),
            (br#""a\"\\b""#, Some(b"a\"\\b")),
            (br#"name="""#, None),
            (br#"name="a"b""#, None),
            (br#"name="\n""#, None),
            (br#"name="\xg0""#, None),
            (br#"name=a"#, None),
            (br#"name="a"#, None),
        ] {
            assert_eq!(parse(line).as_deref(), word, "{}", line.escape_ascii());
        }
    }
}
