//! What the metadata of backups are searched by: the texts of a few members, of which the databases keep indexes.
//!
//! A database cuts the text of a member out of the JSON by itself, whoever wrote it: on MySQL as a generated column, elsewhere
//! as the expression of an index. Of a member that occurs several times, at whatever depth, and of JSON that is large, it keeps a
//! mark instead. So a search looks up two values, and finds every row that can pass: those with its text, and those with the mark,
//! which are hardly any.

use super::Engine;
use super::rows::{Conditions, Record};
use super::statement::{Statement, sql};
use crate::domain::search::Pair;

/// What stands for the text of a member that occurs several times, and of large JSON; no plain text is equal to it.
const SEVERAL: &str = "'\"'";
/// How much of a JSON text is looked at behind a member's name, in bytes on MySQL, elsewhere in characters.
const WINDOW: usize = 130;
/// How large a JSON text is looked into, in bytes, on SQLite in characters (the Python service's may be older than 3.43, which
/// has OCTET_LENGTH): each search in it for a member takes copies of it.
const LARGEST: usize = 16 * 1024;
/// How long a text is looked up: with a blank and two quotation marks it fits.
const LONGEST: usize = WINDOW - 3;

/// Whether a text stands in every JSON text as it is: both writers, ours and the reference's, escape the others,
/// each in its own way.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

/// Whether a text is the one that the databases have cut out, wherever it is a member's value.
fn is_looked_up(text: &str) -> bool {
    is_plain(text) && !text.starts_with(' ') && (1..=LONGEST).contains(&text.len())
}

/// The members of a table's documents that have indexes.
pub(super) struct Indexed {
    /// The column of the documents.
    pub(super) column: &'static str,
    /// Those that leave the fewest rows come first.
    pub(super) members: &'static [&'static str],
}

impl Indexed {
    /// How the rows are looked up that can have these pairs; `None` where no index helps.
    pub(super) fn look_up(&self, engine: Engine, alias: &str, pairs: &[Pair]) -> Option<LookUp> {
        let text_of = |member: &&str| {
            let mut pairs = pairs.iter().filter(|(key, _)| key == member);
            pairs.find_map(|(_, value)| value.as_str().filter(|text| is_looked_up(text)))
        };
        let mut found = self.members.iter().filter_map(|member| {
            let text = text_of(member)?;
            Some(Member {
                expression: expression(engine, alias, self.column, member),
                text: text.to_owned(),
            })
        });
        let first = found.next()?;
        let others = found.collect();
        Some(LookUp { first, others })
    }
}

/// What a database keeps in the index of a member. Our migrations have the same words: an index of an expression is for those
/// alone.
fn expression(engine: Engine, alias: &str, column: &str, member: &str) -> String {
    let text = format!("{alias}.{column}");
    let name = format!("'\"{member}\":'");
    let behind = member.len() + 3;
    match engine {
        Engine::MySql => format!("{alias}.metadata_{member}"),
        Engine::Postgres => format!(
            "(CASE WHEN OCTET_LENGTH({text}) > {LARGEST} THEN {SEVERAL} WHEN split_part({text}, {name}, 3) = '' \
             THEN left(split_part(split_part({text}, {name}, 2), '\"', 2), {WINDOW}) ELSE {SEVERAL} END)"
        ),
        Engine::Sqlite => {
            let value =
                format!("ltrim(substr({text}, instr({text}, {name}) + {behind}, {WINDOW}), ' \"')");
            format!(
                "(CASE WHEN length({text}) > {LARGEST} THEN {SEVERAL} WHEN instr({text}, {name}) = 0 THEN NULL \
                 WHEN instr(substr({text}, instr({text}, {name}) + {behind}), {name}) > 0 THEN {SEVERAL} \
                 ELSE substr({value}, 1, instr({value}, '\"') - 1) END)"
            )
        }
    }
}

/// A member and the text that it must have.
#[derive(Clone)]
struct Member {
    expression: String,
    text: String,
}

/// Looks up the rows of a search by a member.
#[derive(Clone)]
pub(super) struct LookUp {
    first: Member,
    /// Other members: databases may know that they leave fewer rows.
    others: Vec<Member>,
}

impl LookUp {
    /// The query for columns of the rows that meet the conditions. `end` has their order, and how many there are at most; searches
    /// pass none over by SQL, so its offset is 0.
    ///
    /// Each of the two values is looked up by itself, since an index has the rows of one value in their order.
    pub(super) fn select<T: Record>(
        self,
        mut conditions: Conditions,
        columns: &str,
        end: Statement,
    ) -> Statement {
        for Member { expression, text } in self.others {
            conditions = conditions.and(&format!("{expression} IN (?, {SEVERAL})"), [text]);
        }
        let Member { expression, text } = self.first;
        let with_text = conditions.clone().and(&format!("{expression} = ?"), [text]);
        let with_several = conditions.and(&format!("{expression} = {SEVERAL}"), [""; 0]);
        let id = format!("{}.id AS id", T::ALIAS);
        let part = |rows: Conditions| rows.select::<T>(&id).push_statement(end.clone());
        sql(format!("SELECT {columns} FROM (SELECT h.id FROM ("))
            .push_statement(part(with_text))
            .push(") h UNION ALL SELECT s.id FROM (")
            .push_statement(part(with_several))
            .push(&format!(
                ") s) p JOIN {0} ON {1}.id = p.id",
                T::FROM,
                T::ALIAS
            ))
            .push_statement(end)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_that_databases_cut_out_otherwise_are_not_looked_up() {
        for text in ["etc", "a b ", "/var/backups", &"x".repeat(LONGEST)] {
            assert!(is_looked_up(text), "{text}");
        }
        for text in [
            "",
            " etc",
            "é",
            "a\"b",
            "a\\b",
            "\"",
            &"x".repeat(LONGEST + 1),
        ] {
            assert!(!is_looked_up(text), "{text}");
        }
    }

    #[test]
    fn the_first_member_is_looked_up_and_others_help() {
        let indexed = Indexed {
            column: "backup_metadata",
            members: &["job_id", "hostname"],
        };
        let pair = |key: &str, value| (key.to_owned(), value);
        let look_up = |pairs: &[Pair]| indexed.look_up(Engine::MySql, "b", pairs);
        let both = look_up(&[pair("hostname", json!("h")), pair("job_id", json!("j"))]).unwrap();
        assert_eq!(both.first.expression, "b.metadata_job_id");
        assert_eq!(both.others.len(), 1);
        let one = look_up(&[pair("hostname", json!("h")), pair("job_id", json!(1))]).unwrap();
        assert_eq!(one.first.text, "h");
        assert!(one.others.is_empty());
        assert!(look_up(&[pair("mode", json!("fs"))]).is_none());
    }
}
