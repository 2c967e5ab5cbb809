use super::*;

fn execute_words(words: &[&str]) -> (Result<Option<Config>, String>, String) {
    let mut out = Vec::new();
    let mut started = None;
    let invocation = Invocation {
        arguments: words.iter().map(OsString::from).collect(),
        variables: vec![("ACKLINE_START".into(), "latest".into())],
    };
    let outcome = execute(invocation, &mut out, |task| match task {
        Task::Run(config) => {
            started = Some(*config);
            Ok(ExitCode::SUCCESS)
        }
        Task::Demo(options) => Err(format!("{options:?}")),
        Task::Fake(job) => Err(format!("{job:?}")),
        Task::Offsets(request) => Err(format!("{request:?}")),
        Task::DeadLetters(request) => Err(format!("{request:?}")),
        Task::Operate(command) => Err(format!("{command:?}")),
        Task::Kubectl(asked) => Err(format!("{asked:?}")),
        Task::InjectCheck(check) => Err(format!("{check:?}")),
        Task::Inject(server) => Err(format!("{server:?}")),
    });
    let outcome = match outcome {
        Ok(_) => Ok(started),
        Err(Failure::Settings(problems)) => Err(problems.to_string()),
        Err(Failure::Input(mistakes)) => Err(mistakes),
        Err(Failure::Running(error)) => Err(error),
        Err(Failure::Output(error)) => Err(error.to_string()),
    };
    (outcome, String::from_utf8(out).unwrap())
}

#[test]
fn the_tree_of_commands_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn every_flag_of_a_setting_reaches_it() {
    let words = [
        "ackline",
        "run",
        "--brokers",
        "a:1,b:2",
        "--brokers",
        "c:3",
        "--group",
        "g",
        "--topic",
        "t",
        "--topic",
        "u",
        "--start",
        "earliest",
        "--order",
        "key",
        "--instance-id",
        "i-1",
        "--listen",
        "unix:/tmp/a.sock",
        "--http",
        "127.0.0.1:0",
        "--log-level",
        "debug",
        "--log-format",
        "text",
        "--set",
        "drain.revoke=2s",
        "--set",
        "kafka.properties.socket.timeout.ms=1000",
    ];
    for info in crate::config::flags() {
        assert!(
            words.contains(&format!("--{}", info.flag).as_str()),
            "--{} is untested",
            info.flag
        );
    }
    let config = execute_words(&words).0.unwrap().unwrap();
    assert_eq!(config.kafka.brokers, ["a:1", "b:2", "c:3"]);
    assert_eq!(config.topics, ["t", "u"]);
    assert_eq!(
        (config.group.id.as_str(), config.group.instance_id.as_str()),
        ("g", "i-1")
    );
    assert_eq!(
        config.start,
        crate::core::StartPolicy::Earliest,
        "the flag wins over the variable"
    );
    assert_eq!(config.listen.app.unwrap().to_str(), Some("/tmp/a.sock"));
    assert_eq!(config.drain.revoke.as_secs(), 2);
    assert_eq!(config.kafka.properties["socket.timeout.ms"], "1000");
}

#[test]
fn printing_takes_the_same_flags_as_running() {
    let words = [
        "ackline",
        "config",
        "print",
        "--brokers",
        "a:1",
        "--group",
        "g",
        "--topic",
        "t",
    ];
    let (outcome, printed) = execute_words(&words);
    assert!(outcome.unwrap().is_none());
    assert!(printed.contains("# flag --brokers") && printed.contains("# variable ACKLINE_START"));
}

#[test]
fn checking_takes_what_running_takes_and_the_file_as_a_word_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ackline.yaml");
    std::fs::write(
        &path,
        "kafka: {brokers: [a:1]}\ngroup: {id: g}\ntopics: [t]\n",
    )
    .unwrap();
    let file = path.to_str().unwrap();
    let check = |more: &[&str]| execute_words(&[&["ackline", "config", "check"], more].concat());
    for words in [&[file][..], &["--config", file], &[file, "--order", "key"]] {
        let (outcome, out) = check(words);
        assert!(outcome.unwrap().is_none());
        assert_eq!(
            out,
            format!("{file}: all settings are valid\n"),
            "{words:?}"
        );
    }
    let without_file = ["--brokers", "a:1", "--group", "g", "--topic", "t"];
    let (outcome, out) = check(&without_file);
    assert!(outcome.unwrap().is_none());
    assert_eq!(out, "all settings are valid\n");
    let (outcome, _) = check(&[file, "--order", "sideways"]);
    assert!(
        outcome
            .unwrap_err()
            .contains("order = sideways  (flag --order)")
    );
    let twice = ["ackline", "config", "check", file, "--config", file];
    let refused = Cli::try_parse_from(twice).unwrap_err();
    assert!(refused.use_stderr() && refused.to_string().contains("named twice"));
}

#[test]
fn wrong_settings_start_nothing() {
    let (outcome, out) = execute_words(&["ackline", "run", "--group", "g"]);
    assert!(
        outcome
            .unwrap_err()
            .starts_with("2 mistakes in the settings")
    );
    assert_eq!(out, "");
}
