//! What is to be run, and how: the options that all ways to start a child have in common.

use std::os::fd::OwnedFd;
use std::process::Command;

use super::protocol::ChildFd;
use super::stdio::Stdio;
use crate::transport::StreamOptions;

/// A child process to be started.
#[derive(Debug)]
pub(super) struct ProcessSettings {
    pub(super) command: Command,
    pub(super) stdin: Stdio,
    pub(super) stdout: Stdio,
    pub(super) stderr: Stderr,
    /// What the child gets besides the standard three.
    pub(super) extra: Vec<(ChildFd, Extra)>,
    pub(super) process_group: Option<i32>,
    pub(super) kill_on_drop: bool,
    /// Of the pipes to the child.
    pub(super) stream_options: StreamOptions,
}

#[derive(Debug)]
pub(super) enum Stderr {
    Own(Stdio),
    /// Where standard output goes.
    ToStdout,
}

/// What a descriptor of the child besides the standard ones is.
#[derive(Debug)]
#[cfg_attr(not(feature = "extra-fds"), allow(dead_code, reason = "nothing asks for any"))]
pub(super) enum Extra {
    Fd(OwnedFd),
    /// A pipe that the child reads from.
    Input,
    /// A pipe that the child writes to.
    Output,
}

impl ProcessSettings {
    /// In a box: builders hand themselves on with each option.
    pub(super) fn new(command: Command) -> Box<Self> {
        Box::new(Self {
            command,
            stdin: Stdio::piped(),
            stdout: Stdio::piped(),
            stderr: Stderr::Own(Stdio::piped()),
            extra: Vec::new(),
            process_group: None,
            kill_on_drop: true,
            stream_options: StreamOptions::for_pipe(),
        })
    }

    /// `/bin/sh` with a line to run.
    pub(super) fn shell(line: &std::ffi::OsStr) -> Box<Self> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(line);
        Self::new(command)
    }
}

/// Gives a builder with the field `settings` the methods that say how the child is run.
macro_rules! command_settings {
    () => {
        /// Adds an argument.
        pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
            self.settings.command.arg(argument);
            self
        }

        /// Adds several arguments.
        pub fn args(
            mut self,
            arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>,
        ) -> Self {
            self.settings.command.args(arguments);
            self
        }

        /// What the child sees as the name it was called by, instead of the program's.
        pub fn arg0(mut self, name: impl AsRef<std::ffi::OsStr>) -> Self {
            std::os::unix::process::CommandExt::arg0(&mut self.settings.command, name);
            self
        }

        /// Sets a variable in the child's environment, which is otherwise this process's.
        pub fn env(
            mut self,
            name: impl AsRef<std::ffi::OsStr>,
            value: impl AsRef<std::ffi::OsStr>,
        ) -> Self {
            self.settings.command.env(name, value);
            self
        }

        /// Sets several variables in the child's environment.
        pub fn envs(
            mut self,
            variables: impl IntoIterator<
                Item = (impl AsRef<std::ffi::OsStr>, impl AsRef<std::ffi::OsStr>),
            >,
        ) -> Self {
            self.settings.command.envs(variables);
            self
        }

        /// Keeps a variable from the child.
        pub fn env_remove(mut self, name: impl AsRef<std::ffi::OsStr>) -> Self {
            self.settings.command.env_remove(name);
            self
        }

        /// Keeps all variables from the child but those that are set later.
        pub fn env_clear(mut self) -> Self {
            self.settings.command.env_clear();
            self
        }

        /// The directory the child starts in. A program given by a relative path with a slash
        /// should be made absolute: which directory it is relative to depends on the system.
        pub fn current_dir(mut self, directory: impl AsRef<std::path::Path>) -> Self {
            self.settings.command.current_dir(directory);
            self
        }

        /// What the child's standard output is connected to. A pipe by default.
        pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
            self.settings.stdout = stdout.into();
            self
        }

        /// What the child's standard error is connected to. A pipe by default.
        pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
            self.settings.stderr = super::settings::Stderr::Own(stderr.into());
            self
        }

        /// Sends standard error where standard output goes, in the order in which the child writes
        /// (asyncio's `stderr=STDOUT`).
        pub fn stderr_to_stdout(mut self) -> Self {
            self.settings.stderr = super::settings::Stderr::ToStdout;
            self
        }

        /// The user the child runs as. It needs the right to change it; supplementary groups are
        /// dropped if this process is root.
        pub fn uid(mut self, user: u32) -> Self {
            std::os::unix::process::CommandExt::uid(&mut self.settings.command, user);
            self
        }

        /// The group the child runs as.
        pub fn gid(mut self, group: u32) -> Self {
            std::os::unix::process::CommandExt::gid(&mut self.settings.command, group);
            self
        }

        /// The process group the child joins; 0 for one of its own, which is what closing then
        /// kills, with all that the child has started in it, also after the child itself has exited.
        ///
        /// For that the child's id is kept until the process is closed, detached or dropped: the
        /// system shows it as a zombie until then.
        pub fn process_group(mut self, group: i32) -> Self {
            std::os::unix::process::CommandExt::process_group(&mut self.settings.command, group);
            self.settings.process_group = Some(group);
            self
        }
    };
}

pub(super) use command_settings;
