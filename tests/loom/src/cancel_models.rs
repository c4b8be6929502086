//! Cancelling a callback that another thread is about to call.

use loom::sync::Arc;
use loom::thread;

use crate::model;
use crate::remote::cancel::CallState;

#[test]
fn a_callback_is_called_or_was_cancelled_by_one_thread_and_never_both() {
    model(|| {
        let state = Arc::new(CallState::new());
        let cancels = [(); 2].map(|()| {
            let state = Arc::clone(&state);
            thread::spawn(move || state.cancel())
        });

        let started = state.start();

        let cancelled = cancels.map(|cancel| cancel.join().unwrap());
        let in_time = cancelled.into_iter().filter(|cancelled| *cancelled).count();
        assert_eq!(in_time, usize::from(!started));
        assert_eq!(state.is_cancelled(), !started);
        assert!(!state.start());
        assert!(!state.cancel());
    });
}
