//! Which file of `src` uses which other, read from the paths in the source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// A `use` declaration with its visibility.
static DECLARATION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?:(pub(?:\([a-z]+\))?)\s+)?\buse\s+([^;]+);").unwrap());
/// A path of two parts or more.
static WRITTEN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b[A-Za-z_]\w*(?:::[A-Za-z_]\w*)+").unwrap());
/// A comment, a text, or a letter in quotes.
static TEXT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r###"(?s)//[^\n]*|/\*.*?\*/|\bb?r##".*?"##|\bb?r#".*?"#|\bb?r"[^"]*"|b?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'"###,
    )
    .unwrap()
});

/// A module's path: `["store", "list"]` for `src/store/list.rs`.
pub(super) type Module = Vec<String>;

/// A file of `src` without its comments, texts and unit tests.
pub(super) struct Source {
    /// Below `src`.
    pub(super) path: PathBuf,
    pub(super) code: String,
    /// What `use` declarations name, each in full as it stands there, with the name that it gets.
    imports: Vec<(Module, String)>,
    /// Names that the file passes on by `pub use` or `pub(crate) use`, and what they stand for.
    exports: BTreeMap<String, Module>,
}

/// The library's files.
pub(super) struct Sources(pub(super) BTreeMap<Module, Source>);

pub(super) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

impl Sources {
    /// All files of `src` but the programs and the unit tests.
    pub(super) fn read(src: &Path) -> Sources {
        let mut sources = BTreeMap::new();
        for file in rust_files(src) {
            let path = file.strip_prefix(src).unwrap().to_owned();
            let module: Module = path
                .with_extension("")
                .iter()
                .map(|part| part.to_str().unwrap().to_owned())
                .collect();
            let is_test = module.iter().any(|part| part == "tests");
            if is_test || module[0] == "bin" || module == ["lib"] {
                continue;
            }
            let code = without_tests(&without_texts(&fs::read_to_string(&file).unwrap()));
            sources.insert(module, Source::new(path, code));
        }
        Sources(sources)
    }

    /// Files that a test makes up: their modules as `a::b`, and their code.
    pub(super) fn of(files: &[(&str, &str)]) -> Sources {
        let source = |&(module, code): &(&str, &str)| {
            let module: Module = module.split("::").map(str::to_owned).collect();
            (module, Source::new(PathBuf::new(), code.to_owned()))
        };
        Sources(files.iter().map(source).collect())
    }

    /// The files that a file uses, by their modules. A name that a module only passes on counts as the file that it
    /// comes from; passing it on is no use.
    pub(super) fn uses(&self, module: &Module) -> BTreeSet<Module> {
        let source = &self.0[module];
        let mut uses = BTreeSet::new();
        for path in source.paths() {
            let Some(target) = self.absolute(module, &path) else {
                continue;
            };
            uses.extend(self.file_of(&target, 0));
        }
        uses.remove(module);
        uses
    }

    /// A path as it stands in `module`, from the root of the crate; `None` when it leads into another crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        let mut base = module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            first => {
                let mut child = base.clone();
                child.push(first.to_owned());
                self.0.get(&child)?;
            }
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The file that defines what a path from the root names.
    fn file_of(&self, path: &[String], depth: usize) -> Option<Module> {
        assert!(depth < 10, "{path:?} is passed on in a circle");
        let length = (1..=path.len())
            .rev()
            .find(|length| self.0.contains_key(&path[..*length]))?;
        let (module, item) = path.split_at(length);
        let passed_on = item
            .first()
            .and_then(|name| self.0[module].exports.get(name));
        match passed_on {
            Some(path) => self.file_of(&self.absolute(&module.to_vec(), path)?, depth + 1),
            None => Some(module.to_vec()),
        }
    }

    /// Files that use each other in a circle, the first of them again at the end; each circle once. A file may use what the
    /// module defines that it is a part of.
    pub(super) fn circles(&self) -> Vec<Vec<Module>> {
        let uses: BTreeMap<&Module, BTreeSet<Module>> = self
            .0
            .keys()
            .map(|module| {
                let mut uses = self.uses(module);
                uses.retain(|target| !module.starts_with(target));
                (module, uses)
            })
            .collect();
        let mut circles: Vec<Vec<Module>> = Vec::new();
        for start in self.0.keys() {
            if circles.iter().flatten().any(|module| module == start) {
                continue;
            }
            if let Some(circle) = shortest_circle(start, &uses) {
                circles.push(circle);
            }
        }
        circles
    }
}

fn shortest_circle(
    start: &Module,
    uses: &BTreeMap<&Module, BTreeSet<Module>>,
) -> Option<Vec<Module>> {
    let mut ways = vec![vec![start.clone()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in &uses[way.last()?] {
                let mut way = way.clone();
                way.push(next.clone());
                if next == start {
                    return Some(way);
                }
                if seen.insert(next) {
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
    None
}

impl Source {
    fn new(path: PathBuf, code: String) -> Source {
        let mut imports = Vec::new();
        let mut exports = BTreeMap::new();
        for found in DECLARATION.captures_iter(&code) {
            let mut names = Vec::new();
            flatten(&[], &found[2], &mut names);
            if found.get(1).is_some() {
                exports.extend(names.into_iter().map(|(path, name)| (name, path)));
            } else {
                imports.extend(names);
            }
        }
        let code = DECLARATION.replace_all(&code, "").into_owned();
        Source {
            path,
            code,
            imports,
            exports,
        }
    }

    /// Whether the file names another crate.
    pub(super) fn names_crate(&self, name: &str) -> bool {
        let mut paths = self.imports.iter().map(|(path, _)| path);
        paths.any(|path| path[0] == name)
            || self.exports.values().any(|path| path[0] == name)
            || self.code.contains(&format!("{name}::"))
    }

    /// Every path that the file names: in its imports, and in the code by `crate::`, `super::`, an imported module or a
    /// module below.
    fn paths(&self) -> Vec<Module> {
        let mut paths: Vec<Module> = self.imports.iter().map(|(path, _)| path.clone()).collect();
        for found in WRITTEN.find_iter(&self.code) {
            let mut path: Module = found.as_str().split("::").map(str::to_owned).collect();
            let import = self.imports.iter().find(|(_, name)| *name == path[0]);
            if let Some((import, _)) = import {
                path.splice(..1, import.iter().cloned());
            } else if let Some(export) = self.exports.get(&path[0]) {
                path.splice(..1, export.iter().cloned());
            }
            paths.push(path);
        }
        // A name that is passed on and used as well.
        let words: BTreeSet<&str> = self
            .code
            .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .collect();
        let used = self.exports.iter();
        paths.extend(
            used.filter(|(name, _)| words.contains(name.as_str()))
                .map(|(_, path)| path.clone()),
        );
        paths
    }
}

/// `a::{b, c as d}` gives `(a::b, b)` and `(a::c, d)`.
fn flatten(prefix: &[String], tree: &str, names: &mut Vec<(Module, String)>) {
    let tree = tree.trim();
    if let Some(list) = tree
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        let (mut depth, mut start) = (0, 0);
        for (place, letter) in list.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    flatten(prefix, &list[start..place], names);
                    start = place + 1;
                }
                _ => {}
            }
        }
        return flatten(prefix, &list[start..], names);
    }
    let mut path = prefix.to_vec();
    if let Some((first, rest)) = tree.split_once("::")
        && !first.contains('{')
    {
        path.push(first.trim().to_owned());
        return flatten(&path, rest, names);
    }
    let (name, alias) = tree.split_once(" as ").unwrap_or((tree, tree));
    match name {
        "" => {}
        "self" => names.push((path.clone(), path.last().unwrap().clone())),
        _ => {
            path.push(name.trim().to_owned());
            names.push((path, alias.trim().to_owned()));
        }
    }
}

/// Without comments, and with empty texts.
fn without_texts(code: &str) -> String {
    TEXT.replace_all(code, |found: &regex::Captures<'_>| {
        // Line numbers stay.
        let lines = "\n".repeat(found[0].matches('\n').count());
        let quotes = if found[0].starts_with('/') {
            ""
        } else {
            "\"\""
        };
        format!("{quotes}{lines}")
    })
    .into_owned()
}

/// Without the unit tests, which stand at the end.
fn without_tests(code: &str) -> String {
    code.split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap()
        .to_owned()
}
