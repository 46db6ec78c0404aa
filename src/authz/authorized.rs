//! The proof that a caller may do something in a project.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value};

use super::context::{RequestContext, TokenScope};
use super::rules::Rule;
use crate::domain::Scope;
use crate::domain::job::PidViewer;
use crate::oslo::policy::Enforcer;

/// The policy refuses the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("You are not allowed to access this resource")]
pub struct Denied;

/// A caller whom the policy allows what the route does, in the project of the path. Only [`Authorized::check`] makes one,
/// so what takes one cannot be reached past the policy.
#[derive(Clone)]
pub struct Authorized {
    policy: Arc<Enforcer>,
    context: Arc<RequestContext>,
    target: Arc<Map<String, Value>>,
    project_id: String,
    deadline: Instant,
}

impl Authorized {
    /// Asks the policy whether the caller may do what `rule` guards in the project. The caller waits for the answer until
    /// `deadline`.
    ///
    /// # Errors
    /// [`Denied`]; an unscoped token is always refused.
    pub fn check(
        policy: Arc<Enforcer>,
        context: Arc<RequestContext>,
        project_id: String,
        rule: Rule,
        deadline: Instant,
    ) -> Result<Authorized, Denied> {
        if context.scope() == TokenScope::Unscoped {
            // Rules compare the project of the token with a text, and "None" is one.
            return Err(Denied);
        }
        let target = Map::from_iter([("project_id".to_owned(), project_id.clone().into())]);
        let authorized = Authorized {
            target: Arc::new(target),
            policy,
            context,
            project_id,
            deadline,
        };
        authorized.require(rule)?;
        Ok(authorized)
    }

    /// The project of the path.
    pub fn project_id(&self) -> &str {
        &self.project_id
    }

    /// When the caller is told that the request took too long. What is not committed by then must not be.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The rows of that project.
    pub fn scope(&self) -> Scope {
        Scope::Project(self.project_id.clone())
    }

    /// The caller.
    pub fn context(&self) -> &RequestContext {
        &self.context
    }

    /// The caller's id, which is stored in each row that they write.
    pub fn user_id(&self) -> &str {
        &self.context.user_id
    }

    /// Whether the policy allows the caller something further.
    pub fn may(&self, rule: Rule) -> bool {
        let decision = self
            .policy
            .authorize(rule.name(), &self.target, &*self.context);
        decision.is_allowed()
    }

    /// Refuses unless the policy allows the caller something further.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn require(&self, rule: Rule) -> Result<(), Denied> {
        if self.may(rule) { Ok(()) } else { Err(Denied) }
    }

    /// Which process ids the caller sees in jobs, given whether they see the jobs of all projects.
    pub fn pid_viewer(&self, sees_all_projects: bool) -> PidViewer {
        if sees_all_projects {
            PidViewer::Operator
        } else {
            PidViewer::Project(self.context.project_id.clone())
        }
    }
}
