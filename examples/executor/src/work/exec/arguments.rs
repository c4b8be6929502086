use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// How long a program has to end after SIGTERM, in milliseconds.
const GRACE: u64 = 5_000;
/// The longest that may be asked for: the coordinator waits, too.
const LONGEST_GRACE: u64 = 60_000;

/// What a task of the kind `exec` runs. As JSON an object, or the list of `argv` alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExecArguments {
    /// The program, which is looked for in `PATH` unless it contains a slash, and its arguments.
    pub argv: Vec<String>,
    /// Variables for it.
    pub env: BTreeMap<String, String>,
    /// It gets no variables but these. Else it gets those of the worker, without what begins with `WHARF_EXECUTOR`. It
    /// always gets `WHARF_TASK_ID` and `WHARF_TASK_ATTEMPT`.
    pub clear_env: bool,
    /// The directory that it starts in; that of the worker by default.
    pub cwd: Option<String>,
    /// What it reads from its standard input.
    pub stdin: Option<String>,
    /// How long it has to end after SIGTERM before it gets SIGKILL, in milliseconds: 5,000 by default, 60,000 at most.
    pub grace: Option<u64>,
    /// What it may use.
    pub limits: ExecLimits,
}

/// What one process of a task may use, as of `ulimit`. None by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExecLimits {
    /// Time of processors, in seconds.
    pub cpu: Option<u64>,
    /// Address space, in bytes.
    pub memory: Option<u64>,
    /// Open files.
    pub files: Option<u64>,
}

impl ExecArguments {
    /// That program, with these arguments.
    pub fn new(argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// The program, and its arguments; with limits a shell that sets them and becomes the program.
    pub(super) fn command_line(&self) -> Result<Vec<String>, &'static str> {
        if self.argv.first().is_none_or(String::is_empty) {
            return Err("argv is empty");
        }
        if self.grace.is_some_and(|grace| grace > LONGEST_GRACE) {
            return Err("grace is 60000 at most");
        }
        let mut line = Vec::new();
        if let Some(script) = self.limits.script() {
            line = ["/bin/sh".into(), "-c".into(), script, "sh".into()].to_vec();
        }
        line.extend(self.argv.iter().cloned());
        Ok(line)
    }

    pub(super) fn grace(&self) -> u64 {
        self.grace.unwrap_or(GRACE)
    }
}

impl ExecLimits {
    fn script(self) -> Option<String> {
        // The shell counts address space in KiB.
        let memory = self.memory.map(|bytes| bytes.div_ceil(1024));
        let options = [("-t", self.cpu), ("-v", memory), ("-n", self.files)];
        let set = |(option, limit): (&str, Option<u64>)| {
            limit.map(|limit| format!("ulimit {option} {limit} && "))
        };
        let limits: String = options.into_iter().filter_map(set).collect();
        (!limits.is_empty()).then(|| limits + "exec \"$@\"")
    }
}

impl<'de> Deserialize<'de> for ExecArguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ArgumentsVisitor)
    }
}

struct ArgumentsVisitor;

impl<'de> Visitor<'de> for ArgumentsVisitor {
    type Value = ExecArguments;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of the program and its arguments, or an object with argv")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::<String>::deserialize(SeqAccessDeserializer::new(list)).map(ExecArguments::new)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let object = Object::deserialize(MapAccessDeserializer::new(map))?;
        let Object { argv, env, clear_env, cwd, stdin, grace, limits } = object;
        Ok(ExecArguments { argv, env, clear_env, cwd, stdin, grace, limits })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    argv: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    clear_env: bool,
    #[serde(default)]
    cwd: Option<String>,
    #[serde(default)]
    stdin: Option<String>,
    #[serde(default)]
    grace: Option<u64>,
    #[serde(default)]
    limits: ExecLimits,
}
