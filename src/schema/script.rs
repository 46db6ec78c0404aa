//! The scripts under `migrations/`: statements, each with the condition under which it is still to be done.
//!
//! MySQL commits every statement about tables at once, so a migration that was killed has done some statements and
//! not others. A script says before each how to see that: `--@ unless index jobs.ix_jobs_client`.

use super::catalog::Catalog;

/// What a script does, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step<'a> {
    pub(super) guard: Option<Guard<'a>>,
    pub(super) action: StepAction<'a>,
}

/// A statement, or a function of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepAction<'a> {
    Sql(&'a str),
    /// Moves columns of backups into the metadata.
    KeepBackupColumns,
    /// Moves the JSON of `jobs.job_actions` into rows.
    NormalizeJobActions,
}

/// `unless` or `when` something is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guard<'a> {
    wanted: bool,
    object: Object<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object<'a> {
    Table(&'a str),
    Column(&'a str, &'a str),
    Index(&'a str, &'a str),
    Constraint(&'a str, &'a str),
    Collation(&'a str, &'a str),
    /// A column and its type.
    Type(&'a str, &'a str, &'a str),
}

impl<'a> StepAction<'a> {
    /// The table that it makes.
    pub(super) fn made_table(&self) -> Option<&'a str> {
        match self {
            StepAction::Sql(statement) => {
                statement.strip_prefix("CREATE TABLE ")?.split(' ').next()
            }
            StepAction::KeepBackupColumns | StepAction::NormalizeJobActions => None,
        }
    }
}

impl Guard<'_> {
    /// Whether the step is still to be done.
    pub(super) fn holds(&self, catalog: &Catalog) -> bool {
        self.object.is_in(catalog) == self.wanted
    }

    /// Whether the step will be to be done after others that made the tables `made`. What `when` asks for is then in these
    /// tables, since all that goes later was there in the first layout.
    pub(super) fn will_hold(&self, catalog: &Catalog, made: &[&str]) -> bool {
        let table = self.object.table();
        self.holds(catalog) || (self.wanted && !catalog.has_table(table) && made.contains(&table))
    }
}

impl Object<'_> {
    fn table(&self) -> &str {
        match self {
            Object::Table(table)
            | Object::Column(table, _)
            | Object::Index(table, _)
            | Object::Constraint(table, _)
            | Object::Collation(table, _)
            | Object::Type(table, _, _) => table,
        }
    }

    fn is_in(&self, catalog: &Catalog) -> bool {
        match self {
            Object::Table(table) => catalog.has_table(table),
            Object::Column(table, column) => catalog.has_column(table, column),
            Object::Index(table, index) => catalog.has_index(table, index),
            Object::Constraint(table, name) => catalog.has_constraint(table, name),
            Object::Collation(table, collation) => catalog.collation(table) == Some(collation),
            Object::Type(table, column, kind) => catalog.column_type(table, column) == Some(kind),
        }
    }
}

/// Reads a script. Statements end with `;` at the end of a line; lines that begin with `--` are comments.
///
/// # Errors
/// The line that is not understood.
pub(super) fn parse(script: &str) -> Result<Vec<Step<'_>>, String> {
    let mut steps = Vec::new();
    let mut guard = None;
    let mut rest = script;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return match guard {
                None => Ok(steps),
                Some(guard) => Err(format!("nothing follows {guard:?}")),
            };
        }
        // The last line may have no end.
        let (line, behind) = rest.split_once('\n').unwrap_or((rest, ""));
        if let Some(directive) = line.strip_prefix("--@ ") {
            rest = behind;
            match directive.trim_end() {
                "call keep_backup_columns" => steps.push(Step {
                    guard: guard.take(),
                    action: StepAction::KeepBackupColumns,
                }),
                "call normalize_job_actions" => steps.push(Step {
                    guard: guard.take(),
                    action: StepAction::NormalizeJobActions,
                }),
                other => guard = Some(parse_guard(other)?),
            }
        } else if line.starts_with("--") {
            rest = behind;
        } else {
            let (statement, behind) = rest
                .split_once(";\n")
                .ok_or_else(|| format!("no end of: {line}"))?;
            rest = behind;
            steps.push(Step {
                guard: guard.take(),
                action: StepAction::Sql(statement),
            });
        }
    }
}

fn parse_guard(directive: &str) -> Result<Guard<'_>, String> {
    let unknown = || format!("neither a guard nor a call: {directive}");
    let words: Vec<&str> = directive.splitn(4, ' ').collect();
    let (condition, object) = match *words.as_slice() {
        [condition, "table", table] => (condition, Object::Table(table)),
        [condition, "collation", table, collation] => {
            (condition, Object::Collation(table, collation))
        }
        [condition, kind, name, ref value @ ..] => {
            let (table, part) = name.split_once('.').ok_or_else(unknown)?;
            let object = match (kind, value) {
                ("column", []) => Object::Column(table, part),
                ("index", []) => Object::Index(table, part),
                ("constraint", []) => Object::Constraint(table, part),
                ("type", [value]) => Object::Type(table, part, value),
                _ => return Err(unknown()),
            };
            (condition, object)
        }
        _ => return Err(unknown()),
    };
    let wanted = match condition {
        "when" => true,
        "unless" => false,
        _ => return Err(unknown()),
    };
    Ok(Guard { wanted, object })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_have_guards() {
        let steps = parse(
            "-- about\n\n--@ unless column t.c\nALTER TABLE t\n    ADD c INT;\n\n--@ when column t.b\n\
             --@ call normalize_job_actions\nDROP TABLE u;\n",
        )
        .unwrap();
        let guard = |wanted, object| Some(Guard { wanted, object });
        assert_eq!(
            steps,
            [
                Step {
                    guard: guard(false, Object::Column("t", "c")),
                    action: StepAction::Sql("ALTER TABLE t\n    ADD c INT"),
                },
                Step {
                    guard: guard(true, Object::Column("t", "b")),
                    action: StepAction::NormalizeJobActions,
                },
                Step {
                    guard: None,
                    action: StepAction::Sql("DROP TABLE u"),
                },
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for guard in [
            "if table t",
            "when trigger t.x",
            "when table",
            "when column t",
            "unless column t.x y",
            "unless type t.x",
            "unless collation t",
        ] {
            let script = format!("--@ {guard}\nDROP TABLE t;\n");
            assert!(parse(&script).is_err(), "{guard}");
        }
        assert!(parse("--@ when table t\n").is_err());
        assert!(parse("DROP TABLE t").is_err());
    }
}
