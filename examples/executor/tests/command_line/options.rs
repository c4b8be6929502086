use crate::support::{World, program, run};

#[test]
fn the_command_line_goes_before_the_environment_and_that_before_the_file() {
    let world = World::new();
    let file = world.file("config.toml", "[submit]\npriority = 1\nretries = 1\nkeep = \"1s\"");
    let mut submit =
        world.command(&["--config", &file, "submit", "nobody", "--id", "x", "--priority", "3"]);
    submit.env("WHARF_EXECUTOR_SUBMIT_PRIORITY", "2").env("WHARF_EXECUTOR_SUBMIT_RETRIES", "2");
    assert_eq!(run(submit, "").code, 0);
    let spec = world.run(&["status", "x", "--json"]).lines().remove(0)["spec"].clone();
    assert_eq!(
        (&spec["priority"], &spec["retries"], &spec["keep"]),
        (&3.into(), &2.into(), &1_000.into())
    );
}

#[test]
fn the_file_may_be_in_its_usual_place_and_name_the_coordinator() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join(".config/wharf-executor");
    std::fs::create_dir_all(&directory).unwrap();
    let text = format!("connect = {:?}\njson = true", world.address);
    std::fs::write(directory.join("config.toml"), text).unwrap();
    let mut submit = program(home.path());
    submit.args(["submit", "nobody", "--id", "x"]);
    let ran = run(submit, "");
    assert_eq!((ran.code, &*ran.output), (0, "{\"id\":\"x\"}\n"), "{}", ran.error);
}

#[test]
fn a_wrong_file_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wrong.toml");
    for (text, error) in [
        ("[work]\nslot = 1", "work has no option slot"),
        ("[work]\nslots = \"many\"", "slots: \"many\": invalid digit"),
        ("[work", "TOML parse error"),
    ] {
        std::fs::write(&path, text).unwrap();
        let mut command = program(directory.path());
        command.args(["work", "--json"]).env("WHARF_EXECUTOR_CONFIG", &path);
        let ran = run(command, "");
        assert_eq!((ran.code, &*ran.told().0), (2, "usage"));
        let told = ran.told().1;
        assert!(told.contains("wrong.toml") && told.contains(error), "{told}");
    }
}

#[test]
fn shells_and_man_know_the_commands() {
    for (line, text) in [
        (&["completions", "bash"][..], "complete -F"),
        (&["completions", "zsh"], "#compdef"),
        (&["man"], ".SH SUBMIT"),
    ] {
        let mut command = program(std::path::Path::new("/"));
        command.args(line);
        let ran = run(command, "");
        assert_eq!(ran.code, 0, "{}", ran.error);
        assert!(ran.output.contains(text), "{}", ran.output);
    }
}
