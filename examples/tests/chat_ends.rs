//! How the clients of the chat end, and what they say then.

use std::net::TcpListener;

use crate::program::Program;

#[test]
fn clients_tell_the_end_of_a_server_that_is_killed() {
    for client in ["chat", "stdio_chat"] {
        let chat = Program::example("chat", &["--listen", "127.0.0.1:0"]);
        let member = Program::example(client, &["--connect", &chat.address()]);
        while !member.line().ends_with("joined lobby") {}
        // Killed, and waited for.
        drop(chat);
        let ending = member.end();
        assert_eq!(ending.code, Some(1));
        assert_eq!(ending.errors, format!("{client}: the server ended the connection\n"));
    }
}

#[test]
fn a_client_that_leaves_by_itself_ends_well() {
    let chat = Program::example("chat", &["--listen", "127.0.0.1:0"]);
    let address = chat.address();
    for (typed, leaves) in [
        ("/quit\n", false),
        ("/quit, all\n/quit for today\n", false),
        ("hello\r\n/quit\r\n", false),
        ("hello", true),
    ] {
        let mut member = Program::example("chat", &["--connect", &address]);
        member.types(typed);
        if leaves {
            member.types_no_more();
        }
        let ending = member.end();
        assert_eq!((ending.code, &*ending.errors), (Some(0), ""), "{typed:?}");
    }
}

#[test]
fn a_plain_client_is_told_that_the_server_wants_tls() {
    let chat = Program::example("chat", &["--listen", "127.0.0.1:0", "--tls"]);
    let mut member = Program::example("chat", &["--connect", &chat.address()]);
    member.types("hello\n");
    let ending = member.end();
    assert_eq!((ending.code, &ending.output[..]), (Some(1), &[][..]));
    assert_eq!(ending.errors, "chat: the server wants TLS, which `chat --tls` speaks\n");
}

#[test]
fn a_server_that_says_nothing_and_leaves_is_no_success() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let member = Program::example("chat", &["--connect", &address]);
    drop(listener.accept().unwrap());
    let ending = member.end();
    assert_eq!(ending.code, Some(1));
    assert!(ending.errors.contains("without a word; perhaps the server wants TLS"), "{ending:?}");
}
