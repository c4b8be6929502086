//! What a member's line means.

/// One line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    /// Anything that does not begin with a slash.
    Say(&'a str),
    Nick(&'a str),
    Join(&'a str),
    Rooms,
    Who,
    Help,
    Quit,
    /// Not to be understood; the text says why.
    Unknown(String),
}

pub(crate) const HELP: [&str; 6] = [
    "/nick NAME   be called NAME",
    "/join ROOM   go to another room, which is made if there is none of that name",
    "/rooms       list the rooms and how many are there",
    "/who         list who is in this room",
    "/quit        leave",
    "anything else is said to everybody in the room",
];

/// The commands, for completion.
#[allow(dead_code, reason = "not for the server")]
pub(crate) const NAMES: [&str; 6] = ["/nick", "/join", "/rooms", "/who", "/help", "/quit"];

/// The longest nickname or name of a room, in bytes.
pub(crate) const MAX_NAME: usize = 32;

impl<'a> Command<'a> {
    pub(crate) fn parse(line: &'a str) -> Self {
        let Some(command) = line.strip_prefix('/') else { return Self::Say(line) };
        let (command, argument) = command.split_once(' ').unwrap_or((command, ""));
        let argument = argument.trim();
        match command {
            "nick" | "join" if !is_name(argument) => Self::Unknown(format!(
                "/{command} needs a name: letters, digits, - and _, at most {MAX_NAME} bytes"
            )),
            "nick" => Self::Nick(argument),
            "join" => Self::Join(argument),
            "rooms" => Self::Rooms,
            "who" => Self::Who,
            "help" => Self::Help,
            "quit" => Self::Quit,
            _ => Self::Unknown(format!("there is no command /{command}; /help lists them")),
        }
    }
}

/// Whether it can be shown in the middle of a line without being taken for something else.
fn is_name(text: &str) -> bool {
    let is_ordinary = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
    !text.is_empty() && text.len() <= MAX_NAME && text.chars().all(is_ordinary)
}
