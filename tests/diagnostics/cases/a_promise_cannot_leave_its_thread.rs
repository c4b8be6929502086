//~ UseRunInExecutorOrAChannel

use wharf::Promise;

pub fn compute(promise: Promise<u64>) {
    std::thread::spawn(move || promise.set_result(42));
}
