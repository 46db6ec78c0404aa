//! The rules that a service brings itself, and the sample file that shows them.

use std::fmt::Write;

/// A rule with the check that holds where no policy file says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleDefault {
    /// The name, unique in the service.
    pub name: &'static str,
    /// The check in the policy language.
    pub check: &'static str,
    /// What the rule guards, in one sentence; empty for a rule that only others refer to.
    pub description: &'static str,
    /// The scopes of tokens that the rule takes; all where empty.
    pub scope_types: &'static [ScopeType],
    /// The requests that the rule guards.
    pub operations: &'static [Operation],
}

/// A scope that a token may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeType {
    /// One project.
    Project,
    /// One domain.
    Domain,
    /// The whole deployment.
    System,
}

impl ScopeType {
    /// The name in oslo.policy's `scope_types`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Domain => "domain",
            Self::System => "system",
        }
    }
}

/// One request of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The HTTP method.
    pub method: &'static str,
    /// The path with `{name}` for what varies.
    pub path: &'static str,
}

/// A policy file in YAML that shows all rules with their defaults, each line a comment.
#[must_use]
pub fn sample(defaults: &[RuleDefault]) -> String {
    let mut out = String::new();
    for default in defaults {
        // Writing to a String cannot fail.
        let _ = write_entry(&mut out, default);
    }
    out
}

fn write_entry(out: &mut String, default: &RuleDefault) -> std::fmt::Result {
    if !default.description.is_empty() {
        writeln!(out, "# {}", default.description)?;
    }
    for operation in default.operations {
        writeln!(out, "# {}  {}", operation.method, operation.path)?;
    }
    if !default.scope_types.is_empty() {
        let names: Vec<&str> = default
            .scope_types
            .iter()
            .map(|scope| scope.name())
            .collect();
        writeln!(out, "# Intended scope(s): {}", names.join(", "))?;
    }
    writeln!(out, "#\"{}\": \"{}\"", default.name, default.check)?;
    writeln!(out)
}
