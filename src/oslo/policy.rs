//! The policy engine: who may do what, in the language of oslo.policy.
//!
//! A service names rules and gives each a default check ([`RuleDefault`]); operators override them in files. An
//! [`Enforcer`] answers for a rule, the attributes of a target and the [`Credentials`] of a token.
//!
//! A check is one of
//! - `role:name`: the credentials have the role, whatever its case;
//! - `rule:name`: the other rule passes;
//! - `attribute:value`: the credential of that name prints as the value, where `attribute` may be a dotted path, and of a
//!   list any item will do;
//! - `'literal':value`, `True:value`, `5:value`: the literal prints as the value;
//! - `@` or nothing: always; `!`: never.
//!
//! In values, `%(key)s` stands for an attribute of the target, without which the check fails. Checks are joined by
//! `and`, `or`, `not` and parentheses, or written as a list of alternatives that are lists of checks.
//!
//! Answers equal those of oslo.policy 6, with these exceptions, which are refused when rules are loaded, with an error that
//! names file and rule:
//! - `http:` and `https:` checks, which ask another server;
//! - what makes oslo.policy raise an exception on a request: formats other than `%(key)s` and `%%`, and left sides that
//!   are no attribute path and no scalar literal (also lists and the like, which compare with Python's print of them);
//! - circles and references to unknown rules (unless the default rule exists, which then stands in), which oslo.policy
//!   only logs;
//! - rules that are neither text nor list, such as `null`, which oslo.policy takes for "everyone".
//!
//! Where oslo.policy raises an exception because a path leads through a text or a number, the check fails.
//!
//! Nothing here knows HTTP or the service that uses it.

mod check;
mod credentials;
mod cycle;
mod default;
mod enforcer;
mod error;
mod explanation;
mod files;
mod parser;
mod python;
mod rules;
mod template;
mod tree;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;

pub use credentials::{Credentials, Identity, Scope};
pub use default::{Operation, RuleDefault, ScopeType, sample};
pub use enforcer::{EffectiveRule, Enforcer, Options};
pub use error::{Origin, PolicyError};
pub use explanation::{Explanation, Step};
pub use value::{Alternative, RuleValue};

/// The answer of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub enum Decision {
    /// The rule passes.
    Allowed,
    /// The rule does not pass.
    Denied,
    /// The token is of a scope that the rule does not take, and scopes are enforced.
    WrongScope,
}

impl Decision {
    /// Whether the request may go on.
    #[must_use]
    pub fn is_allowed(self) -> bool {
        self == Self::Allowed
    }
}

impl From<bool> for Decision {
    fn from(passed: bool) -> Self {
        if passed { Self::Allowed } else { Self::Denied }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::WrongScope => "denied, because the token has the wrong scope",
        })
    }
}
