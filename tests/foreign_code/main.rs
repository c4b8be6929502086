//! Foreign code: every point where the loop calls what is not its own panics in turn, and the loop
//! serves on.
#![forbid(unsafe_code)]

mod bomb;
mod chains;
#[cfg(feature = "tls")]
mod configurations;
mod entries;
#[cfg(feature = "log")]
mod logging;
mod points;
mod stage;

/// Panics that are meant are not printed.
fn keep_quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let text = payload.downcast_ref::<&str>().copied();
            let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            // Failed assertions quote what was reported.
            let is_meant = |text: &str| text.contains(bomb::ON_PURPOSE) && !text.contains("told");
            if !text.is_some_and(is_meant) {
                hook(info);
            }
        }));
    });
}
