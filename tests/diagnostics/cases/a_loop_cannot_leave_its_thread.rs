//~ `*const UseRemote` cannot be sent between threads safely

use wharf::EventLoop;

pub fn stop_later(event_loop: EventLoop) {
    std::thread::spawn(move || event_loop.stop());
}
