//! The files of `web/`: embedded in a release build, read from the folder at the first request in a debug build. Their
//! compressed forms are made at the first request, in milliseconds.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use ring::digest::{Context, SHA256};
use rust_embed::RustEmbed;

/// The document; all others are what it names, and what these import.
const INDEX: &str = "index.html";

#[derive(RustEmbed)]
#[folder = "web/"]
struct Folder;

/// A file as it is sent.
pub(super) struct Asset {
    pub(super) media_type: &'static str,
    pub(super) plain: Bytes,
    pub(super) compressed: Bytes,
}

/// All of them.
pub(super) struct Assets {
    /// A hash of all contents. It stands in the addresses of the files, as one folder, so that scripts import each other by
    /// their plain names.
    pub(super) version: String,
    pub(super) index: Asset,
    /// By their path below `web/`.
    pub(super) files: BTreeMap<String, Asset>,
}

impl Assets {
    /// Those of this process.
    pub(super) fn get() -> &'static Assets {
        static ASSETS: LazyLock<Assets> = LazyLock::new(Assets::load);
        &ASSETS
    }

    fn load() -> Assets {
        let mut files: BTreeMap<String, Bytes> = Folder::iter()
            .filter_map(|name| {
                let content = Folder::get(&name)?.data.into_owned();
                Some((name.into_owned(), content.into()))
            })
            .collect();
        let index = files.remove(INDEX).unwrap_or_default();
        let version = version(&index, &files);
        let index = filled_in(&index, &version, &files);
        Assets {
            index: Asset::new(INDEX, index.into()),
            version,
            files: files
                .into_iter()
                .map(|(name, content)| {
                    let asset = Asset::new(&name, content);
                    (name, asset)
                })
                .collect(),
        }
    }
}

impl Asset {
    fn new(name: &str, plain: Bytes) -> Asset {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        Asset {
            media_type: match extension {
                "html" => "text/html; charset=utf-8",
                "js" => "text/javascript; charset=utf-8",
                "css" => "text/css; charset=utf-8",
                "svg" => "image/svg+xml",
                _ => "text/plain; charset=utf-8",
            },
            compressed: compressed(&plain),
            plain,
        }
    }
}

#[expect(clippy::expect_used, reason = "it writes to memory")]
fn compressed(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(plain);
    let finished: io::Result<Vec<u8>> = written.and_then(|()| encoder.finish());
    finished.expect("memory").into()
}

/// 16 hexadecimal digits for all names and contents.
fn version(index: &[u8], files: &BTreeMap<String, Bytes>) -> String {
    let mut hash = Context::new(&SHA256);
    hash.update(index);
    for (name, content) in files {
        for part in [name.as_bytes(), &content.len().to_be_bytes(), content] {
            hash.update(part);
        }
    }
    let digest = hash.finish();
    let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    hex.take(8).collect()
}

/// The document with the version, and with the scripts named that are needed at once: a browser would find them one by one.
fn filled_in(index: &[u8], version: &str, files: &BTreeMap<String, Bytes>) -> String {
    let scripts = files.keys().filter(|name| name.ends_with(".js"));
    let preload: String = scripts
        .map(|name| format!("<link rel=\"modulepreload\" href=\"assets/{version}/{name}\">\n"))
        .collect();
    String::from_utf8_lossy(index)
        .replace("<!-- scripts -->\n", &preload)
        .replace("{version}", version)
}
