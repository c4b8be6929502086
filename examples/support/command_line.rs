//! How the examples read their command lines, and how they end.

use std::io::{self, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::{ExitCode, Termination};
use std::time::Duration;

use wharf::signal::{self, SIGINT};
use wharf::{Error, Failure, Result};

/// Runs an example, and turns its failure into one line on standard error and an exit code: 2 for
/// a command line that is wrong, 1 for everything else. One that Control-C has ended says nothing, and ends as by
/// the signal.
pub fn run<T: Termination>(
    usage: &str,
    example: impl FnOnce(lexopt::Parser) -> Result<T>,
) -> ExitCode {
    if std::env::args_os().any(|argument| argument == "--help" || argument == "-h") {
        // Nobody may be reading: that is no failure.
        let _ = io::stdout().write_all(usage.trim_start().as_bytes());
        return ExitCode::SUCCESS;
    }
    let error = match example(lexopt::Parser::from_env()) {
        Ok(value) => return value.report(),
        Err(error) => error,
    };
    if error.downcast_ref().is_some_and(Error::is_interrupted) {
        // It fails for a number that is no signal.
        let _ = signal::act_by_default(SIGINT);
    }
    let (hint, code) = match error.is::<lexopt::Error>() {
        true => (" (--help tells more)", 2),
        false => ("", 1),
    };
    // One write: another thread may be at the terminal, too.
    let line = format!("{}: {error:#}{hint}\n", program_name());
    let _ = io::stderr().write_all(line.as_bytes());
    ExitCode::from(code)
}

/// What this program is called.
pub fn program_name() -> String {
    let path = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    path.file_name().map_or_else(|| "example".into(), |name| name.to_string_lossy().into_owned())
}

/// A number of something, which cannot be zero: an option that is left out means "no limit".
///
/// This and the functions below are for `lexopt`'s `parse_with`.
pub fn count(text: &str) -> Result<usize, String> {
    match text.parse::<usize>().map_err(|error| error.to_string())? {
        0 => Err(ZERO.to_owned()),
        count => Ok(count),
    }
}

/// A number of bytes: `500`, `64k`, `10M` or `1G` (thousands), `64Ki`, `10Mi` or `1Gi` (1024s).
pub fn bytes(text: &str) -> Result<NonZero<u64>, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor: u64 = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        unit => return Err(format!("{unit} is no unit; there are k, M, G, Ki, Mi and Gi")),
    };
    let number = digits.parse::<u64>().map_err(|error| error.to_string())?;
    let number = number.checked_mul(factor).ok_or("it is too large")?;
    NonZero::new(number).ok_or_else(|| ZERO.to_owned())
}

/// A time in seconds, with a fraction if need be. Zero is refused, since some would take it for
/// "at once" and some for "never".
pub fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().map_err(|error| error.to_string())?;
    match Duration::try_from_secs_f64(number) {
        Ok(Duration::ZERO) => Err(ZERO.to_owned()),
        Ok(time) => Ok(time),
        Err(_) => Err("that is no time".to_owned()),
    }
}

const ZERO: &str = "zero is refused; leave the option out for none";

/// An address to connect to: `127.0.0.1:7000`, `[::1]:7000` or `localhost:7000`. Whether there is
/// such a host shows when it is looked up.
pub fn address(text: &str) -> Result<String, String> {
    match host_of(text)? {
        "" => Err(format!("missing host in `{text}`")),
        _ => Ok(text.to_owned()),
    }
}

/// An address to listen on: as [`address`], and `:7000` for all interfaces.
pub fn listen_address(text: &str) -> Result<String, String> {
    host_of(text).map(|_host| text.to_owned())
}

/// The host in `HOST:PORT`.
pub fn host_of(text: &str) -> Result<&str, String> {
    let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("missing port in `{text}`"))?;
    port.parse::<u16>().map_err(|_| format!("invalid port `{port}`"))?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bare {
        Some(bare) => Ok(bare),
        None if host.contains(':') => Err(format!("`{host}` needs brackets: `[{host}]:{port}`")),
        None => Ok(host),
    }
}

/// The path of a Unix socket.
pub fn path(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("an empty path".to_owned()),
        path => Ok(path.into()),
    }
}

/// Sets what can be said once, by one option or another.
pub fn set_once<T>(place: &mut Option<T>, value: T) -> Result<(), lexopt::Error> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err("where to listen, or to connect, can be said once".into()),
    }
}

/// An error for a command line that lacks something.
pub fn missing(what: &str) -> lexopt::Error {
    format!("{what} is missing").into()
}

/// An error for a command line that does not make sense.
pub fn misused(what: &str) -> Failure {
    lexopt::Error::from(what).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, size) in [
            ("1", 1),
            ("64k", 64_000),
            ("10M", 10_000_000),
            ("2G", 2_000_000_000),
            ("64Ki", 65_536),
        ] {
            assert_eq!(bytes(text).map(NonZero::get), Ok(size), "{text}");
        }
        for text in ["0", "0k", "", "k", "10X", "-1", "1.5M", "99999999999G"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn zero_is_refused_everywhere() {
        let errors = [count("0").err(), bytes("0").err(), seconds("0").err(), seconds("0.0").err()];
        assert!(errors.iter().all(|error| error.as_deref() == Some(ZERO)), "{errors:?}");
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        assert!(["-1", "NaN", "inf", "soon", ""].iter().all(|text| seconds(text).is_err()));
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for text in ["127.0.0.1:7000", "[::1]:7000", "localhost:7000"] {
            assert_eq!(address(text).as_deref(), Ok(text));
            assert_eq!(listen_address(text).as_deref(), Ok(text));
        }
        assert_eq!(listen_address(":7000").as_deref(), Ok(":7000"));
        assert_eq!(host_of("[::1]:7000"), Ok("::1"));
        for text in ["banana", "", ":7000", "::1:7000", "localhost:70000", "localhost:http"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
