use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::json;

use crate::support::{World, ended, program, run, signal};

#[test]
fn words_are_arguments_and_results_come_back() {
    let world = World::with_worker();
    let ran = world.run(&["submit", "wordcount", "to be or not to be", "--wait", "--id", "x"]);
    assert_eq!((ran.code, &*ran.error), (0, ""));
    assert_eq!(ran.output, "x\t{\"be\":2,\"not\":1,\"or\":1,\"to\":2}\n");
    let ran = world.run(&["result", "x", "--json"]);
    let result = json!({"be": 2, "not": 1, "or": 1, "to": 2});
    let line = json!({"id": "x", "outcome": "succeeded", "result": result, "attempts": 1});
    assert_eq!((ran.code, ran.lines()), (0, vec![line]));
    // The same task.
    let ran = world.run(&["submit", "fail", "--id", "x", "--json"]);
    assert_eq!((ran.code, ran.lines()), (0, vec![json!({"id": "x"})]));
}

#[test]
fn the_options_of_a_task_are_those_of_its_record() {
    let world = World::new();
    let line = "submit nobody a=1 --id x --priority 9 --retries 7 --backoff 2s..1m --timeout 1m30s --keep 2h \
                --at 2100-01-01T00:00:00Z --deadline 4102444801000";
    assert_eq!(world.run(&line.split_whitespace().collect::<Vec<_>>()).code, 0);
    let record = world.run(&["status", "x", "--json"]).lines().remove(0);
    let at = 4_102_444_800_000_u64;
    assert_eq!(
        record["spec"],
        json!({
            "kind": "nobody", "args": {"a": 1}, "priority": 9, "retries": 7,
            "backoff": {"initial": 2_000, "longest": 60_000}, "timeout": 90_000, "keep": 7_200_000,
            "at": at, "deadline": at + 1_000,
        })
    );
    assert_eq!(record["state"], json!({"state": "delayed", "until": at}));
    let text = world.run(&["status", "x"]).output;
    assert!(text.contains("state     delayed until 2100-01-01T00:00:00.000Z\n"), "{text}");
    for (option, value, error) in [
        ("--timeout", "soon", "a duration is 10s, 1m30s, 2h or 1day"),
        ("--at", "soon", "a time is 2030-01-31T12:00:00Z"),
        ("--priority", "10", "a priority is 0 to 9"),
    ] {
        let ran = world.run(&["submit", "nobody", option, value]);
        assert_eq!(ran.code, 2);
        assert!(ran.error.contains(error), "{}", ran.error);
    }
}

#[test]
fn results_of_a_file_come_as_they_end_and_not_in_order() {
    let world = World::with_worker();
    let file = world.file(
        "tasks.jsonl",
        "{\"kind\": \"sleep\", \"args\": 60000, \"id\": \"slow\", \"timeout\": 60000}\n\
         {\"kind\": \"sha256\", \"args\": \"\", \"id\": \"quick\"}\n\
         {\"kind\": \"fail\", \"args\": \"no\", \"id\": \"bad\"}\n",
    );
    let mut submit =
        world.command(&["submit", "--file", &file, "--wait", "--json", "--retries", "0"]);
    let mut submit = submit.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(submit.stdout.take().unwrap()).lines();
    let mut first = [lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()];
    first.sort();
    assert!(first[0].contains(r#""id":"bad","outcome":"failed","error":"no""#), "{first:?}");
    assert!(first[1].contains(r#""id":"quick","outcome":"succeeded""#), "{first:?}");
    assert_eq!(world.run(&["cancel", "slow"]).code, 0);
    let last = lines.next().unwrap().unwrap();
    assert!(last.contains(r#""id":"slow","outcome":"cancelled""#), "{last}");
    assert_eq!(ended(submit).code, 3);
}

#[test]
fn a_wrong_line_is_named_and_what_was_before_it_is_submitted() {
    let world = World::new();
    let input = "{\"kind\": \"nobody\", \"id\": \"a\"}\n\n{\"kind\": \"nobody\", \"after\": [\"z\"]}\nnonsense\n{\"kind\": \"nobody\", \"id\": \"b\"}\n";
    let ran = run(world.command(&["submit", "--file", "-"]), input);
    assert_eq!((ran.code, &*ran.output), (2, "a\n"));
    assert!(
        ran.error.contains("line 3: refused: it comes after z, which is not there"),
        "{}",
        ran.error
    );
    assert!(ran.error.contains("line 4: expected"), "{}", ran.error);
    assert_eq!(world.run(&["status", "b"]).code, 6);
}

#[test]
fn sigint_while_waiting_says_what_goes_on() {
    let world = World::with_worker();
    let mut submit = world.command(&["submit", "--file", "-", "--wait"]);
    let submit = submit.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut submit = submit.spawn().unwrap();
    let mut input = submit.stdin.take().unwrap();
    let tasks = "{\"kind\": \"sleep\", \"args\": 0, \"id\": \"a\"}\n{\"kind\": \"nobody\", \"id\": \"b\"}\n";
    std::io::Write::write_all(&mut input, tasks.as_bytes()).unwrap();
    drop(input);
    let mut output = BufReader::new(submit.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    signal(submit.id(), "INT");
    let ran = ended(submit);
    assert_eq!(ran.code, 130);
    assert!(ran.error.contains("1 of 2 tasks have not ended, and go on"), "{}", ran.error);
    assert!(world.run(&["status", "b"]).output.contains("queued since"));
}

#[test]
fn sigint_ends_a_submit_whose_input_says_nothing() {
    let world = World::new();
    let mut submit = world.command(&["submit", "--file", "-"]);
    let submit = submit.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut submit = submit.spawn().unwrap();
    let mut input = submit.stdin.take().unwrap();
    // More than is read at once, so that its first part is submitted.
    let tasks = "{\"kind\": \"nobody\"}\n".repeat(501);
    std::io::Write::write_all(&mut input, tasks.as_bytes()).unwrap();
    let mut output = BufReader::new(submit.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    signal(submit.id(), "INT");
    let ran = ended(submit);
    assert_eq!(ran.code, 130);
    assert!(ran.error.contains("tasks were submitted, and go on"), "{}", ran.error);
    drop(input);
}

#[test]
fn a_closed_output_is_no_panic() {
    let world = World::new();
    let mut submit = world.command(&["submit", "--file", "-"]);
    let submit = submit.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut submit = submit.spawn().unwrap();
    drop(submit.stdout.take());
    let mut input = submit.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"{\"kind\": \"nobody\"}\n").unwrap();
    drop(input);
    let ran = ended(submit);
    assert_eq!((ran.code, &*ran.error), (141, ""));
    let mut help = program(std::path::Path::new("/"));
    let mut help =
        help.arg("--help").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(help.stdout.take());
    assert!(!ended(help).error.contains("panic"));
}
