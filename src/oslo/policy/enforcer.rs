//! The enforcer: rules from defaults and files, kept up to date.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use serde_json::{Map, Value};

use super::Decision;
use super::credentials::Identity;
use super::default::RuleDefault;
use super::error::{Origin, PolicyError};
use super::explanation::Explanation;
use super::files::{self, FileRules, Files};
use super::rules::{RuleSet, Source};
use super::value::RuleValue;

/// How long a look at the files holds.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The options of the configuration group `[oslo_policy]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `policy_file`, found already. It may not exist (yet): then there are no overrides.
    pub policy_file: Option<PathBuf>,
    /// `policy_dirs`, found already. Those that do not exist do not count.
    pub policy_dirs: Vec<PathBuf>,
    /// `policy_default_rule`: the rule that stands in for one that is not defined.
    pub default_rule: String,
    /// `enforce_scope`: whether a token of a scope that the rule does not take is refused. Otherwise a warning is logged,
    /// once for each rule. (oslo.policy 6 dropped the option and always refuses.)
    pub enforce_scope: bool,
}

impl Default for Options {
    /// oslo.policy's defaults, without files.
    fn default() -> Self {
        Self {
            policy_file: None,
            policy_dirs: Vec::new(),
            default_rule: "default".to_owned(),
            enforce_scope: true,
        }
    }
}

/// What the last look at the files found.
#[derive(Debug, Default)]
struct Look {
    files: Files,
    /// Whether the policy file ever existed. If so, its removal is an error.
    had_policy_file: bool,
    /// The error that was logged last, so that it is not repeated at each look.
    complaint: Option<String>,
}

/// A rule in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveRule {
    /// The name.
    pub name: String,
    /// The check as written.
    pub value: RuleValue,
    /// Where it was written.
    pub origin: Origin,
}

/// Answers whether credentials may do something, by the service's default rules and the operator's files.
///
/// The files are looked at again at most once a second, by whichever request comes first; other requests go on with the
/// rules they have. Files that cannot be loaded are logged as errors, once for each change, and the last good rules stay.
/// So they do when the policy file is removed: its rules may be stricter than the defaults.
#[derive(Debug)]
pub struct Enforcer {
    defaults: &'static [RuleDefault],
    options: Options,
    rules: ArcSwap<RuleSet>,
    look: Mutex<Look>,
    started: Instant,
    /// When to look again, in milliseconds since `started`.
    next_look: AtomicU64,
}

impl Enforcer {
    /// Loads the rules.
    ///
    /// # Errors
    /// When a file cannot be read or understood, a rule refers to one that is not defined (and there is no default rule) or
    /// to itself, or a check is one that could not be evaluated, such as a remote one.
    pub fn new(defaults: &'static [RuleDefault], options: Options) -> Result<Self, PolicyError> {
        let files = Files::find(options.policy_file.as_deref(), &options.policy_dirs)?;
        let rules = load(defaults, &options, files.read()?)?;
        let had_policy_file = options
            .policy_file
            .as_deref()
            .is_some_and(|path| files.contain(path));
        Ok(Self {
            defaults,
            options,
            rules: ArcSwap::from_pointee(rules),
            look: Mutex::new(Look {
                files,
                had_policy_file,
                complaint: None,
            }),
            started: Instant::now(),
            next_look: AtomicU64::new(LOOK_INTERVAL.as_millis() as u64),
        })
    }

    /// Loads the rules from the text of a policy file alone. The text is not looked at again.
    ///
    /// # Errors
    /// As [`Enforcer::new`].
    pub fn from_text(text: &str, options: Options) -> Result<Self, PolicyError> {
        let mut rules = FileRules::new();
        files::parse(Path::new("(text)"), text, &mut rules)?;
        let rules = load(&[], &options, rules)?;
        Ok(Self {
            defaults: &[],
            options: Options {
                policy_file: None,
                policy_dirs: Vec::new(),
                ..options
            },
            rules: ArcSwap::from_pointee(rules),
            look: Mutex::default(),
            started: Instant::now(),
            next_look: AtomicU64::new(u64::MAX),
        })
    }

    /// Whether `rule` lets `credentials` do what it guards on `target`, the attributes of the thing concerned.
    pub fn authorize(
        &self,
        rule: &str,
        target: &Map<String, Value>,
        credentials: &dyn Identity,
    ) -> Decision {
        self.look_for_changes();
        self.rules
            .load()
            .decide(rule, target, credentials, self.options.enforce_scope)
    }

    /// The same decision with its reasons.
    #[must_use]
    pub fn explain(
        &self,
        rule: &str,
        target: &Map<String, Value>,
        credentials: &dyn Identity,
    ) -> Explanation {
        self.look_for_changes();
        self.rules
            .load()
            .explain(rule, target, credentials, self.options.enforce_scope)
    }

    /// The rules in force, by name.
    #[must_use]
    pub fn rules(&self) -> Vec<EffectiveRule> {
        let rules = self.rules.load();
        let owned = |(name, value, origin): (&str, &RuleValue, &Origin)| EffectiveRule {
            name: name.to_owned(),
            value: value.clone(),
            origin: origin.clone(),
        };
        rules.iter().map(owned).collect()
    }

    /// Whether a rule of this name is in force. One that is not stands for the default rule, or denies.
    #[must_use]
    pub fn defines(&self, rule: &str) -> bool {
        self.rules.load().iter().any(|(name, ..)| name == rule)
    }

    /// Reads the files anew if they changed since the last look, however long ago that was. Errors are logged.
    pub fn reload_if_changed(&self) {
        let mut look = match self.look.try_lock() {
            Ok(look) => look,
            // Another request is at it.
            Err(TryLockError::WouldBlock) => return,
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
        };
        match self.reload(&mut look) {
            Ok(false) => {}
            Ok(true) => {
                look.complaint = None;
                tracing::info!("policy files changed and were loaded");
            }
            Err(error) => {
                let complaint = Some(error.to_string());
                if look.complaint != complaint {
                    tracing::error!(%error, "policy files cannot be loaded: the last valid rules stay in force");
                    look.complaint = complaint;
                }
            }
        }
    }

    /// Whether there was something to load. What was seen is remembered also when it cannot be loaded, so that it is not
    /// read again before it changes.
    fn reload(&self, look: &mut Look) -> Result<bool, PolicyError> {
        let files = Files::find(
            self.options.policy_file.as_deref(),
            &self.options.policy_dirs,
        )?;
        if let Some(path) = &self.options.policy_file {
            if files.contain(path) {
                look.had_policy_file = true;
            } else if look.had_policy_file {
                return Err(PolicyError::Gone { path: path.clone() });
            }
        }
        if look.files == files {
            return Ok(false);
        }
        look.files = files;
        let rules = load(self.defaults, &self.options, look.files.read()?)?;
        self.rules.store(Arc::new(rules));
        Ok(true)
    }

    fn look_for_changes(&self) {
        let now = self.started.elapsed().as_millis() as u64;
        let due = self.next_look.load(Ordering::Relaxed);
        let next = now.saturating_add(LOOK_INTERVAL.as_millis() as u64);
        if now >= due
            && self
                .next_look
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.reload_if_changed();
        }
    }
}

/// Puts the rules of files over the defaults, and parses the result.
fn load(
    defaults: &[RuleDefault],
    options: &Options,
    files: FileRules,
) -> Result<RuleSet, PolicyError> {
    let mut sources = BTreeMap::new();
    for default in defaults {
        let (value, origin) = match files.get(default.name) {
            Some(written) => written.clone(),
            None => (RuleValue::Text(default.check.to_owned()), Origin::Default),
        };
        sources.insert(
            default.name.to_owned(),
            Source {
                value,
                origin,
                scope_types: default.scope_types,
            },
        );
    }
    for (name, (value, origin)) in files {
        sources.entry(name).or_insert(Source {
            value,
            origin,
            scope_types: &[],
        });
    }
    RuleSet::build(sources, &options.default_rule)
}
