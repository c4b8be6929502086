//! The numbers of signals, for [`EventLoop::add_signal_handler`](crate::EventLoop::add_signal_handler)
//! and [`ProcessTransport::send_signal`](crate::ProcessTransport::send_signal).

pub use signal_hook::consts::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSTOP, SIGTERM,
    SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH,
};
