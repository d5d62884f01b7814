//! What shells and readers of manuals are told: made from the same words that are parsed.

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::args::Cli;
use crate::cli::{Fault, terminal};

/// The name that is typed.
const NAME: &str = "sluice";

/// Prints what makes a shell complete our words.
pub fn completions(shell: Shell) -> Result<ExitCode, Fault> {
    terminal::say(&script(shell))
}

fn script(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Prints the manual's first page, or writes all of them to a folder.
pub fn man(folder: Option<&Path>) -> Result<ExitCode, Fault> {
    let pages = pages();
    let Some(folder) = folder else {
        return terminal::say(&pages[0].1);
    };
    for (name, text) in &pages {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| {
            let message = format!("{} cannot be written: {error}", path.display());
            Fault::failed(message, "name a folder that is there: sluice man DIR")
        })?;
    }
    terminal::say(&format!("{} pages are in {}\n", pages.len(), folder.display()))
}

/// Names and texts, that of the whole first.
fn pages() -> Vec<(String, String)> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add_pages(&command, &mut pages);
    pages
}

fn add_pages(command: &clap::Command, pages: &mut Vec<(String, String)>) {
    let man = Man::new(command.clone()).source("sluice").manual("Sluice");
    let mut text = Vec::new();
    man.render(&mut text).expect("a Vec takes every byte");
    // Some lines end in spaces, which editors and git take offence at.
    let text: String = String::from_utf8_lossy(&text)
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    let text = text.replace("\n.SH EXTRA\n", "\n.SH NOTES\n");
    pages.push((man.get_filename(), text));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        add_pages(inner, pages);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    fn deploy(folder: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../deploy")
            .join(folder)
    }

    fn files(folder: &str) -> BTreeMap<String, String> {
        let entries = std::fs::read_dir(deploy(folder)).unwrap().map(Result::unwrap);
        entries
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, std::fs::read_to_string(entry.path()).unwrap())
            })
            .collect()
    }

    /// Which differ, are missing, or are there and should not be.
    fn stale(is: &BTreeMap<String, String>, should: &BTreeMap<String, String>) -> Vec<String> {
        let names = is.keys().chain(should.keys());
        let mut stale: Vec<String> = names
            .filter(|name| is.get(*name) != should.get(*name))
            .cloned()
            .collect();
        stale.dedup();
        stale
    }

    #[test]
    fn the_manual_in_deploy_is_of_these_words() {
        let stale = stale(&files("man"), &pages().into_iter().collect());
        assert_eq!(
            stale, [""; 0],
            "run: rm deploy/man/*; cargo run -p gateway -- man deploy/man"
        );
    }

    #[test]
    fn the_completions_in_deploy_are_of_these_words() {
        let shells = [
            ("sluice.bash", Shell::Bash),
            ("_sluice", Shell::Zsh),
            ("sluice.fish", Shell::Fish),
        ];
        let should = shells.map(|(name, shell)| (name.to_owned(), script(shell)));
        let stale = stale(&files("completions"), &should.into_iter().collect());
        assert_eq!(
            stale, [""; 0],
            "run, for bash, zsh, fish: cargo run -p gateway -- completions bash > deploy/completions/sluice.bash"
        );
    }

    #[test]
    fn every_command_has_its_page() {
        let pages = pages();
        assert_eq!(pages[0].0, "sluice.1");
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for command in Cli::command().get_subcommands().filter(|c| !c.is_hide_set()) {
            let name = format!("sluice-{}.1", command.get_name());
            assert!(names.contains(&&*name), "{name}");
        }
        for (name, text) in &pages {
            assert!(text.contains(".SH SYNOPSIS\n"), "{name}");
        }
    }

    #[test]
    fn every_shell_completes_every_command() {
        for shell in [
            Shell::Bash,
            Shell::Elvish,
            Shell::Fish,
            Shell::PowerShell,
            Shell::Zsh,
        ] {
            let script = script(shell);
            for word in ["reverse-proxy", "hash-password", "--replay", "--soft"] {
                // fish writes options without their dashes.
                let word = word.trim_start_matches('-');
                assert!(script.contains(word), "{shell} lacks {word}");
            }
        }
    }
}
