//! Whose documents are that do not tell it: the arguments that say so, and Keystone's role assignments.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, anyhow, bail};
use clap::Args;

use super::output;
use crate::clock::Clock;
use crate::config::{AuthPlugin, AuthType, Config, KeystoneAuthtoken};
use crate::keystone::Assignments;
use crate::maintenance::elasticsearch::{ProjectRules, Survey};

/// The beginning of the names of OpenStack's environment variables.
const ENVIRONMENT: &str = "OS_";
/// How many projects of a user are named.
const MAX_PROJECTS: usize = 5;

/// Where the project of a document comes from that does not tell it.
#[derive(Debug, Args)]
pub(super) struct ProjectArguments {
    /// The project of a user's documents, where they do not tell it. May be repeated.
    #[arg(long, value_name = "USER=PROJECT")]
    project: Vec<String>,
    /// A file of such pairs, one a line; # begins a comment.
    #[arg(long, value_name = "PATH")]
    projects_file: Option<PathBuf>,
    /// Ask Keystone for the projects in which such users have roles: a user's only project is that of the documents. Takes the
    /// credentials of OpenStack's environment variables (OS_AUTH_URL and so on), else those of [keystone_authtoken]; they need
    /// the role reader of the system, or admin.
    #[arg(long)]
    projects_from_keystone: bool,
    /// The project of all other documents that do not tell it.
    #[arg(long, value_name = "PROJECT")]
    default_project: Option<String>,
}

impl ProjectArguments {
    /// The rules for the documents of a survey.
    pub(super) async fn rules(
        &self,
        config: &Config,
        survey: &mut Survey,
    ) -> anyhow::Result<ProjectRules> {
        let mut users = BTreeMap::new();
        if let Some(path) = &self.projects_file {
            users = read_pairs(path)?;
        }
        for argument in &self.project {
            users.extend([pair(argument)?]);
        }
        let mut rules = ProjectRules {
            users,
            ..ProjectRules::default()
        };
        if self.projects_from_keystone {
            let unknown = survey.users_without_project(&rules)?;
            rules.assignments = assignments(config, unknown).await?;
        }
        rules.default.clone_from(&self.default_project);
        Ok(rules)
    }
}

fn read_pairs(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    let pairs = lines.filter(|line| !line.is_empty()).map(pair);
    pairs
        .collect::<anyhow::Result<_>>()
        .with_context(|| path.display().to_string())
}

/// `USER=PROJECT`.
fn pair(text: &str) -> anyhow::Result<(String, String)> {
    match text.split_once('=') {
        Some((user, project)) if !user.trim().is_empty() && !project.trim().is_empty() => {
            Ok((user.trim().to_owned(), project.trim().to_owned()))
        }
        _ => bail!("{text}: wanted is USER=PROJECT"),
    }
}

/// The only project of each user who has one.
async fn assignments(
    config: &Config,
    users: BTreeSet<String>,
) -> anyhow::Result<BTreeMap<String, String>> {
    let keystone = if variable("AUTH_URL").is_some() {
        let mut options = config.keystone_authtoken.clone();
        options.cafile = variable("CACERT").map(PathBuf::from).or(options.cafile);
        options.region_name = variable("REGION_NAME").or(options.region_name);
        if let Some(interface) = parsed("INTERFACE")? {
            options.interface = interface;
        }
        Assignments::new(
            &options,
            "OS_* of the environment",
            &environment()?,
            Clock::default(),
        )
    } else {
        let options = &config.keystone_authtoken;
        let section = options.auth_section.as_deref();
        let section = section.unwrap_or(KeystoneAuthtoken::SECTION);
        Assignments::new(options, section, &config.service_auth, Clock::default())
    }?;
    let mut only = BTreeMap::new();
    for user in users {
        let projects = keystone.projects_of(&user).await?;
        match projects.len() {
            0 => output::note!("  user {user} has no role in any project"),
            1 => only.extend(projects.into_iter().map(|project| (user.clone(), project))),
            count => {
                let some: Vec<String> = projects.into_iter().take(MAX_PROJECTS).collect();
                let dots = if count > MAX_PROJECTS { ", …" } else { "" };
                output::note!(
                    "  user {user} has roles in {count} projects: {}{dots}",
                    some.join(", ")
                );
            }
        }
    }
    Ok(only)
}

/// A variable of OpenStack's clients.
fn variable(name: &str) -> Option<String> {
    std::env::var(format!("{ENVIRONMENT}{name}"))
        .ok()
        .filter(|value| !value.is_empty())
}

fn parsed<T: FromStr<Err = String>>(name: &str) -> anyhow::Result<Option<T>> {
    let value = variable(name).map(|text| text.parse());
    value
        .transpose()
        .map_err(|wanted| anyhow!("{ENVIRONMENT}{name}: wanted is {wanted}"))
}

/// The credentials of OpenStack's clients.
fn environment() -> anyhow::Result<AuthPlugin> {
    let auth_type = parsed::<AuthType>("AUTH_TYPE")?;
    Ok(AuthPlugin {
        auth_type: auth_type.or(Some(AuthType::Password)),
        auth_url: variable("AUTH_URL"),
        username: variable("USERNAME"),
        user_id: variable("USER_ID"),
        password: variable("PASSWORD").map(Into::into),
        user_domain_id: variable("USER_DOMAIN_ID"),
        user_domain_name: variable("USER_DOMAIN_NAME"),
        project_id: variable("PROJECT_ID"),
        project_name: variable("PROJECT_NAME"),
        project_domain_id: variable("PROJECT_DOMAIN_ID"),
        project_domain_name: variable("PROJECT_DOMAIN_NAME"),
        domain_id: variable("DOMAIN_ID"),
        domain_name: variable("DOMAIN_NAME"),
        default_domain_id: variable("DEFAULT_DOMAIN_ID"),
        default_domain_name: variable("DEFAULT_DOMAIN_NAME"),
        system_scope: variable("SYSTEM_SCOPE"),
        trust_id: variable("TRUST_ID").map(Into::into),
        application_credential_id: variable("APPLICATION_CREDENTIAL_ID"),
        application_credential_name: variable("APPLICATION_CREDENTIAL_NAME"),
        application_credential_secret: variable("APPLICATION_CREDENTIAL_SECRET").map(Into::into),
        token: variable("TOKEN").map(Into::into),
    })
}
