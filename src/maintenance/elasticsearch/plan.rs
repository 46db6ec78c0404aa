//! What becomes of each document of a batch, as far as the documents say: rows to write, or why there are none.

use time::OffsetDateTime;

use super::document::{Document, Kind, Recognized, recognize};
use super::mapping::{
    JobRows, Kept, Known, Mapped, Owner, made_id, map_action, map_backup, map_client, map_job,
    map_session,
};
use super::survey::Survey;
use crate::domain::action::Action;
use crate::domain::client::Registration;
use crate::domain::document::text;
use crate::domain::job::UserCredentials;
use crate::domain::validation::Schemas;
use crate::elasticsearch::Hit;
use crate::maintenance::rows::{TIME_FORMAT, TextRow};
use crate::store::statement::Argument;
use crate::store::tables::{ACTIONS, ColumnKind, JOB_ACTIONS, Table, USER_CREDENTIALS};
use crate::store::{MAX_TEXT, Record};

/// A document and what becomes of it.
pub(super) struct Item {
    pub(super) hit: Hit,
    pub(super) plan: Plan,
}

/// What becomes of a document.
pub(super) enum Plan {
    Write(Box<Rows>),
    /// It is another registration of a client.
    Merge {
        project_id: String,
        client_id: String,
    },
    /// It cannot be a row.
    Leave(String),
}

/// The row of a document, and what belongs to it.
pub(super) struct Rows {
    pub(super) main: Planned,
    pub(super) with: With,
}

/// A row with what of the document is kept beside it.
pub(super) struct Planned {
    pub(super) table: &'static Table,
    pub(super) id: String,
    pub(super) row: TextRow,
    pub(super) kept: Kept,
}

/// What belongs to a row of its kind.
pub(super) enum With {
    Nothing,
    /// What a client registers.
    Registration(Registration),
    /// What a job has besides its row.
    Job {
        made: Vec<Planned>,
        action_ids: Vec<String>,
        links: Vec<TextRow>,
        credentials: Option<TextRow>,
    },
}

/// Makes plans.
pub(super) struct Planner {
    schemas: Schemas,
    known: Known,
    /// When what tells no time came to be.
    now: OffsetDateTime,
}

impl Planner {
    pub(super) fn new(schemas: Schemas, now: OffsetDateTime) -> Planner {
        Planner {
            schemas,
            known: Known::default(),
            now,
        }
    }

    /// The plan for a document of this kind; `None` for documents of other kinds.
    pub(super) fn plan(&mut self, kind: Kind, hit: Hit, survey: &Survey) -> Option<Item> {
        let mut document = match recognize(hit) {
            Recognized::Document(document) if document.kind == kind => document,
            Recognized::Unreadable(Some(found), hit, reason) if found == kind => {
                let plan = Plan::Leave(reason);
                return Some(Item { hit, plan });
            }
            _ => return None,
        };
        let plan = self.plan_document(&mut document, survey);
        let plan = plan.unwrap_or_else(Plan::Leave);
        Some(Item {
            hit: document.hit,
            plan,
        })
    }

    fn plan_document(&mut self, document: &mut Document, survey: &Survey) -> Result<Plan, String> {
        let user_id = text(&document.members, "user_id")
            .ok_or("it has no user_id")?
            .to_owned();
        let project_id = survey
            .project(document)
            .ok_or("nothing tells its project")?
            .to_owned();
        let owner = Owner {
            project_id: &project_id,
            user_id: &user_id,
        };
        let schemas = &self.schemas;
        let rows = match document.kind {
            Kind::Clients => {
                if let Some(name) = survey.registered_again(document, &project_id) {
                    let client_id = name.to_owned();
                    return Ok(Plan::Merge {
                        project_id,
                        client_id,
                    });
                }
                let Mapped { row, created, kept } = map_client(schemas, document, owner)?;
                let main = self.planned(Kind::Clients.table(), &row.client, created, kept)?;
                let with = With::Registration(row.registration);
                Rows { main, with }
            }
            Kind::Actions => {
                let id = text(&document.members, "action_id").unwrap_or(document.id());
                let mapped = map_action(schemas, document.members.clone(), id, owner)?;
                self.known.add(&mapped);
                self.alone(document.kind, mapped)?
            }
            Kind::Jobs => {
                let mapped = map_job(schemas, document, owner, &mut self.known)?;
                self.job(mapped)?
            }
            Kind::Sessions => self.alone(document.kind, map_session(schemas, document, owner)?)?,
            Kind::Backups => self.alone(document.kind, map_backup(schemas, document, owner)?)?,
        };
        Ok(Plan::Write(Box::new(rows)))
    }

    fn alone<R: Record>(&self, kind: Kind, mapped: Mapped<R>) -> Result<Rows, String> {
        let Mapped { row, created, kept } = mapped;
        Ok(Rows {
            main: self.planned(kind.table(), &row, created, kept)?,
            with: With::Nothing,
        })
    }

    fn job(&self, mapped: Mapped<JobRows>) -> Result<Rows, String> {
        let Mapped { row, created, kept } = mapped;
        let JobRows {
            job,
            action_ids,
            made,
            credentials,
        } = row;
        let main = self.planned(Kind::Jobs.table(), &job, created, kept)?;
        let made = made.into_iter().map(|action: Mapped<Action>| {
            self.planned(&ACTIONS, &action.row, created, action.kept)
        });
        let made = made.collect::<Result<Vec<Planned>, String>>()?;
        let time = self.time(created);
        let links = links(&job.id, &action_ids, &time);
        let credentials = credentials.map(|credentials| trust(&job.id, credentials, &time));
        Ok(Rows {
            main,
            with: With::Job {
                made,
                action_ids,
                links,
                credentials,
            },
        })
    }

    fn planned<R: Record>(
        &self,
        table: &'static Table,
        record: &R,
        created: Option<OffsetDateTime>,
        kept: Kept,
    ) -> Result<Planned, String> {
        let own = R::OWN_COLUMNS.iter().copied().zip(record.values());
        let values = own.map(|(name, value)| (name, text_of(value)));
        let mut row = row_of_texts(table, values);
        for (column, value) in table.columns.iter().zip(&mut row.0) {
            match column.name {
                "id" => *value = Some(record.id().to_owned()),
                "created_at" => *value = Some(self.time(created)),
                _ => {}
            }
        }
        check_widths(table, &row)?;
        Ok(Planned {
            table,
            id: record.id().to_owned(),
            row,
            kept,
        })
    }

    fn time(&self, created: Option<OffsetDateTime>) -> String {
        #[expect(clippy::expect_used, reason = "it has all parts of the format")]
        created
            .unwrap_or(self.now)
            .format(TIME_FORMAT)
            .expect("a date and a time of day")
    }
}

/// The rows that say which actions a job has.
fn links(job_id: &str, action_ids: &[String], time: &str) -> Vec<TextRow> {
    let link = |(position, action_id): (u32, &String)| {
        let values = [
            (
                "id",
                made_id(Kind::Jobs, &format!("{job_id}/{position}/link")),
            ),
            ("job_id", job_id.to_owned()),
            ("action_id", action_id.clone()),
            ("position", position.to_string()),
            ("created_at", time.to_owned()),
        ];
        row_of(&JOB_ACTIONS, values)
    };
    (0..).zip(action_ids).map(link).collect()
}

/// The row that says under which trust a job runs.
fn trust(job_id: &str, credentials: UserCredentials, time: &str) -> TextRow {
    let values = [
        ("id", made_id(Kind::Jobs, &format!("{job_id}/trust"))),
        ("job_id", job_id.to_owned()),
        ("trust_id", credentials.trust_id),
        ("trustor_user_id", credentials.trustor_user_id),
        ("created_at", time.to_owned()),
    ];
    row_of(&USER_CREDENTIALS, values)
}

/// The schemas limit what users write. These are the columns of what Keystone gave them, and the whole documents.
fn check_widths(table: &Table, row: &TextRow) -> Result<(), String> {
    for (column, value) in table.values(row) {
        let Some(value) = value else {
            continue;
        };
        let too_wide = column.kind == ColumnKind::Text
            && column
                .width
                .is_some_and(|width| value.chars().count() > width as usize);
        if too_wide || value.len() > MAX_TEXT {
            return Err(format!("{} does not fit into its column", column.name));
        }
    }
    Ok(())
}

/// A row with these values, which is not deleted.
fn row_of<'a>(table: &Table, values: impl IntoIterator<Item = (&'a str, String)>) -> TextRow {
    let values = values.into_iter();
    row_of_texts(table, values.map(|(name, value)| (name, Some(value))))
}

fn row_of_texts<'a>(
    table: &Table,
    values: impl Iterator<Item = (&'a str, Option<String>)>,
) -> TextRow {
    let mut row = TextRow(vec![None; table.columns.len()]);
    let deleted = [("deleted", Some("0".to_owned()))];
    for (name, value) in values.chain(deleted) {
        let at = table.columns.iter().position(|column| column.name == name);
        if let Some(place) = at.and_then(|at| row.0.get_mut(at)) {
            *place = value;
        }
    }
    row
}

fn text_of(value: Argument) -> Option<String> {
    match value {
        Argument::Text(text) => text,
        Argument::Integer(integer) => integer.map(|integer| integer.to_string()),
        Argument::Boolean(boolean) => boolean.map(|boolean| u8::from(boolean).to_string()),
        // No record has a time of its own.
        Argument::Time(_) => None,
    }
}

impl Planned {
    /// Gives the row another id.
    pub(super) fn rename(&mut self, id: &str) {
        id.clone_into(&mut self.id);
        for (column, value) in self.table.columns.iter().zip(&mut self.row.0) {
            if ["id", "uuid"].contains(&column.name) {
                *value = Some(id.to_owned());
            }
        }
    }

    /// The value of a column.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        value_of(self.table, &self.row, name)
    }
}

/// The value of a row's column.
pub(super) fn value_of<'r>(table: &Table, row: &'r TextRow, name: &str) -> Option<&'r str> {
    let mut values = table.values(row);
    values.find(|(column, _)| column.name == name)?.1
}

/// The columns in which two rows differ, but for times and marks of deletion. JSON is compared as values.
pub(super) fn differences(table: &Table, one: &TextRow, other: &TextRow) -> Vec<&'static str> {
    let pairs = table.values(one).zip(table.values(other));
    let differing = pairs.filter(|((column, one), (_, other))| {
        let counts = column.kind != ColumnKind::Time && column.name != "deleted";
        let json = |text: &Option<&str>| text.and_then(|text| serde_json::from_str(text).ok());
        let same_json = || {
            let (one, other): (Option<serde_json::Value>, Option<serde_json::Value>) =
                (json(one), json(other));
            matches!(column.kind, ColumnKind::Json(_)) && one.is_some() && one == other
        };
        counts && one != other && !same_json()
    });
    differing.map(|((column, _), _)| column.name).collect()
}
