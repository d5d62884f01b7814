use std::path::{Component, Path, PathBuf};

use crate::{read, root, run, said};

fn metadata() -> toml::Table {
    let manifest: toml::Table = read("gateway/Cargo.toml").parse().expect("cargo reads it too");
    let deb = manifest["package"]["metadata"]["deb"].as_table();
    deb.expect("gateway/Cargo.toml says what a package holds").clone()
}

/// Source, place, mode.
fn assets() -> Vec<[String; 3]> {
    let assets = metadata()["assets"].as_array().expect("a list").clone();
    let row = |asset: &toml::Value| {
        let row = asset.as_array().expect("a list of three");
        [0, 1, 2].map(|i| row[i].as_str().expect("a text").to_owned())
    };
    assets.iter().map(row).collect()
}

/// Where an asset lands, with its own name where only a folder is said.
fn place([source, target, _]: &[String; 3]) -> String {
    let name = if target.ends_with('/') {
        source.rsplit('/').next().unwrap_or_default()
    } else {
        ""
    };
    format!("/{target}{name}")
}

/// A path of the manifest, from the project's folder.
fn from_manifest(path: &str) -> PathBuf {
    let mut found = root().join("gateway");
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => _ = found.pop(),
            part => found.push(part),
        }
    }
    found
}

#[test]
fn everything_that_is_packed_is_there() {
    let mut packed = 0;
    for [source, target, _] in assets() {
        if source == "target/release/sluice" {
            continue;
        }
        let path = from_manifest(&source);
        let (folder, name) = (
            path.parent().unwrap(),
            path.file_name().unwrap().to_string_lossy(),
        );
        let end = name.strip_prefix('*');
        let files = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{source}: {error}"));
        let matching = files.flatten().filter(|entry| {
            let file = entry.file_name().to_string_lossy().into_owned();
            end.map_or(file == name, |end| file.ends_with(end))
        });
        let found = matching.count();
        assert!(found > 0, "{source} is not there for {target}");
        packed += found;
    }
    assert!(packed > 30, "{packed} files with the pages of the manual");
}

#[test]
fn what_an_operator_changes_survives_an_upgrade_and_the_service_goes_on() {
    let metadata = metadata();
    let kept: Vec<&str> = metadata["conf-files"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(toml::Value::as_str)
        .collect();
    let assets = assets();
    let in_etc: Vec<String> = assets
        .iter()
        .map(place)
        .filter(|p| p.starts_with("/etc/"))
        .collect();
    assert_eq!(in_etc, kept, "all of /etc, and nothing else");
    let unit = metadata["systemd-units"].as_table().unwrap();
    for never in ["enable", "start", "restart-after-upgrade", "stop-on-upgrade"] {
        assert_eq!(unit[never].as_bool(), Some(false), "{never}");
    }
    let name = unit["unit-name"].as_str().unwrap();
    let scripts = from_manifest(unit["unit-scripts"].as_str().unwrap());
    assert!(scripts.join(format!("{name}.service")).is_file());
}

#[test]
fn the_unit_finds_the_binary_where_the_package_puts_it() {
    let binary = assets().into_iter().find(|[_, _, mode]| mode == "755").unwrap();
    assert_eq!(place(&binary), "/usr/bin/sluice");
    let unit = read("deploy/systemd/sluice.service");
    assert!(
        unit.contains("\nExecStart=sluice run"),
        "without a folder, systemd looks in its own path"
    );
}

#[test]
fn the_script_is_sh_and_the_user_is_that_of_the_unit() {
    let folder = from_manifest(metadata()["maintainer-scripts"].as_str().unwrap());
    let path = folder.join("postrm");
    let checked = run("sh", &["-n", &path.to_string_lossy()]).expect("every machine has a sh");
    assert!(checked.status.success(), "{}", said(&checked));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("\n#DEBHELPER#\n"),
        "there is no place for what the packer adds"
    );
    let unit = read("deploy/systemd/sluice.service");
    for (folder, place) in [("Cache", "cache"), ("Logs", "log"), ("State", "lib")] {
        let name = unit
            .lines()
            .find_map(|l| l.strip_prefix(folder)?.strip_prefix("Directory="));
        let path = format!("/var/{place}/{}", name.unwrap());
        let removed = text.split_whitespace().any(|word| word == path);
        assert!(removed, "a purge leaves {path}");
    }
    let users = read("deploy/debian/sluice.sysusers");
    let user = users
        .lines()
        .find_map(|l| l.strip_prefix("u ")?.split(' ').next());
    assert!(unit.contains(&format!("\nUser={}\n", user.unwrap())));
    assert!(
        assets()
            .iter()
            .any(|a| place(a) == "/usr/lib/sysusers.d/sluice.conf")
    );
}
