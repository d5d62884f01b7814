use super::*;

fn parsed(line: &str) -> Result<Cli, Fault> {
    read(
        std::iter::once("sluice")
            .chain(line.split_whitespace())
            .map(OsString::from),
    )
}

fn command(line: &str) -> Command {
    let cli = parsed(line).unwrap();
    cli.command.unwrap_or_else(|| cli.habits.into_command())
}

#[test]
fn the_words_are_consistent() {
    Cli::command().debug_assert();
}

/// With all its commands, those within others too.
fn all(command: &clap::Command) -> Vec<&clap::Command> {
    let inner = command.get_subcommands().filter(|c| !c.is_hide_set());
    std::iter::once(command).chain(inner.flat_map(all)).collect()
}

#[test]
fn every_help_begins_with_one_sentence_and_ends_with_an_example() {
    let root = Cli::command();
    for command in all(&root) {
        let name = command.get_name();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.starts_with(char::is_uppercase), "{name}: {about}");
        assert!(
            !about.ends_with('.') && !about.contains(". ") && !about.contains('\n'),
            "{name}: {about}"
        );
        let examples = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let example = examples
            .lines()
            .find(|line| line.contains("sluice ") && line.starts_with("  "));
        let example = example.unwrap_or_else(|| panic!("{name} has no example"));
        assert!(example.contains(name), "{example} is no example of {name}");
    }
}

/// The words of a line as a shell splits them, up to what it does with the rest.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.trim().chars() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, ' ') => words.push(String::new()),
            (_, c) => words.last_mut().unwrap().push(c),
        }
    }
    let end = words.iter().position(|w| [">", ">>", "|"].contains(&&**w));
    words.truncate(end.unwrap_or(words.len()));
    words
}

#[test]
fn every_example_is_a_command() {
    let root = Cli::command();
    let mut tried = 0;
    for command in all(&root) {
        let text = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let lines = text.lines().filter(|line| line.starts_with("  "));
        for part in lines.flat_map(|line| line.split(" && ")) {
            let Some(at) = part
                .find("sluice ")
                .filter(|at| part[..*at].trim().is_empty() || part[..*at].ends_with("| "))
            else {
                continue;
            };
            let words = words(&part[at..]).into_iter().map(OsString::from);
            assert!(read(words).is_ok(), "{part}");
            tried += 1;
        }
    }
    assert!(tried > 25, "{tried}");
}

#[test]
fn habits_of_nginx_stand_for_commands() {
    assert!(matches!(command("-c a.toml"), Command::Run));
    assert!(matches!(command(""), Command::Run));
    assert!(matches!(
        command("-t -c a.toml"),
        Command::Check(Check { effective: false, .. })
    ));
    assert!(matches!(
        command("-T"),
        Command::Check(Check { effective: true, .. })
    ));
    assert!(matches!(command("-s reload"), Command::Reload(_)));
    assert!(matches!(command("-s quit"), Command::Stop(_)));
    assert!(matches!(command("-s stop"), Command::Stop(_)));
    assert!(matches!(command("-s reopen"), Command::Reopen(_)));
    assert!(matches!(
        command("-v"),
        Command::Version {
            build: false,
            json: false
        }
    ));
    assert!(matches!(
        command("-V"),
        Command::Version {
            build: true,
            json: false
        }
    ));
}

#[test]
fn a_habit_and_a_command_are_one_too_many() {
    for line in ["-t reload", "-s stop -t", "check -t", "-v run"] {
        assert_eq!(parsed(line).unwrap_err().code(), 2, "{line}");
    }
}

#[test]
fn the_configuration_may_stand_before_and_behind_the_command() {
    for line in ["-c a.toml check", "check -c a.toml", "--config=a.toml check"] {
        assert_eq!(
            parsed(line).unwrap().config.unwrap(),
            PathBuf::from("a.toml"),
            "{line}"
        );
    }
}

#[test]
fn an_application_is_watched_before_it_can_go_back() {
    let Command::Apply(apply) = command("apply new.toml --guard 60s --rollback-if 5xx>2x") else {
        panic!("it is another command")
    };
    assert_eq!(
        (apply.guard.as_deref(), apply.rollback_if.as_deref()),
        (Some("60s"), Some("5xx>2x"))
    );
    for line in ["apply", "apply new.toml --rollback-if 5xx>2x"] {
        assert!(matches!(parsed(line).unwrap_err(), Fault::Words(_)), "{line}");
    }
    assert!(matches!(parsed("chek").unwrap_err(), Fault::Words(_)));
}

#[test]
fn a_purge_says_of_what_as_often_as_it_likes() {
    for line in [
        "purge",
        "purge --soft",
        "purge --url=",
        "purge --tag",
        "purge all",
    ] {
        assert_eq!(parsed(line).unwrap_err().code(), 2, "{line}");
    }
    let Command::Purge(purge) = command("purge --url a --tag b --url c --prefix d --host e --soft") else {
        panic!("a purge")
    };
    assert_eq!(
        (purge.urls, purge.tags),
        (vec!["a".into(), "c".into()], vec!["b".into()])
    );
    assert_eq!(
        (purge.prefixes, purge.hosts),
        (vec!["d".into()], vec!["e".into()])
    );
    assert!(purge.soft && !purge.all);
    assert!(matches!(
        command("purge --all --host x --json"),
        Command::Purge(_)
    ));
}

#[test]
fn an_order_to_a_server_says_what_it_wants() {
    assert_eq!(parsed("server app 10.0.0.1:80").unwrap_err().code(), 2);
    assert_eq!(parsed("server app 10.0.0.1:80 --weight 0").unwrap_err().code(), 2);
    assert!(parsed("server app 10.0.0.1:80 --weight 2 --state drain").is_ok());
}
