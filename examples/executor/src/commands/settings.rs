//! Options that are not on the command line: those of the environment, and those of a file.
//!
//! What the command line says goes before what the environment says, and that before the file. An option of the file
//! becomes the option's default, and so the rest is clap's.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use toml::{Table, Value};

use super::exit::{CommandError, Exit};

/// What is about one task, and so on the command line only.
const ONLY_HERE: [&str; 9] =
    ["after", "at", "config", "deadline", "delay", "file", "help", "id", "version"];
/// The variable that names the file.
const VARIABLE: &str = "WHARF_EXECUTOR_CONFIG";

/// The command with what environment and file say.
///
/// # Errors
/// The file cannot be read, is no TOML, or has what is no option or no value of one.
pub(super) fn applied(command: Command, line: &[OsString]) -> Result<Command, CommandError> {
    let command = with_variables(command, "WHARF_EXECUTOR");
    match path(line, |name| std::env::var_os(name)) {
        Some(path) => {
            let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
            with_file(command, &text).map_err(|error| failed(&path, error))
        }
        None => Ok(command),
    }
}

/// The file: the one of the command line, of the environment, or the first of the usual ones that is there.
fn path(line: &[OsString], variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let named = named(line).or_else(|| variable(VARIABLE));
    if let Some(path) = named {
        // An empty one: none at all.
        return Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty());
    }
    let home = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")));
    let usual = home.into_iter().chain([PathBuf::from("/etc")]);
    usual.map(|directory| directory.join("wharf-executor/config.toml")).find(|path| path.is_file())
}

/// What `--config` says. It is asked for before the rest can be understood.
fn named(line: &[OsString]) -> Option<OsString> {
    let mut words = line.iter().skip(1).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if word == "--config" {
            return words.next().cloned();
        }
        if let Some(path) = word.as_encoded_bytes().strip_prefix(b"--config=") {
            return std::str::from_utf8(path).ok().map(OsString::from);
        }
    }
    None
}

/// Options have variables: `WHARF_EXECUTOR_WORK_SLOTS` is that of `work --slots`.
fn with_variables(command: Command, prefix: &str) -> Command {
    let own = prefix.to_owned();
    let command = command.mut_args(move |arg| match option(&arg) {
        Some(name) if arg.get_env().is_none() => {
            let variable = format!("{own}_{name}").to_uppercase().replace('-', "_");
            arg.env(variable).hide_env(true)
        }
        _ => arg,
    });
    command.mut_subcommands(|command| {
        let prefix = format!("{prefix}_{}", command.get_name());
        with_variables(command, &prefix)
    })
}

fn with_file(command: Command, text: &str) -> Result<Command, String> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let is_table = |value: &Value| value.is_table();
    let common: Table = table
        .iter()
        .filter(|entry| !is_table(entry.1))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    for name in common.keys() {
        if !is_anywhere(&command, name) {
            return Err(format!("no command has an option {name}"));
        }
    }
    with_tables(command, &common, &table)
}

/// Options of `command` and of its subcommands have what the file says of all commands, and of each.
fn with_tables(command: Command, common: &Table, own: &Table) -> Result<Command, String> {
    let mut command = with_values(command, common)?;
    for (name, value) in own {
        let is_option = command.get_arguments().any(|arg| option(arg) == Some(name));
        match value {
            Value::Table(_) if command.find_subcommand(name).is_some() => {}
            Value::Table(_) => return Err(format!("there is no command {name}")),
            _ if is_option || common.contains_key(name) => {}
            _ => return Err(format!("{} has no option {name}", command.get_name())),
        }
    }
    command = with_values(command, own)?;
    let names: Vec<_> =
        command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let nothing = Table::new();
    for name in names {
        let own = own.get(&name).and_then(Value::as_table).unwrap_or(&nothing);
        let Some(found) = command.find_subcommand(&name).cloned() else { continue };
        let found = with_tables(found, common, own)?;
        command = command.mut_subcommand(name, |_| found);
    }
    Ok(command)
}

fn with_values(mut command: Command, table: &Table) -> Result<Command, String> {
    let names: Vec<_> = command
        .get_arguments()
        .filter_map(|arg| Some((arg.get_id().clone(), table.get(option(arg)?)?.clone())))
        .collect();
    for (id, value) in names {
        let mut outcome = Ok(());
        command = command.mut_arg(id, |arg| match text_of(&arg, &value) {
            Ok(text) => arg.default_value(text),
            Err(error) => {
                outcome = Err(error);
                arg
            }
        });
        outcome?;
    }
    Ok(command)
}

/// A value of the file as it would be on the command line.
fn text_of(arg: &Arg, value: &Value) -> Result<String, String> {
    let name = arg.get_long().unwrap_or_default();
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(flag) => Ok(flag.to_string()),
        _ => Err(format!("{name} has another kind of value")),
    };
    let text = match (value, arg.get_value_delimiter()) {
        (Value::Array(values), Some(delimiter)) => {
            let values = values.iter().map(one).collect::<Result<Vec<_>, _>>()?;
            values.join(&delimiter.to_string())
        }
        _ => one(value)?,
    };
    check(arg, &text).map_err(|error| format!("{name}: {error}"))?;
    Ok(text)
}

/// Whether an option can have this value.
fn check(arg: &Arg, text: &str) -> Result<(), String> {
    let mut alone = Arg::new("it").long("it").required(true).action(ArgAction::Set);
    alone = alone.value_parser(arg.get_value_parser().clone());
    if let Some(delimiter) = arg.get_value_delimiter() {
        alone = alone.value_delimiter(delimiter);
    }
    let line = [OsStr::new("it"), OsStr::new(&format!("--it={text}"))].map(OsStr::to_owned);
    let checked = Command::new("it").arg(alone).try_get_matches_from(line);
    checked.map(drop).map_err(|error| {
        let told = error.to_string();
        let first = told.lines().next().unwrap_or_default();
        let reason = first.split_once("': ").map_or("this is no value of it", |(_, why)| why);
        format!("{text:?}: {reason}")
    })
}

/// Whether a command has an option of this name.
fn is_anywhere(command: &Command, name: &str) -> bool {
    command.get_arguments().any(|arg| option(arg) == Some(name))
        || command.get_subcommands().any(|command| is_anywhere(command, name))
}

/// The name of an option that may be set elsewhere than on the command line.
fn option(arg: &Arg) -> Option<&str> {
    arg.get_long().filter(|name| !ONLY_HERE.contains(name))
}

fn failed(path: &Path, error: impl std::fmt::Display) -> CommandError {
    CommandError::new(Exit::Usage, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use clap::{Arg, ArgAction, Command, value_parser};

    use super::{named, path, with_file, with_variables};

    fn command() -> Command {
        let connect = Arg::new("address").long("connect").default_value("here");
        let slots = Arg::new("slots").long("slots").value_parser(value_parser!(usize));
        let kinds = Arg::new("kinds").long("kinds").value_delimiter(',').action(ArgAction::Append);
        let quiet = Arg::new("quiet").long("quiet").action(ArgAction::SetTrue);
        let id = Arg::new("id").long("id");
        let work = Command::new("work").args([connect.clone(), slots, kinds, quiet]);
        Command::new("x").subcommand(work).subcommand(Command::new("submit").args([connect, id]))
    }

    fn connect(command: Command, line: &[&str]) -> String {
        let matches = command.try_get_matches_from(line).unwrap();
        matches.subcommand().unwrap().1.get_one::<String>("address").unwrap().clone()
    }

    #[test]
    fn a_file_has_defaults_for_all_commands_and_for_each() {
        let text = "connect = \"all\"\n[work]\nconnect = \"workers\"\nslots = 4\nkinds = [\"a\", \"b\"]\nquiet = true";
        let command = with_file(command(), text).unwrap();
        assert_eq!(connect(command.clone(), &["x", "submit"]), "all");
        assert_eq!(connect(command.clone(), &["x", "work"]), "workers");
        assert_eq!(connect(command.clone(), &["x", "work", "--connect", "mine"]), "mine");
        let matches = command.try_get_matches_from(["x", "work"]).unwrap();
        let work = matches.subcommand().unwrap().1;
        assert_eq!(work.get_one::<usize>("slots"), Some(&4));
        assert_eq!(work.get_many::<String>("kinds").unwrap().collect::<Vec<_>>(), ["a", "b"]);
        assert!(work.get_flag("quiet"));
    }

    #[test]
    fn what_is_no_option_or_no_value_is_an_error_that_names_it() {
        for (text, error) in [
            ("slot = 1", "no command has an option slot"),
            ("id = \"x\"", "no command has an option id"),
            ("[work]\nslot = 1", "work has no option slot"),
            ("[submit]\nslots = 1", "submit has no option slots"),
            ("[wrok]\nslots = 1", "there is no command wrok"),
            ("slots = \"many\"", "slots: \"many\": invalid digit found in string"),
            ("slots = [1]", "slots has another kind of value"),
            ("slots", "TOML parse error"),
        ] {
            let told = with_file(command(), text).unwrap_err();
            assert!(told.contains(error), "{text}: {told}");
        }
    }

    #[test]
    fn options_have_variables_but_for_what_is_about_one_task() {
        let command = with_variables(command(), "X");
        let variable = |command_name: &str, id: &str| {
            let found = command.find_subcommand(command_name).unwrap();
            let arg = found.get_arguments().find(|arg| arg.get_id() == id).unwrap();
            arg.get_env().map(|name| name.to_str().unwrap().to_owned())
        };
        assert_eq!(variable("work", "slots").as_deref(), Some("X_WORK_SLOTS"));
        assert_eq!(variable("submit", "id"), None);
    }

    #[test]
    fn the_file_is_named_by_the_line_then_by_a_variable() {
        let words = |line: &[&str]| line.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(named(&words(&["x", "--config", "a"])), Some("a".into()));
        assert_eq!(named(&words(&["x", "work", "--config=b"])), Some("b".into()));
        assert_eq!(named(&words(&["x", "submit", "--", "--config=b"])), None);
        let variable = |name: &str| (name == super::VARIABLE).then(|| OsString::from("c"));
        assert_eq!(path(&words(&["x", "--config", "a"]), variable), Some(PathBuf::from("a")));
        assert_eq!(path(&words(&["x"]), variable), Some(PathBuf::from("c")));
        assert_eq!(
            path(&words(&["x"]), |name| (name == super::VARIABLE).then(OsString::new)),
            None
        );
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join(".config/wharf-executor");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("config.toml"), "").unwrap();
        let at_home = |name: &str| (name == "HOME").then(|| home.path().as_os_str().to_owned());
        assert_eq!(path(&words(&["x"]), at_home), Some(directory.join("config.toml")));
    }
}
