//! Foreign code: every point where the loop calls what is not its own panics in turn, and the loop
//! serves on.
#![forbid(unsafe_code)]

mod bomb;
mod chains;
mod entries;
mod points;
mod stage;

/// Panics that are meant are not printed.
fn keep_quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload_as_str().unwrap_or_default();
            if !text.contains(bomb::ON_PURPOSE) {
                hook(info);
            }
        }));
    });
}
