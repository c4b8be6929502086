use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::client::ClientOptions;
use crate::task::{Kind, Timestamp};

/// A durable distributed task executor.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(super) struct CommandLine {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The coordinator: keeps tasks, and gives them to workers, until SIGINT or SIGTERM
    Serve(Serve),
    /// A worker: runs tasks, until SIGINT or SIGTERM
    Work(Work),
    /// Submits tasks
    Submit(Submit),
    /// What is known of a task, as JSON
    Status(OneTask),
    /// Waits for a task, and prints its result
    Result(OneTask),
    /// A task is not wanted any more
    Cancel(OneTask),
    /// A task that has failed or was cancelled is tried again
    Retry(OneTask),
    /// The coordinator takes no new tasks, and gives none to workers
    Drain(Drain),
    /// Has the Mandelbrot set drawn, tile by tile
    Render(Render),
    /// A coordinator, three workers, and a picture; a worker is killed half-way
    Demo(Demo),
}

/// Where the coordinator is.
#[derive(Clone, Debug, Args)]
pub(super) struct Coordinator {
    /// The coordinator's address
    #[arg(long, default_value = "127.0.0.1:7070", env = "WHARF_EXECUTOR")]
    pub(super) connect: String,
    /// What the coordinator wants to hear
    #[arg(long, env = "WHARF_EXECUTOR_TOKEN", hide_env_values = true)]
    pub(super) token: Option<Box<str>>,
}

impl Coordinator {
    pub(super) fn options(&self) -> ClientOptions {
        ClientOptions { token: self.token.clone(), ..ClientOptions::default() }
    }
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where to listen; the first line of output says where it does
    #[arg(long, default_value = "127.0.0.1:7070")]
    pub(super) listen: String,
    /// Where the tasks are kept
    #[arg(long, default_value = "wharf-executor.data")]
    pub(super) data: PathBuf,
    /// What workers and clients must know
    #[arg(long, env = "WHARF_EXECUTOR_TOKEN", hide_env_values = true)]
    pub(super) token: Option<Box<str>>,
}

#[derive(Debug, Args)]
pub(super) struct Work {
    #[command(flatten)]
    pub(super) coordinator: Coordinator,
    /// How many tasks run at once; as many as there are cores by default
    #[arg(long)]
    pub(super) slots: Option<usize>,
    /// The kinds to run, of those that it could; all by default
    #[arg(long, value_delimiter = ',', value_parser = parse_kind)]
    pub(super) kinds: Option<Vec<Kind>>,
    /// Its name, for people
    #[arg(long)]
    pub(super) name: Option<Box<str>>,
}

#[derive(Debug, Args)]
pub(super) struct Submit {
    #[command(flatten)]
    pub(super) coordinator: Coordinator,
    /// What to do
    #[arg(required_unless_present = "file", value_parser = parse_kind)]
    pub(super) kind: Option<Kind>,
    /// What to do it with, as JSON
    #[arg(default_value = "null")]
    pub(super) args: String,
    /// A file with a task in each line, as JSON; "-" is standard input
    #[arg(long, conflicts_with_all = ["kind", "args", "id"])]
    pub(super) file: Option<PathBuf>,
    /// Which task this is: a second one with the same id is the same task
    #[arg(long, value_parser = parse_id)]
    pub(super) id: Option<crate::task::TaskId>,
    /// Not before so many seconds have passed
    #[arg(long)]
    pub(super) delay: Option<f64>,
    /// Not before then, in milliseconds since 1970
    #[arg(long, conflicts_with = "delay", value_parser = parse_time)]
    pub(super) at: Option<Timestamp>,
    /// Who goes first: 0 to 9, 9 first
    #[arg(long, value_parser = parse_priority)]
    pub(super) priority: Option<crate::task::Priority>,
    /// How often it is tried again after it has failed
    #[arg(long)]
    pub(super) retries: Option<u32>,
    /// How long one attempt may take, in seconds
    #[arg(long)]
    pub(super) timeout: Option<f64>,
    /// Tasks that must have succeeded before
    #[arg(long, value_delimiter = ',', value_parser = parse_id)]
    pub(super) after: Vec<crate::task::TaskId>,
    /// Prints results as they come; fails if a task does
    #[arg(long)]
    pub(super) wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct OneTask {
    #[command(flatten)]
    pub(super) coordinator: Coordinator,
    /// The task's id
    #[arg(value_parser = parse_id)]
    pub(super) id: crate::task::TaskId,
}

#[derive(Debug, Args)]
pub(super) struct Drain {
    #[command(flatten)]
    pub(super) coordinator: Coordinator,
    /// It takes and gives tasks again
    #[arg(long)]
    pub(super) end: bool,
}

#[derive(Debug, Args)]
pub(super) struct Render {
    #[command(flatten)]
    pub(super) coordinator: Coordinator,
    #[command(flatten)]
    pub(super) picture: Picture,
}

/// A picture of the Mandelbrot set.
#[derive(Clone, Debug, Args)]
pub(super) struct Picture {
    /// Where the picture goes, as PNG
    #[arg(long, default_value = "mandelbrot.png")]
    pub(super) out: PathBuf,
    /// Its width, in pixels
    #[arg(long, default_value_t = 1_920, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(super) width: u32,
    /// Its height, in pixels
    #[arg(long, default_value_t = 1_080, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(super) height: u32,
    /// Width and height of a tile, in pixels
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(8..=1_024))]
    pub(super) tile: u32,
    /// After how many steps a point is taken to be in the set
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) steps: u32,
}

#[derive(Debug, Args)]
pub(super) struct Demo {
    #[command(flatten)]
    pub(super) picture: Picture,
}

fn parse_kind(text: &str) -> Result<Kind, crate::task::InvalidName> {
    Kind::new(text)
}

fn parse_id(text: &str) -> Result<crate::task::TaskId, crate::task::InvalidName> {
    crate::task::TaskId::new(text)
}

fn parse_time(text: &str) -> Result<Timestamp, std::num::ParseIntError> {
    text.parse().map(Timestamp)
}

fn parse_priority(text: &str) -> Result<crate::task::Priority, String> {
    let level: u8 = text.parse().map_err(|error| format!("{error}"))?;
    crate::task::Priority::new(level).ok_or_else(|| "a priority is 0 to 9".to_owned())
}
