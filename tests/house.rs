//! The house: folders that import one way, and a map in each that names every file.

use std::fs;
use std::path::{Path, PathBuf};

/// From the top to the bottom. A folder imports only from those that stand behind it.
const STOREYS: [&str; 12] = [
    "ending", "service", "commands", "server", "http", "api", "client", "relay", "identity",
    "store", "net", "protocol",
];

/// These know nobody, and may be imported by all.
const FOR_ALL: [&str; 4] = ["capacity", "logging", "metrics", "options"];

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().expect("a folder") {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn source() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let relative = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&root).unwrap().to_owned(), text)
    };
    files(&root).into_iter().map(relative).collect()
}

/// `relay` for `relay/room.rs`, `server` for `server.rs`.
fn storey(path: &Path) -> String {
    let first = path.components().next().expect("a name").as_os_str();
    Path::new(first).with_extension("").display().to_string()
}

/// What a line imports: the folder behind each `crate::`.
fn imports(line: &str) -> Vec<String> {
    if line.trim_start().starts_with("//") {
        return Vec::new();
    }
    let name = |text: &str| {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    };
    line.split("crate::").skip(1).map(name).collect()
}

#[test]
fn imports_go_one_way() {
    let height = |name: &str| STOREYS.iter().position(|storey| *storey == name);
    let mut seen = 0;
    for (path, text) in source() {
        let own = storey(&path);
        if matches!(own.as_str(), "main" | "lib") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            // Else an import could go up without its folder's name.
            let climbs = line.contains("super::super");
            assert!(!climbs, "say crate:: in {}:{}: {line}", path.display(), number + 1);
            for imported in imports(line) {
                let place = format!("{}:{}: {line}", path.display(), number + 1);
                seen += 1;
                if FOR_ALL.contains(&imported.as_str()) {
                    continue;
                }
                let below = height(&imported);
                assert!(below.is_some(), "no storey has this name: {place}");
                let is_down = imported == own || height(&own).is_some_and(|own| Some(own) < below);
                assert!(is_down, "this import points up: {place}");
            }
        }
    }
    assert!(seen > 100, "{seen} imports were found: this test has lost its way");
}

#[test]
fn each_folder_has_a_map_that_names_its_files() {
    let all = source();
    for (map, text) in all.iter().filter(|(path, _)| path.ends_with("mod.rs")) {
        let folder = map.parent().unwrap();
        assert!(text.lines().count() <= 40, "{} is longer than a map", map.display());
        let words: String = text.lines().filter(|line| line.starts_with("//!")).collect();
        for (file, _) in all.iter().filter(|(path, _)| path.parent() == Some(folder)) {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let is_named = name == "mod" || words.contains(&format!("[`{name}`]"));
            assert!(is_named, "{} does not name {}", map.display(), file.display());
        }
    }
}
