//! The executor's binary, whose workers can do nothing: `executor serve`, `executor work`, as `wharf-executor`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    wharf_benches::executor::main()
}
