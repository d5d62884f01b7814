use crate::{read, report, root};

const FILE: &str = "deploy/Dockerfile";

/// Instructions, each on one line, without comments.
fn instructions() -> Vec<(String, String)> {
    let text = read(FILE);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let split = |line: &str| {
        let (word, rest) = line.split_once(' ')?;
        Some((
            word.to_owned(),
            rest.split_whitespace().collect::<Vec<_>>().join(" "),
        ))
    };
    joined.lines().filter_map(split).collect()
}

/// What every instruction of this name says.
fn all(name: &str) -> Vec<String> {
    let of = |(word, rest)| (word == name).then_some(rest);
    instructions().into_iter().filter_map(of).collect()
}

#[track_caller]
fn only(name: &str) -> String {
    let mut found = all(name);
    assert_eq!(found.len(), 1, "{name} in {FILE}: {found:?}");
    found.remove(0)
}

/// The words of `["a", "b"]`; fails on the form that a shell reads, because there is none.
#[track_caller]
fn words(form: &str) -> Vec<String> {
    serde_json::from_str(form).unwrap_or_else(|error| panic!("{form} needs a shell: {error}"))
}

#[test]
fn every_base_is_of_a_version() {
    let bases: Vec<String> = all("FROM")
        .iter()
        .map(|f| f.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(bases.len(), 2, "one to build in, one to run in: {bases:?}");
    for base in &bases {
        let (image, tag) = base
            .rsplit_once(':')
            .unwrap_or_else(|| panic!("{base} has no tag"));
        assert!(
            tag != "latest" && format!("{image}{tag}").contains(|c: char| c.is_ascii_digit()),
            "{base}"
        );
    }
    let toolchain: toml::Table = read("rust-toolchain.toml").parse().unwrap();
    let channel = toolchain["toolchain"]["channel"].as_str().unwrap();
    assert_eq!(
        bases[0],
        format!("rust:{channel}-bookworm"),
        "the compiler that everything is tested with"
    );
    assert!(
        bases[1].ends_with("debian12:nonroot"),
        "bookworm is Debian 12: the same glibc"
    );
}

#[test]
fn the_image_does_not_run_as_root_and_says_so_by_number() {
    let user = only("USER");
    let (id, group) = user.split_once(':').unwrap_or((&user, "0"));
    for number in [id, group] {
        assert!(number.parse::<u32>().is_ok_and(|n| n > 0), "{user}");
    }
    for copy in all("COPY").iter().filter(|c| c.contains("--chown=")) {
        assert!(
            copy.contains(&format!("--chown={user} ")),
            "{copy} is not the user's"
        );
    }
}

#[test]
fn the_folders_a_service_may_write_are_the_images_users_too() {
    let unit = read("deploy/systemd/sluice.service");
    let places = [
        ("Runtime", "/run"),
        ("Logs", "/var/log"),
        ("Cache", "/var/cache"),
        ("State", "/var/lib"),
    ];
    for (folder, place) in places {
        let name = unit
            .lines()
            .find_map(|l| l.strip_prefix(folder)?.strip_prefix("Directory="));
        let path = format!("{place}/{}", name.expect("the unit has one"));
        let is_owned = |copy: &String| copy.contains("--chown=") && copy.ends_with(&format!(" {path}"));
        assert!(
            all("COPY").iter().any(is_owned),
            "{path} is not there to be written"
        );
    }
    let storage = gateway::config::load_text(
        "sluice.toml",
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[certificates.a]\ndomains = [\"a.test\"]\nacme = { terms_agreed = true }\n".to_owned(),
        &|_| None,
    );
    let storage = storage.expect("it is fine").plan.certificates[0]
        .acme()
        .expect("it is ordered")
        .storage
        .clone();
    assert!(storage.starts_with("/var/lib/sluice"), "{storage:?}");
}

#[test]
fn what_is_started_needs_no_shell_and_hears_signals() {
    let entry = words(&only("ENTRYPOINT"));
    let command = words(&only("CMD"));
    assert_eq!(only("STOPSIGNAL"), "SIGTERM");
    let check = only("HEALTHCHECK");
    let (_, check) = check.split_once(" CMD ").expect("a command tells of the health");
    let check = words(check);
    assert_eq!(check[0], entry[0], "no other program is in the image");
    assert_eq!(command.last(), check.last(), "both by the same configuration");
    let copied = all("COPY").iter().any(|c| c.ends_with(&format!(" {}", entry[0])));
    assert!(copied, "{} is not in the image", entry[0]);
    // The words are those of this build.
    let sluice = harness::process::binary("sluice");
    for word in [&check[1], &command[0]] {
        let help = crate::run(&sluice.to_string_lossy(), &[word, "--help"]).expect("the binary is there");
        assert!(help.status.success(), "there is no `sluice {word}`");
    }
}

#[test]
fn what_is_copied_is_there() {
    let runs = all("RUN").join(" ");
    let mut faults = Vec::new();
    for copy in all("COPY") {
        let plain: Vec<&str> = copy.split(' ').filter(|w| !w.starts_with("--")).collect();
        let (_, sources) = plain.split_last().expect("COPY has a target");
        for source in sources {
            let is_there = if copy.contains("--from=build") {
                runs.contains(source)
            } else {
                root().join(source).exists()
            };
            if !is_there {
                faults.push(format!("{source} is not there to be copied"));
            }
        }
    }
    assert!(
        runs.contains("cargo build --locked --release -p gateway"),
        "{runs}"
    );
    report(&faults);
}

#[test]
fn nothing_secret_or_large_gets_into_the_build() {
    let ignored = read("deploy/Dockerfile.dockerignore");
    let lines: Vec<&str> = ignored.lines().filter(|l| !l.starts_with('#')).collect();
    for needed in [".git", "run", "target", "rust-toolchain.toml"] {
        assert!(lines.contains(&needed), "{needed} is copied");
    }
    let workspace: toml::Table = read("Cargo.toml").parse().unwrap();
    for member in workspace["workspace"]["members"].as_array().unwrap() {
        let member = member.as_str().unwrap();
        assert!(
            !lines.contains(&member),
            "cargo wants {member}, which is left out"
        );
    }
}
