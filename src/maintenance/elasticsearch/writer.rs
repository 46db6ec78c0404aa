//! Writes a batch of planned rows in one transaction, and says what became of each document.

use std::collections::HashMap;

use super::document::Kind;
use super::mapping::{Kept, made_id};
use super::plan::{Item, Plan, Planned, Rows, With, differences, value_of};
use crate::domain::Scope;
use crate::domain::client::Registration;
use crate::elasticsearch::Hit;
use crate::maintenance::rows::TextRow;
use crate::store::statement::sql;
use crate::store::tables::{JOB_ACTIONS, LEFTOVERS, Table, USER_CREDENTIALS};
use crate::store::{MAX_TEXT, Store, StoreError, Tx};

/// The column of `freezer_api_leftovers` that names what a value was: a whole document, or members of one.
pub(super) const WHOLE_DOCUMENT: &str = "document";
pub(super) const MEMBERS: &str = "members";

/// What the id of a client is called among what is kept beside it.
pub(super) const CLIENT_ID: &str = "clients id";

/// The widths of the columns that name a row, in characters.
const TABLE_WIDTH: usize = 32;
const ID_WIDTH: usize = 255;

/// The type of documents without one.
pub(super) const FOREIGN_TYPE: &str = "_doc";

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is a row now.
    Written,
    /// It was one already.
    There,
    /// It was one, which was deleted since.
    Deleted,
    /// It is another registration of the client of this name.
    Merged(String),
    /// The row with its id says something else, and stays.
    Differs(Vec<&'static str>),
    /// The row with its id said something else in these columns, and was overwritten.
    Overwritten(Vec<&'static str>),
    /// It cannot be a row.
    Left(String),
}

/// What became of a document, and of the id of a client that another one has.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) outcome: Outcome,
    /// What is said where the client has another id now.
    pub(super) renamed: Option<String>,
}

impl From<Outcome> for Placed {
    fn from(outcome: Outcome) -> Placed {
        Placed {
            outcome,
            renamed: None,
        }
    }
}

impl Placed {
    /// Why the document is written to the file of leftovers, where it is.
    pub(super) fn reason_to_leave(&self) -> Option<String> {
        reason_to_leave(&self.outcome).or_else(|| self.renamed.clone())
    }
}

/// What is done with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// Nothing: they are compared.
    DryRun,
    /// Those that are not there are added.
    Add,
    /// Those that differ are overwritten too.
    Overwrite,
}

/// Rows by their ids.
pub(super) type Existing = HashMap<String, TextRow>;

impl Store {
    /// Writes what is planned; what became of each, in their order.
    pub(super) async fn write_batch(
        &self,
        kind: Kind,
        items: &[Item],
        writing: Writing,
    ) -> Result<Vec<Placed>, StoreError> {
        self.write("importing documents", async |tx| {
            let mut batch = Batch::new(kind, writing);
            let placed = batch.place_all(tx, items).await?;
            batch.insert(tx).await?;
            Ok(placed)
        })
        .await
    }

    /// What [`Store::write_batch`] would do. `clients` are those that earlier batches would have added.
    pub(super) async fn compare_batch(
        &self,
        kind: Kind,
        items: &[Item],
        clients: &mut Existing,
    ) -> Result<Vec<Placed>, StoreError> {
        let mut batch = Batch::new(kind, Writing::DryRun);
        if kind == Kind::Clients {
            batch.existing = std::mem::take(clients);
        }
        let placed = batch.place_all(&mut self.open().await?, items).await?;
        if kind == Kind::Clients {
            *clients = batch.existing;
        }
        Ok(placed)
    }

    /// Keeps a document that is none of freezer's.
    pub(super) async fn keep_foreign(&self, hit: &Hit, reason: &str) -> Result<(), StoreError> {
        let row = whole(hit.doc_type.as_deref().unwrap_or(FOREIGN_TYPE), hit, reason);
        self.write("keeping a document", async |tx| {
            LEFTOVERS
                .insert(&mut tx.session, std::slice::from_ref(&row))
                .await
        })
        .await
    }
}

/// The rows of a batch on their way into the database.
struct Batch {
    kind: Kind,
    writing: Writing,
    existing: Existing,
    /// The rows to add, of each table in the order in which they refer to each other.
    made_actions: Vec<TextRow>,
    main: Vec<TextRow>,
    links: Vec<TextRow>,
    credentials: Vec<TextRow>,
    leftovers: Vec<TextRow>,
    /// The actions that the jobs take.
    taken: Vec<String>,
    /// Rows that are overwritten, and the jobs among them, whose actions and trusts are made anew.
    updates: Vec<TextRow>,
    unlinked: Vec<String>,
}

impl Batch {
    fn new(kind: Kind, writing: Writing) -> Batch {
        Batch {
            kind,
            writing,
            updates: Vec::new(),
            unlinked: Vec::new(),
            existing: Existing::new(),
            made_actions: Vec::new(),
            main: Vec::new(),
            links: Vec::new(),
            credentials: Vec::new(),
            leftovers: Vec::new(),
            taken: Vec::new(),
        }
    }

    async fn place_all(&mut self, tx: &mut Tx, items: &[Item]) -> Result<Vec<Placed>, StoreError> {
        let planned = items.iter().filter_map(|item| match &item.plan {
            Plan::Write(rows) => Some(rows.main.id.as_str()),
            Plan::Merge { .. } | Plan::Leave(_) => None,
        });
        let ids: Vec<&str> = planned.collect();
        let there = existing(tx, self.kind.table(), &ids).await?;
        self.existing.extend(there);
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            let placed = match &item.plan {
                Plan::Merge { client_id, .. } => Outcome::Merged(client_id.clone()).into(),
                Plan::Leave(reason) => Outcome::Left(reason.clone()).into(),
                Plan::Write(rows) => self.place(tx, &item.hit, rows).await?,
            };
            if let Some(reason) = reason_to_leave(&placed.outcome) {
                self.leftovers
                    .push(whole(self.kind.name(), &item.hit, &reason));
            }
            all.push(placed);
        }
        Ok(all)
    }

    /// Decides what becomes of the rows of one document.
    async fn place(&mut self, tx: &mut Tx, hit: &Hit, rows: &Rows) -> Result<Placed, StoreError> {
        match &rows.with {
            With::Registration(registration) => {
                self.place_client(tx, hit, &rows.main, registration).await
            }
            With::Nothing => Ok(self.place_row(&rows.main).into()),
            With::Job {
                made,
                action_ids,
                links,
                credentials,
            } => {
                let mut outcome = self.place_row(&rows.main);
                if outcome == Outcome::There {
                    outcome = self
                        .compare_job(tx, &rows.main, action_ids, credentials.as_ref())
                        .await?;
                }
                if let Outcome::Overwritten(_) = outcome {
                    self.unlinked.push(rows.main.id.clone());
                }
                if let Outcome::Written | Outcome::Overwritten(_) = outcome {
                    for action in made {
                        self.made_actions.push(action.row.clone());
                        self.keep(action.table, &action.id, &action.kept);
                    }
                    self.taken.extend(action_ids.iter().cloned());
                    self.links.extend(links.iter().cloned());
                    self.credentials.extend(credentials.clone());
                }
                Ok(outcome.into())
            }
        }
    }

    /// Compares a row with the one that has its id, or adds it.
    fn place_row(&mut self, planned: &Planned) -> Outcome {
        if let Some(row) = self.existing.get(&planned.id) {
            let outcome = compare(planned, row);
            return self.overwrite(planned, outcome);
        }
        self.existing
            .insert(planned.id.clone(), planned.row.clone());
        self.main.push(planned.row.clone());
        self.keep(planned.table, &planned.id, &planned.kept);
        Outcome::Written
    }

    /// Overwrites a row that differs, where that is wanted.
    fn overwrite(&mut self, planned: &Planned, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Differs(columns) if self.writing == Writing::Overwrite => {
                self.updates.push(planned.row.clone());
                self.keep(planned.table, &planned.id, &planned.kept);
                Outcome::Overwritten(columns)
            }
            other => other,
        }
    }

    /// A client is known by its name. Other registrations of the name wait until the transaction ends, so the row is added at once.
    /// One that stays as it is waits for nobody: to import again writes nothing.
    async fn place_client(
        &mut self,
        tx: &mut Tx,
        hit: &Hit,
        planned: &Planned,
        registration: &Registration,
    ) -> Result<Placed, StoreError> {
        let mut planned = Planned {
            table: planned.table,
            id: planned.id.clone(),
            row: planned.row.clone(),
            kept: planned.kept.clone(),
        };
        let project_id = planned.value("project_id").unwrap_or_default().to_owned();
        let renamed = self.rename_client(tx, hit, &mut planned).await?;
        if let Some(row) = self.existing.get(&planned.id) {
            let outcome = compare(&planned, row);
            let outcome = self.overwrite(&planned, outcome);
            if let Outcome::Overwritten(_) = outcome {
                tx.lock_registration(&registration.client_id).await?;
            }
            return Ok(Placed { outcome, renamed });
        }
        if let Some(outcome) = registered(tx, &project_id, registration).await? {
            return Ok(outcome.into());
        }
        if self.writing == Writing::DryRun {
            let outcome = self.place_row(&planned);
            return Ok(Placed { outcome, renamed });
        }
        tx.lock_registration(&registration.client_id).await?;
        if let Some(outcome) = registered(tx, &project_id, registration).await? {
            // Somebody was first while this one waited.
            return Ok(outcome.into());
        }
        let outcome = self.place_row(&planned);
        let rows = std::mem::take(&mut self.main);
        planned.table.insert(&mut tx.session, &rows).await?;
        Ok(Placed { outcome, renamed })
    }

    /// Gives a client another id where another client has its own: a name was registered again under it, or two projects have
    /// the same. What is said then.
    async fn rename_client(
        &mut self,
        tx: &mut Tx,
        hit: &Hit,
        planned: &mut Planned,
    ) -> Result<Option<String>, StoreError> {
        let Some(row) = self.existing.get(&planned.id) else {
            return Ok(None);
        };
        if is_same_client(planned, row) {
            return Ok(None);
        }
        let old = planned.id.clone();
        planned.rename(&made_id(Kind::Clients, &hit.path()));
        let reason = format!("uuid {old} is another client's; it has {}", planned.id);
        planned.kept.add(CLIENT_ID, old.into(), reason.clone());
        let there = existing(tx, planned.table, &[&planned.id]).await?;
        self.existing.extend(there);
        Ok(Some(reason))
    }

    /// Compares what belongs to a job that is there with what would be written.
    async fn compare_job(
        &mut self,
        tx: &mut Tx,
        job: &Planned,
        action_ids: &[String],
        credentials: Option<&TextRow>,
    ) -> Result<Outcome, StoreError> {
        let is_new = |row: &TextRow| value_of(job.table, row, "id") == Some(&job.id);
        if self.main.iter().any(is_new) {
            // It is of this very batch, and a second document says the same.
            return Ok(Outcome::There);
        }
        let links = live_values(tx, &JOB_ACTIONS, "action_id", &job.id, "position").await?;
        let trusts = live_values(tx, &USER_CREDENTIALS, "trust_id", &job.id, "id").await?;
        let wanted = credentials.and_then(|row| value_of(&USER_CREDENTIALS, row, "trust_id"));
        let mut differing = Vec::new();
        if links != action_ids {
            differing.push("job_actions");
        }
        if trusts.first().map(String::as_str) != wanted {
            differing.push("user_credentials");
        }
        if differing.is_empty() {
            return Ok(Outcome::There);
        }
        Ok(self.overwrite(job, Outcome::Differs(differing)))
    }

    /// Keeps what of a document has no place in its row.
    fn keep(&mut self, table: &Table, id: &str, kept: &Kept) {
        if !kept.is_empty() {
            let reason = kept.reasons().join("; ");
            let row = leftover([table.name, id, MEMBERS], Some(kept.text()), &reason);
            self.leftovers.push(row);
        }
    }

    async fn insert(self, tx: &mut Tx) -> Result<(), StoreError> {
        let table = self.kind.table();
        Kind::Actions
            .table()
            .insert(&mut tx.session, &self.made_actions)
            .await?;
        if !self.taken.is_empty() {
            // None goes before the job has it.
            let mut taken: Vec<&str> = self.taken.iter().map(String::as_str).collect();
            taken.sort_unstable();
            taken.dedup();
            tx.lock_actions(&Scope::All, &taken).await?;
        }
        table.insert(&mut tx.session, &self.main).await?;
        table.update(&mut tx.session, &self.updates).await?;
        for job_id in &self.unlinked {
            for belongs in [&JOB_ACTIONS, &USER_CREDENTIALS] {
                let delete = format!("DELETE FROM {} WHERE job_id = ?", belongs.name);
                tx.session.execute(sql(delete).bind(job_id)).await?;
            }
        }
        JOB_ACTIONS.insert(&mut tx.session, &self.links).await?;
        USER_CREDENTIALS
            .insert(&mut tx.session, &self.credentials)
            .await?;
        LEFTOVERS.insert(&mut tx.session, &self.leftovers).await
    }
}

/// What keeps a client from being added: another one that has its name.
async fn registered(
    tx: &mut Tx,
    project_id: &str,
    registration: &Registration,
) -> Result<Option<Outcome>, StoreError> {
    let scope = Scope::Project(project_id.to_owned());
    let reason = match tx.find_registered(&scope, registration).await? {
        Some(client) if client.belongs_to(project_id) => {
            return Ok(Some(Outcome::Merged(client.client_id)));
        }
        Some(_) => "its name is that of a client of another project",
        None if registration.is_central && tx.is_private_name(&registration.client_id).await? => {
            "it is central, and its name is that of a client that is not"
        }
        None => return Ok(None),
    };
    Ok(Some(Outcome::Left(reason.to_owned())))
}

/// What becomes of a document whose id a row has.
fn compare(planned: &Planned, row: &TextRow) -> Outcome {
    if value_of(planned.table, row, "deleted") == Some("1") {
        return Outcome::Deleted;
    }
    match differences(planned.table, &planned.row, row) {
        differing if differing.is_empty() => Outcome::There,
        differing => Outcome::Differs(differing),
    }
}

fn is_same_client(planned: &Planned, row: &TextRow) -> bool {
    let same = |name: &str| planned.value(name) == value_of(planned.table, row, name);
    same("client_id") && same("project_id")
}

/// Why a document is kept as a whole, where it is.
pub(super) fn reason_to_leave(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Written | Outcome::There | Outcome::Deleted | Outcome::Overwritten(_) => None,
        Outcome::Merged(name) => Some(format!("another registration of client {name}")),
        Outcome::Differs(columns) => Some(format!(
            "differs from the row that is there: {}",
            columns.join(", ")
        )),
        Outcome::Left(reason) => Some(reason.clone()),
    }
}

/// A whole document among the leftovers.
fn whole(table: &str, hit: &Hit, reason: &str) -> TextRow {
    let text = serde_json::to_string(hit)
        .ok()
        .filter(|text| text.len() <= MAX_TEXT);
    leftover(
        [&leftover_table(table), &leftover_id(hit), WHOLE_DOCUMENT],
        text,
        reason,
    )
}

/// What a table or a type is called among the leftovers.
pub(super) fn leftover_table(name: &str) -> String {
    name.chars().take(TABLE_WIDTH).collect()
}

/// What a whole document is called among the leftovers.
pub(super) fn leftover_id(hit: &Hit) -> String {
    hit.path().chars().take(ID_WIDTH).collect()
}

/// A row of `freezer_api_leftovers`; what is too long for a column of it is cut.
fn leftover([table, id, column]: [&str; 3], value: Option<String>, reason: &str) -> TextRow {
    let values = [
        Some(table),
        Some(id),
        Some(column),
        Some("-1"),
        None,
        Some(reason),
    ];
    let columns = LEFTOVERS.columns.iter().zip(values);
    let texts = columns.map(|(column, text)| {
        let width = column.width.map_or(usize::MAX, |width| width as usize);
        text.map(|text| text.chars().take(width).collect())
    });
    let mut row = TextRow(texts.collect());
    if let Some(place) = row
        .0
        .iter_mut()
        .zip(LEFTOVERS.columns)
        .find(|(_, column)| column.name == "value")
    {
        *place.0 = value;
    }
    row
}

/// The rows with these ids.
async fn existing(
    tx: &mut Tx,
    table: &'static Table,
    ids: &[&str],
) -> Result<Existing, StoreError> {
    let rows = table.read_ids(&mut tx.session, ids).await?;
    let with_id = |row: TextRow| Some((value_of(table, &row, "id")?.to_owned(), row));
    Ok(rows.into_iter().filter_map(with_id).collect())
}

/// The values of a column in the live rows that belong to a job.
async fn live_values(
    tx: &mut Tx,
    table: &Table,
    column: &str,
    job_id: &str,
    order: &str,
) -> Result<Vec<String>, StoreError> {
    let query = format!(
        "SELECT {column} FROM {} WHERE job_id = ? AND deleted = FALSE ORDER BY {order}",
        table.name
    );
    let query = sql(query).bind(job_id);
    let values: Vec<(String,)> = tx.session.fetch_all(query).await?;
    Ok(values.into_iter().map(|(value,)| value).collect())
}
