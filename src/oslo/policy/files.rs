//! Policy files and directories: reading them, and telling when they changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_saphyr::granit_parser::Parser;
use serde_saphyr::options::DuplicateKeyPolicy;

use super::error::{Origin, PolicyError};
use super::value::{RuleFile, RuleValue};

/// The rules of files by name, each with the place that counts.
pub(super) type FileRules = BTreeMap<String, (RuleValue, Origin)>;

/// What tells one content of a file from another without reading it: modification and change time in nanoseconds, size
/// and inode.
pub(super) type Stamp = (i128, i128, u64, u64);

/// The files that make up the policy, in the order in which later ones override earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Files {
    files: Vec<(PathBuf, Stamp)>,
}

impl Files {
    /// Looks for the policy file and for the files of each directory, sorted by name, without hidden files and
    /// subdirectories. A file or directory that does not exist does not count.
    pub(super) fn find(
        policy_file: Option<&Path>,
        policy_dirs: &[PathBuf],
    ) -> Result<Self, PolicyError> {
        let mut files = Vec::new();
        if let Some(path) = policy_file
            && let Some(metadata) = existing(path, fs::metadata(path))?
        {
            files.push((path.to_owned(), stamp(&metadata)));
        }
        for directory in policy_dirs {
            for path in listing(directory)? {
                if let Some(metadata) = existing(&path, fs::metadata(&path))?
                    && !metadata.is_dir()
                {
                    files.push((path, stamp(&metadata)));
                }
            }
        }
        Ok(Self { files })
    }

    /// Whether `path` is among them.
    pub(super) fn contain(&self, path: &Path) -> bool {
        self.files.iter().any(|(known, _)| known == path)
    }

    /// Reads them all.
    pub(super) fn read(&self) -> Result<FileRules, PolicyError> {
        let mut rules = FileRules::new();
        for (path, _) in &self.files {
            let content = fs::read_to_string(path).map_err(|source| PolicyError::Read {
                path: path.clone(),
                source,
            })?;
            parse(path, &content, &mut rules)?;
        }
        Ok(rules)
    }
}

/// Adds the rules of a YAML (and so JSON) text. Of a name written twice the last counts, as in oslo.policy, with a
/// warning.
pub(super) fn parse(path: &Path, content: &str, rules: &mut FileRules) -> Result<(), PolicyError> {
    refuse_tags(path, content)?;
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
    };
    let file: RuleFile =
        serde_saphyr::from_str_with_options(content, options).map_err(|error| {
            PolicyError::Malformed {
                path: path.to_owned(),
                message: error.to_string(),
            }
        })?;
    for (name, value) in file.rules {
        let origin = Origin::File {
            path: path.to_owned(),
            line: value.referenced.line(),
        };
        if let Some((
            _,
            Origin::File {
                path: earlier,
                line,
            },
        )) = rules.get(&name)
            && earlier == path
        {
            tracing::warn!(rule = name, file = %path.display(), first_line = line, last_line = value.referenced.line(),
                "policy rule is written twice in one file: the last one counts");
        }
        rules.insert(name, (value.value, origin));
    }
    Ok(())
}

/// Refuses tags. A bare `!` is one, with an empty text behind it: that would let everyone in where its writer means no one.
fn refuse_tags(path: &Path, content: &str) -> Result<(), PolicyError> {
    // What is not YAML is told by the reader of the rules.
    for (event, span) in Parser::new_from_str(content).map_while(Result::ok) {
        if let Some(tag) = event.tag().filter(|tag| !tag.is_yaml_core_schema()) {
            return Err(PolicyError::Malformed {
                path: path.to_owned(),
                message: format!(
                    "line {}: YAML reads {} as a tag, not as text; write it in quotes: \"!\" is the check that nobody passes",
                    span.start.line(),
                    tag.original()
                ),
            });
        }
    }
    Ok(())
}

fn listing(directory: &Path) -> Result<Vec<PathBuf>, PolicyError> {
    let read = |source| PolicyError::Read {
        path: directory.to_owned(),
        source,
    };
    let Some(entries) = existing(directory, fs::read_dir(directory))? else {
        return Ok(Vec::new());
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(read)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn existing<T>(path: &Path, result: io::Result<T>) -> Result<Option<T>, PolicyError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PolicyError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

fn stamp(metadata: &fs::Metadata) -> Stamp {
    let nanoseconds =
        |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    (
        nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        metadata.size(),
        metadata.ino(),
    )
}
