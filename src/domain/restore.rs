//! How a backup is brought back: the command of the agent, and the job that does the same.
//!
//! Agents stamp a backup in its storage a moment after the `time_stamp` that they report, and restore the newest backup that is
//! not younger than `--restore-from-date`. With `time_stamp` they take the backup before an incremental one. The end of its run is
//! a time that always finds it.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::backup::Backup;
use super::document::{self, Object};
use super::resource::raw;
use super::run::iso_time;
use super::validation::{MODES, TEXT_WIDTH};

/// Where files are put if nobody says otherwise.
pub const DEFAULT_PATH: &str = "/restore";

/// What a backup is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    /// Files, also those of databases: they are restored into a folder.
    Files,
    Nova,
    Glance,
    Cinder,
    CinderNative,
    CinderBrick,
}

impl Media {
    /// All, with the word of the agent, the option that names the resource, and the member that has it.
    const ALL: [(Media, &'static str, &'static str, &'static str); 6] = [
        (Media::Cinder, "cinder", "cinder-vol-id", "cinder_vol_id"),
        (
            Media::CinderNative,
            "cindernative",
            "cindernative-vol-id",
            "cindernative_vol_id",
        ),
        (Media::Nova, "nova", "nova-inst-id", "nova_inst_id"),
        (
            Media::Glance,
            "glance",
            "glance-image-id",
            "glance_image_id",
        ),
        (
            Media::CinderBrick,
            "cinderbrick",
            "cinderbrick-vol-id",
            "cinderbrick_vol_id",
        ),
        (Media::Files, "fs", "restore-abs-path", "restore_abs_path"),
    ];

    /// As the record says, or by what it names.
    fn of(metadata: &Object) -> Media {
        let word = given(metadata, "backup_media");
        let by_word = |(_, name, ..): &&(_, &str, _, _)| word.as_deref() == Some(*name);
        let by_resource = |(.., member): &&(_, _, _, &str)| given(metadata, member).is_some();
        let all = Media::ALL.iter();
        let found = all.clone().find(by_word).or_else(|| {
            // Files have no resource; what they were restored to last says nothing.
            all.take(Media::ALL.len() - 1).find(by_resource)
        });
        found.map_or(Media::Files, |(media, ..)| *media)
    }

    /// The option of the agent that names the resource, and the member of an action that does.
    fn resource(self) -> (&'static str, &'static str) {
        let mut all = Media::ALL.into_iter();
        let found = all.find(|(media, ..)| *media == self);
        found.map_or(
            ("restore-abs-path", "restore_abs_path"),
            |(_, _, option, member)| (option, member),
        )
    }
}

/// What makes backups one series: an agent that restores looks for the newest among these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The host that it was made on.
    pub hostname: Option<String>,
    /// Its name.
    pub backup_name: Option<String>,
    /// The container, or the path in the storage.
    pub container: Option<String>,
    /// The kind of storage.
    pub storage: Option<String>,
    /// The instance, image or volume; none for files.
    pub resource_id: Option<String>,
}

impl Place {
    /// That of a backup with these metadata.
    pub fn of(metadata: &Object) -> Place {
        let (_, member) = Media::of(metadata).resource();
        let is_resource = member != "restore_abs_path";
        Place {
            hostname: given(metadata, "hostname"),
            backup_name: given(metadata, "backup_name"),
            container: given(metadata, "container"),
            storage: given(metadata, "storage"),
            resource_id: given(metadata, member).filter(|_| is_resource),
        }
    }
}

/// When its agent began to make a backup, in seconds since 1970 by the host's clock.
pub fn time_stamp(metadata: &Object) -> Option<i64> {
    let value = metadata.get("time_stamp")?;
    let number = value.as_i64();
    number.or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

/// A text or number of the metadata, as text. Agents write an empty text for what is not given.
fn given(metadata: &Object, member: &str) -> Option<String> {
    let text = match metadata.get(member)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// A backup with what the catalogue knows around it. Times are seconds since 1970.
#[derive(Clone, Debug)]
pub struct RecordedBackup {
    /// Its row.
    pub backup: Backup,
    /// When it was recorded, by the clock of this service.
    pub created_at: Option<i64>,
    /// When the run that made it ended, by the host's clock.
    pub run_ended_at: Option<i64>,
    /// The `time_stamp` of the next backup at the same place.
    pub next_time_stamp: Option<i64>,
    /// The client whose scheduler made it.
    pub client_id: Option<String>,
}

/// What the time of a restore rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Basis {
    RunEnd,
    CreatedAt,
    NextBackup,
    BackupId,
    Newest,
}

impl Basis {
    fn name(self) -> &'static str {
        match self {
            Basis::RunEnd => "run_end",
            Basis::CreatedAt => "created_at",
            Basis::NextBackup => "next_backup",
            Basis::BackupId => "backup_id",
            Basis::Newest => "newest",
        }
    }
}

/// All words that say what the time of a restore rests on.
pub const BASES: [&str; 5] = [
    "run_end",
    "created_at",
    "next_backup",
    "backup_id",
    "newest",
];

/// The document that `GET /report/backups/{backup_id}/restore` answers.
#[derive(Serialize)]
struct RestoreDocument<'a> {
    backup_id: &'a str,
    project_id: &'a Option<String>,
    command: String,
    job: Option<Value>,
    until: Option<String>,
    basis: &'static str,
    missing: Vec<&'static str>,
}

/// An option of the agent: its name on a command line, in an action, and its value.
struct Setting {
    option: &'static str,
    member: &'static str,
    value: String,
}

/// The settings that a restore has, and the names of those that it needs besides.
#[derive(Default)]
struct Settings {
    known: Vec<Setting>,
    missing: Vec<&'static str>,
}

impl Settings {
    fn set(&mut self, option: &'static str, member: &'static str, value: Option<String>) {
        // What is pasted into a terminal must not press keys there.
        let is_unsafe = |value: &String| value.chars().any(char::is_control);
        match value {
            Some(value) if is_unsafe(&value) => self.missing.push(member),
            Some(value) => self.known.push(Setting {
                option,
                member,
                value,
            }),
            None => {}
        }
    }

    fn need(&mut self, option: &'static str, member: &'static str, value: Option<String>) {
        if value.is_none() {
            self.missing.push(member);
        }
        self.set(option, member, value);
    }
}

impl RecordedBackup {
    /// The document that answers show; files are brought back below `path`.
    pub fn restore(&self, path: &str) -> Box<RawValue> {
        let metadata = document::stored_object(self.backup.backup_metadata.as_deref());
        let (until, basis) = self.until(&metadata);
        let until = until.and_then(iso_time);
        let settings = settings(&metadata, path);
        raw(&RestoreDocument {
            backup_id: &self.backup.id,
            project_id: &self.backup.project_id,
            command: command(&settings.known, until.as_deref()),
            job: self.job(&metadata, &settings.known, until.as_deref()),
            until,
            basis: basis.name(),
            missing: settings.missing,
        })
    }

    /// A time at which it is the newest backup of its place.
    fn until(&self, metadata: &Object) -> (Option<i64>, Basis) {
        if Media::of(metadata) == Media::CinderNative
            && given(metadata, "cinder_backup_id").is_some()
        {
            return (None, Basis::BackupId);
        }
        let began = time_stamp(metadata);
        let next = self.next_time_stamp.filter(|next| Some(*next) > began);
        let before_next = next.map(|next| next - 1);
        // A host whose clock is ahead has made it later than this service has heard of it.
        let created_at = self.created_at.filter(|created| Some(*created) >= began);
        let own = match (self.run_ended_at, created_at) {
            (Some(ended_at), _) => Some((ended_at, Basis::RunEnd)),
            (None, Some(created_at)) => Some((created_at, Basis::CreatedAt)),
            (None, None) => None,
        };
        match (own, before_next) {
            (Some((own, _)), Some(next)) if next < own => (Some(next), Basis::NextBackup),
            (Some((own, basis)), _) => (Some(own), basis),
            (None, Some(next)) => (Some(next), Basis::NextBackup),
            (None, None) => (None, Basis::Newest),
        }
    }

    /// The body of `POST /jobs`: it runs once, at the next poll of the scheduler; nothing where no client is known.
    fn job(&self, metadata: &Object, settings: &[Setting], until: Option<&str>) -> Option<Value> {
        let host = || given(metadata, "hostname");
        let client_id = self.client_id.clone().or_else(host)?;
        let mut action = Object::new();
        action.insert("action".to_owned(), "restore".into());
        for Setting { member, value, .. } in settings {
            let is_refused = *member == "mode" && !MODES.contains(&value.as_str());
            if !is_refused {
                action.insert((*member).to_owned(), value.as_str().into());
            }
        }
        if let Some(until) = until {
            // Agents before 19.0.0 take the time for that of their zone. They refuse this Z, instead of restoring another backup.
            action.insert("restore_from_date".to_owned(), until.into());
        }
        let name = given(metadata, "backup_name").unwrap_or_else(|| self.backup.id.clone());
        let description: String = format!("Restore {name}").chars().take(TEXT_WIDTH).collect();
        Some(json!({
            "client_id": client_id,
            "description": description,
            "job_actions": [{"freezer_action": action, "max_retries": 0}],
        }))
    }
}

fn settings(metadata: &Object, path: &str) -> Settings {
    let mut settings = Settings::default();
    let value = |member| given(metadata, member);
    let media = Media::of(metadata);
    settings.set("mode", "mode", value("mode"));
    settings.set("engine", "engine_name", value("engine_name"));
    if media != Media::CinderNative {
        settings.need("storage", "storage", value("storage"));
        settings.need("container", "container", value("container"));
        set_storage(&mut settings, metadata);
        settings.need("backup-name", "backup_name", stored_name(metadata));
        settings.need("hostname", "hostname", value("hostname"));
    }
    let (option, member) = media.resource();
    let resource = match media {
        Media::Files => Some(path.to_owned()),
        _ => value(member),
    };
    settings.need(option, member, resource);
    if media == Media::CinderNative {
        let (option, member) = ("cindernative-backup-id", "cindernative_backup_id");
        settings.set(option, member, value("cinder_backup_id"));
    }
    settings
}

/// What the agent has to know of a storage besides the container. No record has what lets it in.
fn set_storage(settings: &mut Settings, metadata: &Object) {
    let value = |member| given(metadata, member);
    match value("storage").as_deref() {
        Some("ssh") => {
            settings.need("ssh-host", "ssh_host", value("ssh_host"));
            settings.need("ssh-username", "ssh_username", value("ssh_username"));
            settings.set("ssh-port", "ssh_port", value("ssh_port"));
            settings.set("ssh-key", "ssh_key", value("ssh_key"));
            if value("ssh_key").is_none() {
                settings.missing.push("ssh_password");
            }
        }
        Some("ftp" | "ftps") => {
            settings.need("ftp-host", "ftp_host", value("ftp_host"));
            settings.need("ftp-username", "ftp_username", value("ftp_username"));
            settings.set("ftp-port", "ftp_port", value("ftp_port"));
            settings.missing.push("ftp_password");
        }
        Some("s3") => {
            settings.need("endpoint", "endpoint", value("endpoint"));
            settings.missing.extend(["access_key", "secret_key"]);
        }
        _ => {}
    }
}

/// The name under which it lies in the storage. Where none was given, agents of 19.0.0 report the one that they have made of their
/// template, but store under the template itself.
fn stored_name(metadata: &Object) -> Option<String> {
    const TEMPLATE: &str = "freezer_{mode}_{resource_id}";
    let name = given(metadata, "backup_name")?;
    let mode = given(metadata, "mode").unwrap_or_default();
    let resource = Place::of(metadata).resource_id;
    let resource = resource.or_else(|| given(metadata, "hostname"));
    let made = TEMPLATE
        .replace("{mode}", &mode)
        .replace("{resource_id}", &resource.unwrap_or_default());
    Some(if name == made {
        TEMPLATE.to_owned()
    } else {
        name
    })
}

/// The command, quoted for a POSIX shell. Agents before 19.0.0 read the date as local time, hence `TZ`, and no zone in the date.
fn command(settings: &[Setting], until: Option<&str>) -> String {
    let mut words = vec!["--action".to_owned(), "restore".to_owned()];
    for Setting { option, value, .. } in settings {
        if value.starts_with('-') {
            words.push(format!("--{option}={value}"));
        } else {
            words.extend([format!("--{option}"), value.clone()]);
        }
    }
    if let Some(until) = until {
        let until = until.trim_end_matches('Z').to_owned();
        words.extend(["--restore-from-date".to_owned(), until]);
    }
    // It fails for a NUL alone, and what has control characters was left out.
    let words = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default();
    format!("TZ=UTC freezer-agent {words}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recorded(metadata: Value) -> RecordedBackup {
        RecordedBackup {
            backup: Backup {
                id: "b1".to_owned(),
                backup_metadata: Some(metadata.to_string()),
                ..Backup::default()
            },
            created_at: Some(1_000),
            run_ended_at: None,
            next_time_stamp: None,
            client_id: Some("host1".to_owned()),
        }
    }

    fn shown(backup: &RecordedBackup) -> Value {
        serde_json::from_str(backup.restore("/a b").get()).unwrap()
    }

    fn files() -> Value {
        json!({
            "mode": "fs", "engine_name": "tar", "storage": "local", "container": "/var/it's", "backup_name": "etc",
            "hostname": "node1", "backup_media": "fs", "time_stamp": 990, "cinder_vol_id": "", "ssh_key": "",
        })
    }

    #[test]
    fn files_are_restored_by_this_command_and_this_job() {
        let mut backup = recorded(files());
        backup.run_ended_at = Some(1_020);
        let action = json!({
            "action": "restore", "mode": "fs", "engine_name": "tar", "storage": "local", "container": "/var/it's",
            "backup_name": "etc", "hostname": "node1", "restore_abs_path": "/a b",
            "restore_from_date": "1970-01-01T00:17:00Z",
        });
        let wanted = json!({
            "backup_id": "b1", "project_id": null, "basis": "run_end", "until": "1970-01-01T00:17:00Z", "missing": [],
            "command": "TZ=UTC freezer-agent --action restore --mode fs --engine tar --storage local --container \
                \"/var/it's\" --backup-name etc --hostname node1 --restore-abs-path '/a b' \
                --restore-from-date 1970-01-01T00:17:00",
            "job": {"client_id": "host1", "description": "Restore etc",
                "job_actions": [{"freezer_action": action, "max_retries": 0}]},
        });
        assert_eq!(shown(&backup), wanted);
    }

    #[test]
    fn the_time_lies_between_this_backup_and_the_next() {
        for (created, ended, next, until, basis) in [
            (1_000, Some(1_020), None, Some(1_020), "run_end"),
            (1_000, Some(1_020), Some(1_020), Some(1_019), "next_backup"),
            (1_000, Some(1_020), Some(1_021), Some(1_020), "run_end"),
            (1_000, None, None, Some(1_000), "created_at"),
            (1_000, None, Some(995), Some(994), "next_backup"),
            // The host's clock is ahead.
            (900, None, Some(2_000), Some(1_999), "next_backup"),
            (900, None, None, None, "newest"),
            // What is no next one.
            (1_000, None, Some(990), Some(1_000), "created_at"),
        ] {
            let mut backup = recorded(files());
            backup.created_at = Some(created);
            backup.run_ended_at = ended;
            backup.next_time_stamp = next;
            let shown = shown(&backup);
            assert_eq!(shown["basis"], basis, "{shown}");
            assert_eq!(shown["until"], json!(until.and_then(iso_time)), "{shown}");
            assert!(BASES.contains(&basis));
        }
    }

    #[test]
    fn resources_are_named_by_their_ids() {
        for (metadata, options) in [
            (
                json!({"mode": "nova", "engine_name": "nova", "nova_inst_id": "i1"}),
                "--nova-inst-id i1",
            ),
            (
                json!({"mode": "glance", "engine_name": "glance", "glance_image_id": "g1"}),
                "--glance-image-id g1",
            ),
            (
                json!({"mode": "cinder", "engine_name": "tar", "cinder_vol_id": "v1"}),
                "--cinder-vol-id v1",
            ),
            (
                json!({"mode": "cindernative", "engine_name": "tar", "cindernative_vol_id": "v1", "cinder_backup_id": "c1"}),
                "--cindernative-vol-id v1 --cindernative-backup-id c1",
            ),
        ] {
            let mut document = files();
            let whole = document.as_object_mut().unwrap();
            whole.shift_remove("backup_media");
            whole.extend(metadata.as_object().unwrap().clone());
            let shown = shown(&recorded(document));
            let command = shown["command"].as_str().unwrap();
            assert!(command.contains(options), "{command}");
            assert!(!command.contains("abs-path"), "{command}");
            let is_native = options.contains("native");
            assert_eq!(
                command.contains("--hostname node1"),
                !is_native,
                "{command}"
            );
            assert_eq!(command.contains("from-date"), !is_native, "{command}");
            assert_eq!(
                shown["basis"],
                if is_native { "backup_id" } else { "created_at" }
            );
        }
    }

    #[test]
    fn what_no_record_has_is_missing() {
        for (changes, missing) in [
            (
                json!({"storage": "s3"}),
                json!(["endpoint", "access_key", "secret_key"]),
            ),
            (
                json!({"storage": "ssh", "ssh_host": "h", "ssh_username": "u", "ssh_key": "/k", "ssh_port": 22}),
                json!([]),
            ),
            (
                json!({"storage": "ssh", "ssh_host": "h", "ssh_username": "u"}),
                json!(["ssh_password"]),
            ),
            (
                json!({"storage": "ftp", "ftp_password": "p"}),
                json!(["ftp_host", "ftp_username", "ftp_password"]),
            ),
            (
                json!({"hostname": "", "container": null}),
                json!(["container", "hostname"]),
            ),
            (json!({"backup_media": "nova"}), json!(["nova_inst_id"])),
            (
                json!({"hostname": "a\u{3}\u{15}rm -r /\n"}),
                json!(["hostname"]),
            ),
        ] {
            let mut document = files();
            document
                .as_object_mut()
                .unwrap()
                .extend(changes.as_object().unwrap().clone());
            let shown = shown(&recorded(document));
            assert_eq!(shown["missing"], missing, "{shown}");
            assert!(!shown.to_string().contains("\"p\""), "{shown}");
        }
    }

    #[test]
    fn a_name_that_the_agent_made_is_stored_as_its_template() {
        let mut document = files();
        document["backup_name"] = "freezer_fs_node1".into();
        let shown = shown(&recorded(document));
        let command = shown["command"].as_str().unwrap();
        assert!(
            command.contains("--backup-name 'freezer_{mode}_{resource_id}'"),
            "{command}"
        );
    }

    proptest! {
        #[test]
        fn a_shell_reads_back_what_was_meant(name in ".{1,20}", container in "[-$`'\"\\\\ a-z*]{1,20}") {
            let mut document = files();
            document["backup_name"] = name.clone().into();
            document["container"] = container.clone().into();
            let shown = shown(&recorded(document));
            let words = shlex::split(shown["command"].as_str().unwrap()).unwrap();
            let has = |option: &str, value: &str| {
                words.windows(2).any(|pair| pair[0] == option && pair[1] == value)
                    || words.contains(&format!("{option}={value}"))
            };
            prop_assert!(has("--container", &container), "{words:?}");
            let is_unsafe = name.chars().any(char::is_control);
            prop_assert!(is_unsafe || has("--backup-name", &name), "{words:?}");
            prop_assert_eq!(words.iter().filter(|word| word.starts_with("--action")).count(), 1);
        }
    }
}
