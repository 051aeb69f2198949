//! Each command line in the documents and under deploy/ is one that can be parsed, and the
//! command names no other command than its own.

use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;

use super::{Format, NAME, definition, help_of, parse};

/// The files that tell people what to type; none in the published package.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let places = [
        "",
        "docs",
        "crates/cli",
        "deploy/github-actions",
        "deploy/helm/cf-service-tokens",
        "deploy/prometheus",
        "deploy/systemd",
    ];
    let entries = places
        .iter()
        .filter_map(|place| fs::read_dir(root.join(place)).ok());
    let files = entries.flatten().map(|entry| entry.unwrap().path());
    let is_read = |file: &PathBuf| {
        let extension = file.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| ["md", "yaml", "yml", "service"].contains(&extension))
    };
    files.filter(is_read).collect()
}

/// The command's arguments, wherever a text runs it.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in text.lines() {
        for (at, _) in line.match_indices(&format!("{NAME} ")) {
            // With what stands before it: a path, `ExecStart=`, or a backtick.
            let start = line[..at].rfind(' ').map_or(0, |space| space + 1);
            let before = line[..start].split_whitespace().last();
            let is_run = line[start..at].contains(['`', '='])
                || before.is_none_or(|word| {
                    ["$", "*", "&&"].contains(&word) || word.contains('=') || word.ends_with(':')
                });
            if is_run {
                found.push(words(&line[at + NAME.len()..]));
            }
        }
    }
    found
}

/// The words up to where the command ends, with placeholders filled in.
fn words(rest: &str) -> Vec<String> {
    let end = rest.find(['`', '"', '#', '|', '>', ';']);
    let rest = &rest[..end.unwrap_or(rest.len())];
    let rest = rest
        .replace("{{ $labels.account }}", "a")
        .replace("{{ $labels.id }}", "1")
        .replace("COMMAND", "list");
    let sentence = rest.split(". ").next().unwrap_or_default();
    // A quoted part is one word.
    let mut words = Vec::new();
    for (at, part) in sentence.split('\'').enumerate() {
        match at % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

fn fault(arguments: &[String]) -> Option<String> {
    // `help` takes any words, and looks for the command later.
    if let [help, command @ ..] = arguments
        && help == "help"
        && command != ["options"]
    {
        let error = help_of(command).err()?;
        return (error.kind() != ErrorKind::DisplayHelp).then(|| error.to_string());
    }
    let line = std::iter::once(NAME).chain(arguments.iter().map(String::as_str));
    let error = parse(line).err()?;
    let is_answer = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    (!is_answer).then(|| error.to_string())
}

#[test]
fn what_the_documents_say_to_type_can_be_parsed() {
    let files = files();
    let mut tried = 0;
    for file in &files {
        for arguments in command_lines(&fs::read_to_string(file).unwrap()) {
            tried += 1;
            let fault = fault(&arguments);
            assert_eq!(fault, None, "{}: {arguments:?}", file.display());
        }
    }
    assert!(files.is_empty() || tried > 15, "only {tried} were found");
}

/// The sources of the command without their tests. They hold its help and messages.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn each_command_that_the_command_names_exists() {
    let definition = definition();
    let mut tried = 0;
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for arguments in command_lines(text) {
            // The others are filled in where they are shown.
            let Some(name) = arguments.first().filter(|word| {
                let mut letters = word.chars();
                letters.all(|letter| letter.is_ascii_lowercase() || letter == '-')
                    && !word.starts_with('-')
            }) else {
                continue;
            };
            tried += 1;
            let fault = match definition.find_subcommand(name) {
                Some(_) if name == "help" => fault(&arguments),
                Some(_) => None,
                None => Some(format!("no command {name}")),
            };
            assert_eq!(fault, None, "{}: {arguments:?}", file.display());
        }
    }
    assert!(tried > 30, "only {tried} were found");
}

#[test]
fn a_command_line_that_can_not_be_parsed_is_noticed() {
    let text = "`cf-service-tokens lst` and\n\
        `cf-service-tokens help configuration`\n\
        $ cf-service-tokens renew --witin 30d # too late\n\
        17 4 * * *  A=b /usr/bin/cf-service-tokens list --name x > y\n\
        install -m 0755 x/cf-service-tokens /usr/local/bin/\n";
    let found = command_lines(text);
    assert_eq!(
        found,
        [
            vec!["lst"],
            vec!["help", "configuration"],
            vec!["renew", "--witin", "30d"],
            vec!["list", "--name", "x"],
        ]
    );
    let is_fault: Vec<bool> = found.iter().map(|line| fault(line).is_some()).collect();
    assert_eq!(is_fault, [true, true, true, false]);
}

/// The common options, as they are typed.
const COMMON: [&[&str]; 8] = [
    &["--account", "a"],
    &["--api-token-file", "f"],
    &["--output", "json"],
    &["--simulate"],
    &["--quiet"],
    &["--verbose"],
    &["--deadline", "1m"],
    &["--journal", "j"],
];

/// Each command with the arguments that it must have, and the initials of the common options
/// that it takes.
const COMMANDS: [(&[&str], &str); 22] = [
    (&["list"], "aaosqvdj"),
    (&["report"], "aaosqvdj"),
    (&["show", "t"], "aaosqvdj"),
    (&["renew"], "aaosqvdj"),
    (&["refresh", "t"], "aaosqvdj"),
    (&["rotate", "t", "--secret-to", "s"], "aaosqvdj"),
    (&["create", "t", "--secret-to", "s"], "aaosqvdj"),
    (&["update", "t", "--name", "n"], "aaosqvdj"),
    (&["enable", "t"], "aaosqvdj"),
    (&["disable", "t"], "aaosqvdj"),
    (&["delete", "t"], "aaosqvdj"),
    (&["doctor"], "aaosqvdj"),
    (&["keep"], "  o qvdj"),
    (&["verify", "--url", "u"], "  osqv  "),
    (&["journal"], "  o q  j"),
    (&["journal", "list"], "  o q  j"),
    (&["journal", "finish", "e"], "  o q  j"),
    (&["simulate"], "    q   "),
    (&["completions", "bash"], "        "),
    (&["config-schema"], "        "),
    (&["man"], "        "),
    (&["help"], "        "),
];

#[test]
fn a_command_refuses_the_options_that_it_would_ignore() {
    let tried: Vec<&str> = COMMANDS.iter().map(|(line, _)| line[0]).collect();
    for command in definition().get_subcommands() {
        assert!(
            tried.contains(&command.get_name()),
            "{}",
            command.get_name()
        );
    }
    for (command, taken) in COMMANDS {
        for (option, initial) in COMMON.into_iter().zip(taken.chars()) {
            for line in [[option, command].concat(), [command, option].concat()] {
                let answer = parse([&[NAME], &line[..]].concat());
                assert_eq!(answer.is_ok(), initial != ' ', "{line:?}: {answer:?}");
            }
        }
    }
}

#[test]
fn a_simulated_account_refuses_the_options_of_a_real_one() {
    for option in [&["--api-token-file", "f"][..], &["--journal", "j"]] {
        for line in [
            [&["--simulate", "list"], option].concat(),
            [option, &["list", "--simulate"]].concat(),
        ] {
            let error = parse([&[NAME], &line[..]].concat()).unwrap_err();
            let message = format!("`--simulate` has no use for `{}`", option[0]);
            assert!(error.to_string().contains(&message), "{line:?}: {error}");
        }
    }
    let line = [NAME, "list", "--simulate", "--account", "a"];
    assert!(parse(line).is_ok());
}

#[test]
fn a_common_option_counts_before_and_after_the_command() {
    for line in [
        [
            "--account",
            "a",
            "-q",
            "-o",
            "json",
            "list",
            "--journal",
            "j",
        ],
        [
            "-o",
            "json",
            "--quiet",
            "list",
            "--account",
            "a",
            "--journal",
            "j",
        ],
        [
            "list",
            "--journal",
            "j",
            "--account",
            "a",
            "-o",
            "json",
            "-q",
        ],
    ] {
        let global = parse([&[NAME], &line[..]].concat()).unwrap().global;
        assert_eq!(global.account, ["a"], "{line:?}");
        assert_eq!(global.output, Format::Json, "{line:?}");
        assert_eq!(global.journal, Some(PathBuf::from("j")), "{line:?}");
        assert!(global.quiet && global.verbose == 0, "{line:?}");
    }
    // The last word counts, as with most commands.
    let global = parse([NAME, "-o", "json", "list", "-o", "jsonl"])
        .unwrap()
        .global;
    assert_eq!(global.output, Format::Jsonl);
}
