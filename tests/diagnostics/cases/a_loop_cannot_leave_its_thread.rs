//~ UseRemote

use wharf::EventLoop;

pub fn stop_later(event_loop: EventLoop) {
    std::thread::spawn(move || event_loop.stop());
}
