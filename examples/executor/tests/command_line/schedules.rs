use serde_json::json;

use crate::support::World;

#[test]
fn schedules_are_added_listed_paused_run_and_removed() {
    let world = World::with_worker();
    let line = [
        "schedule",
        "add",
        "nightly",
        "30 2 * * *",
        "wordcount",
        "to be",
        "--zone",
        "Europe/Paris",
    ];
    let ran = world.run(&line);
    assert_eq!((ran.code, &*ran.output, &*ran.error), (0, "", ""));
    let every = "schedule add pulse @every_1m30s sleep 0 --missed skip --overlap skip --priority 9 --deadline 1h --json";
    let every: Vec<_> = every.split(' ').map(|word| word.replace('_', " ")).collect();
    let ran = world.run(&every.iter().map(|word| &**word).collect::<Vec<_>>());
    assert_eq!((ran.code, ran.lines()), (0, vec![json!({"name": "pulse", "changed": true})]));
    let listed = world.run(&["schedule", "list", "--json"]).lines();
    assert_eq!(
        listed[0]["schedule"]["when"],
        json!({"cron": {"expression": "30 2 * * *", "zone": "Europe/Paris"}})
    );
    assert_eq!(listed[0]["schedule"]["task"]["args"], json!("to be"));
    let pulse = &listed[1]["schedule"];
    assert_eq!(
        (&pulse["when"], &pulse["deadline"]),
        (&json!({"every": 90_000}), &json!(3_600_000))
    );
    assert_eq!((&pulse["missed"], &pulse["overlap"]), (&json!("skip"), &json!("skip")));
    assert_eq!(pulse["task"]["priority"], json!(9));
    let ran = world.run(&["schedule", "run", "nightly"]);
    let id = ran.output.trim().to_owned();
    assert!(id.starts_with("nightly:2"), "{id}");
    assert_eq!(world.run(&["result", &id]).output, "{\"be\":1,\"to\":1}\n");
    assert_eq!(world.run(&["schedule", "pause", "nightly"]).code, 0);
    let text = world.run(&["schedule", "list"]).output;
    assert!(text.starts_with("nightly              paused  "), "{text}");
    assert!(text.contains("every 1m 30s"), "{text}");
    assert_eq!(world.run(&["schedule", "resume", "nightly"]).code, 0);
    assert_eq!(world.run(&["schedule", "remove", "pulse"]).code, 0);
    assert_eq!(world.run(&["schedule", "list", "--json"]).lines().len(), 1);
    // What goes wrong.
    let told = |line: &[&str]| {
        let ran = world.run(&[line, &["--json"]].concat());
        (ran.code, ran.told().1)
    };
    assert_eq!(
        told(&["schedule", "remove", "pulse"]),
        (6, "there is no schedule pulse".to_owned())
    );
    assert_eq!(told(&["schedule", "run", "pulse"]).0, 6);
    let (code, text) = told(&["schedule", "add", "x", "61 * * * *", "sleep"]);
    assert!(code == 4 && text.contains("\"61 * * * *\" is no cron expression"), "{text}");
    let (code, text) = told(&["schedule", "add", "x", "@daily", "sleep", "--zone", "Nowhere"]);
    assert!(code == 4 && text.contains("there is no time zone \"Nowhere\""), "{text}");
    assert_eq!(told(&["schedule", "add", "nightly", "@daily", "sleep"]).0, 4);
    assert_eq!(world.run(&["schedule", "add", "nightly", "@daily", "sleep", "--replace"]).code, 0);
    assert_eq!(told(&["schedule", "add", "x", "every soon", "sleep"]).0, 2);
}
