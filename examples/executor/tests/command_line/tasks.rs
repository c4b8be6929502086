use serde_json::json;

use crate::support::{World, program, run};

#[test]
fn exit_codes_say_what_went_wrong_and_errors_are_json_if_asked_for() {
    let world = World::with_worker();
    // The task failed.
    let ran = world.run(&["submit", "fail", "no", "--wait", "--retries", "0", "--id", "x"]);
    assert_eq!((ran.code, &*ran.output, &*ran.error), (3, "", "x\tthe task has failed: no\n"));
    let ran = world.run(&["result", "x", "--json"]);
    let line = json!({"id": "x", "outcome": "failed", "error": "no", "attempts": 1});
    assert_eq!((ran.code, ran.lines()), (3, vec![line]));
    // Refused.
    let ran = world.run(&["cancel", "x", "--json"]);
    let (code, text) = ran.told();
    assert_eq!((ran.code, &*code), (4, "refused"));
    assert!(text.starts_with("x failed at ") && text.ends_with("not ended is cancelled"), "{text}");
    let ran = world.run(&["submit", "nobody", "--after", "y", "--json"]);
    assert_eq!((ran.code, &*ran.told().0), (4, "refused"));
    // Unknown.
    for command in ["status", "cancel", "retry"] {
        let ran = world.run(&[command, "y", "--json"]);
        assert_eq!((ran.code, &*ran.told().0), (6, "unknown"), "{command}");
    }
    // Not in time.
    world.run(&["submit", "nobody", "--id", "n"]);
    let status = world.run(&["status", "n"]).output;
    assert!(status.contains("none of those that are connected"), "{status}");
    let ran = world.run(&["result", "n", "--timeout", "1ms", "--json"]);
    assert_eq!((ran.code, &*ran.told().0), (7, "timed_out"));
    // Usage.
    let ran = world.run(&["submit", "--json"]);
    assert_eq!((ran.code, &*ran.told().0), (2, "usage"));
    let ran = world.run(&["submit", "no name", "--json"]);
    assert_eq!((ran.code, &*ran.told().0), (2, "usage"));
    // A file that is not there.
    let ran = world.run(&["submit", "--file", "/nowhere", "--json"]);
    assert_eq!((ran.code, &*ran.told().0), (1, "other"));
    assert!(ran.told().1.starts_with("/nowhere: "));
    // A kind that a worker does not have.
    let ran = world.run(&["work", "--kinds", "sleep,nobody", "--json"]);
    assert_eq!((ran.code, &*ran.told().0), (2, "usage"));
    let changed = world.run(&["cancel", "n", "--json"]);
    assert_eq!((changed.code, changed.lines()), (0, vec![json!({"id": "n", "changed": true})]));
    assert_eq!(world.run(&["retry", "n"]).code, 0);
}

#[test]
fn a_coordinator_that_is_not_there_is_an_error_soon() {
    // A port that was free a moment ago, and one that does not answer.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (address, error) in [(gone, "efused"), (silent.local_addr().unwrap(), "does not answer")] {
        let mut command = program(std::path::Path::new("/"));
        let address = address.to_string();
        command.args([
            "status",
            "x",
            "--json",
            "--connect-timeout",
            "200ms",
            "--connect",
            &address,
        ]);
        let ran = run(command, "");
        assert_eq!(ran.code, 5);
        let (code, text) = ran.told();
        assert_eq!(code, "unreachable");
        assert!(text.contains(&address) && text.contains(error), "{text}");
    }
}

#[test]
fn a_wrong_token_is_refused() {
    let mut serve = program(std::path::Path::new("/"));
    let directory = tempfile::tempdir().unwrap();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--token", "secret", "--json", "--data"]);
    serve.arg(directory.path());
    let mut serve = serve.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(serve.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let mut command = program(directory.path());
    command.args(["status", "x", "--json", "--connect", line["listening"].as_str().unwrap()]);
    let ran = run(command, "");
    serve.kill().unwrap();
    serve.wait().unwrap();
    let (code, text) = ran.told();
    assert_eq!((ran.code, &*code), (4, "refused"));
    assert!(text.ends_with("the token is wrong"), "{text}");
}
