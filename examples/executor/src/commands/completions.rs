//! What shells and `man` want to know of the commands.

use std::io::{self, Write as _};

use clap::{Args, Command};
use clap_complete::Shell;
use wharf::Result;

use super::output::not_written;

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

/// Prints a script for a shell.
pub(super) fn run(arguments: &Completions, mut command: Command) -> Result {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    print(&script)
}

/// Prints a page for `man -l -`, with the options of each command.
pub(super) fn manual(command: Command) -> Result {
    let mut page = Vec::new();
    let mut command = command.disable_help_subcommand(true);
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for command in command.get_subcommands() {
        let manual = clap_mangen::Man::new(command.clone());
        page.extend_from_slice(format!(".SH {}\n", command.get_name().to_uppercase()).as_bytes());
        manual.render_description_section(&mut page)?;
        manual.render_options_section(&mut page)?;
    }
    print(&page)
}

fn print(bytes: &[u8]) -> Result {
    let mut output = io::stdout().lock();
    output.write_all(bytes).map_err(not_written)
}
