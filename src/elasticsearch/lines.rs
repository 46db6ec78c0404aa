//! Documents of files with one JSON object a line.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::{Hit, Reached, ReadError};

/// How many bytes of lines are read at once, as far as a line is not larger.
const PAGE_BYTES: usize = 2 << 20;

/// How large a line may be, in bytes: far more than a document.
const LARGEST_LINE: u64 = 256 << 20;

/// A reading of files, one after the other.
pub struct Lines {
    waiting: VecDeque<PathBuf>,
    file: Option<OpenFile>,
    /// How many bytes were read, and how many there are; a pipe has none.
    read: u64,
    size: u64,
}

struct OpenFile {
    path: PathBuf,
    reader: BufReader<File>,
    number: u64,
    text: String,
}

impl Lines {
    pub(super) fn open(paths: Vec<PathBuf>) -> Result<Lines, ReadError> {
        // A name that is wrong is told before anything is read.
        let mut size = 0;
        for path in &paths {
            let file = File::open(path).and_then(|file| file.metadata());
            size += file.map_err(|error| unreadable(path, error))?.len();
        }
        Ok(Lines {
            waiting: paths.into(),
            file: None,
            read: 0,
            size,
        })
    }

    pub(super) fn reached(&self) -> Reached {
        const KIB: u64 = 1 << 10;
        Reached {
            what: "KiB read",
            done: self.read.div_ceil(KIB),
            total: self.size.div_ceil(KIB),
        }
    }

    pub(super) fn page(&mut self, limit: usize) -> Result<Vec<Hit>, ReadError> {
        let mut hits = Vec::new();
        let mut bytes = 0;
        while hits.len() < limit && bytes < PAGE_BYTES {
            let file = match &mut self.file {
                Some(file) => file,
                None => match self.waiting.pop_front() {
                    None => break,
                    Some(path) => self.file.insert(OpenFile::new(path)?),
                },
            };
            match file.next()? {
                Some((hit, length)) => {
                    bytes += length;
                    self.read += length as u64;
                    hits.push(hit);
                }
                None => self.file = None,
            }
        }
        Ok(hits)
    }
}

impl OpenFile {
    fn new(path: PathBuf) -> Result<OpenFile, ReadError> {
        let file = File::open(&path).map_err(|error| unreadable(&path, error))?;
        Ok(OpenFile {
            path,
            reader: BufReader::new(file),
            number: 0,
            text: String::new(),
        })
    }

    /// The next document, and how many bytes its line has.
    fn next(&mut self) -> Result<Option<(Hit, usize)>, ReadError> {
        loop {
            self.text.clear();
            let read = (&mut self.reader)
                .take(LARGEST_LINE)
                .read_line(&mut self.text);
            let read = read.map_err(|error| unreadable(&self.path, error))?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if read as u64 == LARGEST_LINE {
                return Err(ReadError::Line {
                    path: self.path.display().to_string(),
                    number: self.number,
                    reason: format!("it has {LARGEST_LINE} bytes or more"),
                });
            }
            let line = self.text.trim_start_matches('\u{feff}').trim();
            if !line.is_empty() {
                let hit = serde_json::from_str(line).map_err(|error| ReadError::Line {
                    path: self.path.display().to_string(),
                    number: self.number,
                    reason: format!(
                        "{error}; wanted is a document such as \
                         {{\"_index\": \"freezer\", \"_type\": \"jobs\", \"_id\": \"…\", \"_source\": {{…}}}}"
                    ),
                })?;
                return Ok(Some((hit, self.text.len())));
            }
        }
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> ReadError {
    ReadError::File {
        path: path.display().to_string(),
        source,
    }
}
