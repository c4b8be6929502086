//! The key-value server, and the client that has many requests under way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::complaints;
use crate::program::{Ending, PATIENCE, Program};

fn ask(address: &str, requests: &[&str]) -> Ending {
    let arguments = [&["--connect", address, "--timeout", "10"], requests].concat();
    Program::example("client", &arguments).end()
}

#[test]
fn each_request_gets_its_own_answer() {
    let server = Program::example("key_value", &["--listen", "127.0.0.1:0"]);
    let address = server.address();
    let requests =
        ["SET tea green, hot", "GET tea", "GET milk", "DEL tea", "GET tea", "BREW tea", "SET  tea"];
    let ending = ask(&address, &requests);
    assert_eq!((ending.code, &*ending.errors), (Some(0), ""));
    assert_eq!(
        ending.output,
        [
            "SET tea green, hot: OK",
            "GET tea: VALUE green, hot",
            "GET milk: NONE",
            "DEL tea: OK",
            "GET tea: NONE",
            "BREW tea: ERROR requests are SET KEY VALUE, GET KEY and DEL KEY",
            "SET  tea: ERROR requests are SET KEY VALUE, GET KEY and DEL KEY",
        ]
    );
    // The store outlives its clients.
    ask(&address, &["SET a 1"]);
    assert_eq!(ask(&address, &["GET a"]).output, ["GET a: VALUE 1"]);
    server.signal(Signal::TERM);
    let ending = server.end();
    assert_eq!((ending.code, complaints(&ending.errors)), (Some(0), String::new()));
}

#[test]
fn a_request_of_several_lines_is_refused_and_harms_no_other() {
    let server = Program::example("key_value", &["--listen", "127.0.0.1:0"]);
    let ending = ask(&server.address(), &["SET a 1\nDEL a", "GET a"]);
    assert_eq!((ending.code, &ending.output[..]), (Some(1), &["GET a: NONE".to_owned()][..]));
    assert!(ending.errors.starts_with("client: SET a 1\nDEL a: "), "{}", ending.errors);
}

#[test]
fn whoever_waits_for_an_answer_is_told_why_there_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || {
        // The first client gets one answer for three requests, the second none at all.
        let (mut client, _) = listener.accept().unwrap();
        client.read_exact(&mut [0; 18]).unwrap();
        client.write_all(b"VALUE 1\n").unwrap();
        drop(client);
        let (mut client, _) = listener.accept().unwrap();
        client.read_to_end(&mut Vec::new()).unwrap();
    });
    let ending = ask(&address, &["GET a", "GET b", "GET c"]);
    assert_eq!((ending.code, &ending.output[..]), (Some(1), &["GET a: VALUE 1".to_owned()][..]));
    let told = "the connection ended before the answer came";
    assert_eq!(ending.errors, format!("client: GET b: {told}\nclient: GET c: {told}\n"));

    let ending =
        Program::example("client", &["--connect", &address, "--timeout", "0.2", "GET a"]).end();
    assert_eq!((ending.code, &ending.output[..]), (Some(1), &[][..]));
    assert!(
        ending.errors.starts_with("client: GET a: the answer took too long"),
        "{}",
        ending.errors
    );
    serving.join().unwrap();
}

#[test]
fn an_answer_that_never_ends_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        // Until the client is gone.
        while client.write_all(b"V").is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
    });
    let ending =
        Program::example("client", &["--connect", &address, "--timeout", "0.3", "GET a"]).end();
    assert_eq!((ending.code, &ending.output[..]), (Some(1), &[][..]));
    assert_eq!(ending.errors, "client: GET a: the answer took too long\n");
    serving.join().unwrap();
}

#[test]
fn a_client_cannot_fill_the_servers_memory() {
    let server = Program::example("key_value", &["--listen", "127.0.0.1:0"]);
    let address = server.address();
    let mut client = TcpStream::connect(&*address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let requests: String = (0..=1000).map(|key| format!("SET {key} x\n")).collect();
    let mut sending = client.try_clone().unwrap();
    let sender = thread::spawn(move || sending.write_all(requests.as_bytes()).unwrap());
    let mut answers = String::new();
    let mut reader = BufReader::new(&client);
    for _ in 0..=1000 {
        reader.read_line(&mut answers).unwrap();
    }
    sender.join().unwrap();
    assert_eq!(answers.matches("OK\n").count(), 1000);
    assert!(answers.ends_with("ERROR there are as many keys as there can be\n"), "{answers}");
    // One that is there can be set anew, and one that is gone makes room.
    let ending = ask(&address, &["SET 7 y", "GET 7", "DEL 8", "SET new z"]);
    assert_eq!(
        ending.output,
        ["SET 7 y: OK", "GET 7: VALUE y", "DEL 8: OK", "SET new z: OK"],
        "{}",
        ending.errors
    );
    // What is no text ends its connection.
    client.write_all(b"SET a \xff\n").unwrap();
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest);
    assert_eq!(rest, b"");
    server.signal(Signal::TERM);
    let ending = server.end();
    assert_eq!((ending.code, complaints(&ending.errors)), (Some(0), String::new()));
}

#[test]
fn an_answer_does_nothing_to_the_terminal() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.read_exact(&mut [0; 6]).unwrap();
        client.write_all("VALUE \x1b]0;mine\x07 \u{202e}\n".as_bytes()).unwrap();
    });
    let ending = ask(&address, &["GET a"]);
    assert_eq!(ending.output, ["GET a: VALUE \u{fffd}]0;mine\u{fffd} \u{fffd}"]);
    serving.join().unwrap();
}
