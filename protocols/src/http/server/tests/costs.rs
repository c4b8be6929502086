//! Without requests under way a connection holds no buffer.

use super::*;

#[test]
fn a_connection_without_a_request_holds_no_buffer() {
    let mut run = run(server());
    run.sends([GET, &GET[..5]].concat());
    run.sends([&GET[5..], GET].concat());
    let held = run.recorder.with(|connection, _| connection.decoder_capacity()).unwrap();
    assert_eq!(held, 0);
    assert!(
        std::mem::size_of::<HttpConnection<()>>() <= 512,
        "{}",
        std::mem::size_of::<HttpConnection<()>>()
    );
}
