//! The house rules a machine can hold.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers: a module imports only from rows above its own. The modules of a row marked `ordered`
/// may also import those before them in the row.
const LAYERS: &[(&[&str], bool)] = &[
    (
        &["timestamp", "feature", "model", "exchange", "pulse"],
        true,
    ),
    (&["drift"], false),
    (&["decode", "reference", "metrics"], false),
    (&["proxy", "window", "admin", "push", "process"], false),
    (&["recorder", "monitor", "announcer", "exporter"], false),
    (&["config"], false),
    (&["app"], false),
    (&["demo", "log", "memory", "service", "shutdown"], false),
    (&["cli"], false),
];

/// Longest source file, as a hard stop.
const LONGEST: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, extension, found);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), extension, &mut found);
    assert!(!found.is_empty(), "no .{extension} file in {folder}");
    found
}

/// The top module a source file belongs to.
fn module(path: &Path) -> String {
    let relative = path.strip_prefix(root().join("src")).unwrap();
    let first = relative.components().next().unwrap().as_os_str();
    Path::new(first)
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

/// Row and place of a module.
fn rank(module: &str) -> Option<(usize, usize)> {
    LAYERS
        .iter()
        .enumerate()
        .find_map(|(row, (modules, ordered))| {
            let place = modules.iter().position(|m| *m == module)?;
            Some((row, if *ordered { place } else { 0 }))
        })
}

/// The top modules a source text names through `crate::`.
fn imports(text: &str) -> Vec<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.collect::<Vec<_>>().join("\n");
    (code.split("crate::").skip(1))
        .flat_map(|rest| {
            let name = |text: &str| {
                text.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect::<String>()
            };
            match rest.strip_prefix('{') {
                Some(group) => {
                    let group = group.split('}').next().unwrap_or_default();
                    group.split(',').map(|item| name(item.trim())).collect()
                }
                None => vec![name(rest)],
            }
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn imports_point_down_the_layers() {
    let mut seen = 0;
    for path in files("src", "rs") {
        let own = module(&path);
        if own == "lib" || own == "main" {
            continue;
        }
        let place = rank(&own).unwrap_or_else(|| panic!("{own} stands in no layer"));
        for import in imports(&fs::read_to_string(&path).unwrap()) {
            let Some(imported) = rank(&import) else {
                continue;
            };
            seen += 1;
            let below = imported.0 < place.0 || (imported.0 == place.0 && imported.1 < place.1);
            assert!(
                below || import == own,
                "{}: {own} imports {import}",
                path.display()
            );
        }
    }
    assert!(
        seen > 100,
        "only {seen} imports found: the test looks in the wrong place"
    );
}

#[test]
fn files_stay_within_what_one_reader_can_hold() {
    for path in files("src", "rs").into_iter().chain(files("tests", "rs")) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LONGEST, "{} has {lines} lines", path.display());
    }
}

#[test]
fn names_say_what_is_in_them() {
    for path in files("src", "rs") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let vague = [
            "mod", "util", "utils", "helper", "helpers", "common", "manager", "misc",
        ];
        assert!(!vague.contains(&name), "{}", path.display());
    }
}

#[test]
fn modules_state_their_purpose() {
    for path in files("src", "rs") {
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//!"),
            "{} has no module documentation",
            path.display()
        );
    }
}

#[test]
fn every_reference_file_is_the_one_its_readme_describes() {
    use sha2::{Digest, Sha256};
    let readme = fs::read_to_string(root().join("reference_data/README.md")).unwrap();
    for path in files("reference_data", "csv") {
        let digest = Sha256::digest(fs::read(&path).unwrap());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(
            readme.contains(&hex),
            "{}: {hex} is not in the README",
            path.display()
        );
    }
}
