//! The two lines of revisions: the reference's Alembic one and, after its end, our own.

use crate::store::Engine;

/// A step from one layout of the tables to the next.
#[derive(Debug)]
pub(super) struct Revision {
    /// The reference's revision id, or ours.
    pub(super) id: &'static str,
    /// What it brings.
    pub(super) title: &'static str,
    /// The scripts that do it, in this order.
    pub(super) scripts: &'static [Script],
}

/// A file in each of the folders of `migrations/`.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) file: &'static str,
    mysql: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

impl Script {
    pub(super) fn text(&self, engine: Engine) -> &'static str {
        match engine {
            Engine::MySql => self.mysql,
            Engine::Postgres => self.postgres,
            Engine::Sqlite => self.sqlite,
        }
    }
}

macro_rules! script {
    ($file:literal) => {
        Script {
            file: $file,
            mysql: include_str!(concat!("../../migrations/mysql/", $file, ".sql")),
            postgres: include_str!(concat!("../../migrations/postgres/", $file, ".sql")),
            sqlite: include_str!(concat!("../../migrations/sqlite/", $file, ".sql")),
        }
    };
}

/// Our bookkeeping tables; created before anything else.
pub(super) static BOOKKEEPING: Script = script!("00_bookkeeping");

/// The Alembic revisions of freezer-api 19.0.0, from the first to its head. A database without a stamp (an empty one, one
/// under sqlalchemy-migrate, the layout of the specification) begins with the first.
pub(super) static ALEMBIC: &[Revision] = &[
    Revision {
        id: "1333cef214d9",
        title: "the first tables",
        scripts: &[script!("00_unstamped"), script!("01_1333cef214d9")],
    },
    Revision {
        id: "e74c32f034c5",
        title: "actions.src_file becomes path_to_backup",
        scripts: &[script!("02_e74c32f034c5")],
    },
    Revision {
        id: "23c8ad2655a6",
        title: "what a client can do",
        scripts: &[script!("03_23c8ad2655a6")],
    },
    Revision {
        id: "29a2fd19eb86",
        title: "the trusts of jobs",
        scripts: &[script!("04_29a2fd19eb86")],
    },
    Revision {
        id: "30a3fd20ec97",
        title: "central clients",
        scripts: &[script!("05_30a3fd20ec97")],
    },
    Revision {
        id: "4f8c679a1d3b",
        title: "backups lose the name of their user",
        scripts: &[script!("06_4f8c679a1d3b")],
    },
    Revision {
        id: "a1b2c3d4e5f6",
        title: "the actions of jobs become rows",
        scripts: &[script!("07_a1b2c3d4e5f6")],
    },
    Revision {
        id: "5c9d21e87f34",
        title: "the status of a backup",
        scripts: &[script!("08_5c9d21e87f34")],
    },
    Revision {
        id: "7a3b9c1d2e4f",
        title: "user ids of 64 characters in jobs and sessions",
        scripts: &[script!("09_7a3b9c1d2e4f")],
    },
];

/// Our additions, which the Python server does not notice.
pub(super) static OWN: &[Revision] = &[
    Revision {
        id: "0001",
        title: "exact ids, large documents, indexes",
        scripts: &[script!("10_freezer_0001")],
    },
    Revision {
        id: "0002",
        title: "the runs of jobs",
        scripts: &[script!("11_freezer_0002")],
    },
    Revision {
        id: "0003",
        title: "indexes for jobs of all projects and central clients",
        scripts: &[script!("12_freezer_0003")],
    },
    Revision {
        id: "0004",
        title: "when schedulers polled",
        scripts: &[script!("13_freezer_0004")],
    },
    Revision {
        id: "0005",
        title: "which backups belong together",
        scripts: &[script!("14_freezer_0005")],
    },
    Revision {
        id: "0006",
        title: "how hosts fare, and what is wrong",
        scripts: &[script!("15_freezer_0006")],
    },
    Revision {
        id: "0007",
        title: "how many runs each day had",
        scripts: &[script!("16_freezer_0007")],
    },
    Revision {
        id: "0008",
        title: "which series a problem is of",
        scripts: &[script!("17_freezer_0008")],
    },
    Revision {
        id: "0009",
        title: "how many runs each hour had, and the backups of a job",
        scripts: &[script!("18_freezer_0009")],
    },
    Revision {
        id: "0010",
        title: "indexes of what the metadata of backups are searched by",
        scripts: &[script!("19_freezer_0010")],
    },
    Revision {
        id: "0011",
        title: "an index for the runs of a project in one state",
        scripts: &[script!("20_freezer_0011")],
    },
];

/// Removes our additions; run from the last to the first.
pub(super) static OWN_DOWN: &[Script] = &[
    script!("10_freezer_0001_down"),
    script!("11_freezer_0002_down"),
    script!("12_freezer_0003_down"),
    script!("13_freezer_0004_down"),
    script!("14_freezer_0005_down"),
    script!("15_freezer_0006_down"),
    script!("16_freezer_0007_down"),
    script!("17_freezer_0008_down"),
    script!("18_freezer_0009_down"),
    script!("19_freezer_0010_down"),
    script!("20_freezer_0011_down"),
];

#[cfg(test)]
mod tests {
    use super::super::script;
    use super::*;

    #[test]
    fn every_script_is_understood() {
        let all = ALEMBIC
            .iter()
            .chain(OWN)
            .flat_map(|revision| revision.scripts);
        for script in all.chain(OWN_DOWN).chain([&BOOKKEEPING]) {
            for engine in [Engine::MySql, Engine::Postgres, Engine::Sqlite] {
                let steps = script::parse(script.text(engine));
                assert!(steps.is_ok(), "{} for {engine:?}: {steps:?}", script.file);
            }
        }
    }
}
