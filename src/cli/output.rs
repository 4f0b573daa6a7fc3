//! Where a result goes: to stdout, or into a file that is there whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(super) struct Output {
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
    /// Where to write it; replaced whole, and only once all is done [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The shape of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For a terminal
    Table,
    /// For a program: the shape of /api/v1/drift
    Json,
    /// For a browser: one self-contained page
    Html,
    /// For a pull request
    Markdown,
}

// === impl Output ===

impl Output {
    /// Finds what cannot work before the long work begins; no input may be written over.
    pub(super) fn prepare(&self, inputs: &[&Path]) -> anyhow::Result<()> {
        let Some(path) = self.file() else {
            return Ok(());
        };
        let shown = path.display();
        let target = resolved(path);
        if target.is_dir() {
            bail!("--output: {shown} is a directory; name a file in it");
        }
        if !folder(&target).is_dir() {
            bail!("--output: the directory of {shown} does not exist; create it, or name another");
        }
        for input in inputs {
            if std::fs::canonicalize(input).is_ok_and(|input| input == target) {
                bail!("--output: {shown} is a file to be read; name another to write");
            }
        }
        Ok(())
    }

    /// Writes the result.
    pub(super) fn write(&self, text: &str) -> anyhow::Result<()> {
        match self.file() {
            None => match print(text) {
                // Whoever read it has seen enough; the verdict stands.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                other => other.context("cannot write to stdout"),
            },
            Some(path) => {
                let written = write(&resolved(path), text.as_bytes());
                written.with_context(|| format!("--output: cannot write {}", path.display()))
            }
        }
    }

    /// The file given; `-` is stdout, as elsewhere.
    fn file(&self) -> Option<&Path> {
        self.output
            .as_deref()
            .filter(|path| *path != Path::new("-"))
    }
}

/// Prints what people may read; whoever closed the other end has seen enough.
pub(super) fn say(text: &str) {
    if let Err(error) = print(text) {
        tracing::debug!(%error, "Not said on stdout");
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Where a link points, so that the file is replaced and not the link.
fn resolved(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Writes a file beside `target` and renames it. A pipe or a device is written to as it is.
fn write(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let existing = std::fs::metadata(target).ok();
    if existing.as_ref().is_some_and(|found| !found.is_file()) {
        return OpenOptions::new()
            .write(true)
            .open(target)?
            .write_all(bytes);
    }
    let name = target.file_name().ok_or(ErrorKind::InvalidInput)?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = folder(target).join(temporary);
    let fill = || {
        let mut file = File::create(&temporary)?;
        if let Some(found) = &existing {
            file.set_permissions(found.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        std::fs::rename(&temporary, target)
    };
    fill().inspect_err(|_| {
        // What failed half-way is of no use; that it cannot be removed would be no news.
        let _ = std::fs::remove_file(&temporary);
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn to(path: &Path) -> Output {
        Output {
            format: Format::Table,
            output: Some(path.to_owned()),
        }
    }

    #[test]
    fn a_file_is_replaced_behind_its_link_and_keeps_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let [file, link] = ["real.md", "link.md"].map(|name| directory.path().join(name));
        std::fs::write(&file, "old, and longer than what follows").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        to(&link).write("new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert!(link.is_symlink());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn inputs_and_directories_are_not_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let input = directory.path().join("a.csv");
        std::fs::write(&input, "x\n").unwrap();
        let link = directory.path().join("link");
        symlink(&input, &link).unwrap();
        for (path, said) in [
            (link.as_path(), "is a file to be read"),
            (directory.path(), "is a directory"),
            (&directory.path().join("no/where.md"), "does not exist"),
        ] {
            let error = to(path).prepare(&[&input]).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        to(&directory.path().join("new.md"))
            .prepare(&[&input])
            .unwrap();
    }
}
