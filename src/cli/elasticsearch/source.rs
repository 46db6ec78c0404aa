//! Where the documents are: files, or a cluster with who may read it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use reqwest::Url;
use secrecy::SecretString;

use crate::cli::output;
use crate::elasticsearch::{Cluster, ClusterOptions, Credentials, Source};

/// The environment variables of secrets, where no file has them.
const PASSWORD: &str = "FREEZER_ELASTICSEARCH_PASSWORD";
const API_KEY: &str = "FREEZER_ELASTICSEARCH_API_KEY";

/// The source of an import. Secrets come from files or the environment: the command line is in the list of processes.
#[derive(Debug, Args)]
pub(super) struct SourceArguments {
    /// A file of JSON lines, as elasticdump writes them: one document a line, with `_id` and `_source`. May be repeated.
    #[arg(long, value_name = "PATH", required_unless_present = "url")]
    file: Vec<PathBuf>,
    /// The URL of a node of the cluster, for instance http://10.0.0.5:9200. May be repeated: the first node that can be reached
    /// answers.
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    url: Vec<Url>,
    /// The indices, as names, patterns or aliases.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "freezer",
        conflicts_with = "file"
    )]
    index: Vec<String>,
    /// The user, with a password from --password-file or FREEZER_ELASTICSEARCH_PASSWORD.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "api_key_file"])]
    user: Option<String>,
    /// A file with the user's password.
    #[arg(long, value_name = "PATH", requires = "user")]
    password_file: Option<PathBuf>,
    /// A file with an API key, as Elasticsearch encodes it. Without it, FREEZER_ELASTICSEARCH_API_KEY.
    #[arg(long, value_name = "PATH", conflicts_with = "file")]
    api_key_file: Option<PathBuf>,
    /// A file of certificates (PEM) of authorities to trust besides the system's.
    #[arg(long, value_name = "PATH", conflicts_with = "file")]
    ca_file: Option<PathBuf>,
    /// A file with a client certificate (PEM), and its key unless --key-file has that.
    #[arg(long, value_name = "PATH", conflicts_with = "file")]
    cert_file: Option<PathBuf>,
    /// A file with the key of the client certificate (PEM).
    #[arg(long, value_name = "PATH", requires = "cert_file")]
    key_file: Option<PathBuf>,
}

impl SourceArguments {
    /// The source, once the cluster answers.
    pub(super) async fn open(&self) -> anyhow::Result<Source> {
        if self.url.is_empty() {
            return Ok(Source::Files(self.file.clone()));
        }
        for url in &self.url {
            if !url.username().is_empty() || url.password().is_some() {
                bail!("a URL must not have a user or a password: --user and {PASSWORD} have them");
            }
        }
        let cluster = Cluster::connect(ClusterOptions {
            urls: self.url.clone(),
            indices: self.index.clone(),
            credentials: self.credentials()?,
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
        })
        .await?;
        output::note!("  reading from {}", cluster.version());
        Ok(Source::Cluster(Box::new(cluster)))
    }

    fn credentials(&self) -> anyhow::Result<Option<Credentials>> {
        if let Some(user) = &self.user {
            let password = secret(self.password_file.as_deref(), PASSWORD)?;
            let password =
                password.with_context(|| format!("--user needs --password-file or {PASSWORD}"))?;
            return Ok(Some(Credentials::Basic {
                user: user.clone(),
                password,
            }));
        }
        let key = secret(self.api_key_file.as_deref(), API_KEY)?;
        Ok(key.map(Credentials::ApiKey))
    }
}

/// A secret from a file, else from the environment.
fn secret(file: Option<&Path>, variable: &str) -> anyhow::Result<Option<SecretString>> {
    let text = match file {
        Some(path) => Some(
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
        ),
        None => std::env::var(variable).ok(),
    };
    let text = text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
    Ok(text.filter(|text| !text.is_empty()).map(SecretString::from))
}
