//! The manual pages and the completions of shells: made from the same description as `--help`, and left
//! in target/manual/, where packages take them from. Here and not in the program, so that a server does
//! not carry what is needed once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory;
use clap_complete::Shell;
use wsroom::commands::command_line::CommandLine;

/// The folder in which both are left.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../manual");
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn each_command_has_a_page_that_names_its_options() {
    let command = CommandLine::command();
    clap_mangen::generate_to(command.clone(), folder()).unwrap();
    let mut server = command;
    server.build();
    for command in server.get_subcommands().filter(|command| command.get_name() != "help") {
        names_its_options(command, &format!("wsroom-{}.1", command.get_name()));
    }
    names_its_options(&server, "wsroom.1");
}

fn names_its_options(command: &clap::Command, file: &str) {
    let page = fs::read_to_string(folder().join(file)).unwrap();
    assert!(page.contains(".SH SYNOPSIS"), "{page}");
    let names: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    assert!(!names.is_empty(), "{file} is of a command with options");
    for name in names {
        // In the language of manual pages a hyphen that is no hyphenation is written \-.
        let name = format!("--{name}").replace('-', "\\-");
        assert!(page.contains(&name), "{name} is not in {file}");
    }
}

#[test]
fn bash_completes_an_option() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut CommandLine::command(), "wsroom", folder()).unwrap();
    }
    let script = "source \"$1\"; COMP_WORDS=(wsroom --log-); COMP_CWORD=1; \
                  _wsroom wsroom --log- wsroom; echo \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["-c", script, "bash"]).arg(folder().join("wsroom.bash"));
    let output = bash.output().expect("bash is there");
    let words = String::from_utf8(output.stdout).unwrap();
    let found: Vec<_> = words.split_whitespace().collect();
    assert_eq!(found, ["--log-file", "--log-format"]);
}

/// Every name that begins as a variable of this program does.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
    let name = move |(at, _)| text[at..].split(|c| !is_part(c)).next().expect("there is a first");
    text.match_indices("WSROOM_").map(name)
}

#[test]
fn what_packages_set_are_options() {
    let command = CommandLine::command();
    let options: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_env).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for file in ["wsroom.service", "default", "Containerfile"] {
        let text = fs::read_to_string(root.join(".packaging").join(file)).unwrap();
        for variable in variables(&text) {
            seen += 1;
            assert!(options.iter().any(|option| *option == variable), "{variable} in {file}");
        }
    }
    assert!(seen >= 6, "{seen} variables were found: this test has lost its way");
}
