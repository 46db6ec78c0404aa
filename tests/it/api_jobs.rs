//! Jobs: what is stored and what is refused when one is created.

use serde_json::{Value, json};

use crate::support::{Database, PROJECT, START, Service, api::contains};

/// A job without actions on the client `c`, with these members besides.
pub(crate) fn job(members: Value) -> Value {
    let mut job = json!({"client_id": "c", "job_actions": []});
    job.as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    job
}

/// A service with the client `c`.
pub(crate) async fn service(database: &Database) -> Service {
    let service = Service::start(database).await;
    service.client("c").await;
    service
}

pub(crate) async fn shown(service: &Service, id: &str) -> Value {
    service.get(&format!("jobs/{id}")).await.expect(200).json()
}

/// Every member that a schedule may have, at its edges.
const SCHEDULES: &[(&str, &[&str], &[&str])] = &[
    (
        "time_created",
        &["0", "-1", "99999999999"],
        &["\"1\"", "true", "null", "1.5"],
    ),
    ("time_started", &["5"], &["\"\"", "null"]),
    ("time_ended", &["5"], &["\"\"", "[]"]),
    (
        "current_pid",
        &["1", "99999999999"],
        &["\"1\"", "1.0", "null"],
    ),
    (
        "event",
        &[
            r#""""#,
            r#""stop""#,
            r#""start""#,
            r#""abort""#,
            r#""remove""#,
        ],
        &[r#""go""#, "null", r#""START""#],
    ),
    (
        "status",
        &[
            r#""""#,
            r#""completed""#,
            r#""stop""#,
            r#""scheduled""#,
            r#""running""#,
            r#""aborting""#,
            r#""removed""#,
        ],
        &[r#""done""#, "1", "null"],
    ),
    (
        "result",
        &[r#""""#, r#""success""#, r#""fail""#, r#""aborted""#],
        &[r#""good""#, "null"],
    ),
    (
        "schedule_date",
        &[
            r#""2024-02-31T23:59:59""#,
            r#""2024-12-01T00:00:00.123Z""#,
            r#""12024-01-01T00:00:00+05:30""#,
            r#""-2024-01-01T00:00:00-23:59""#,
        ],
        &[
            r#""""#,
            r#""2024-13-01T00:00:00""#,
            r#""2024-00-01T00:00:00""#,
            r#""2024-01-32T00:00:00""#,
            r#""2024-01-01T24:00:00""#,
            r#""2024-01-01 00:00:00""#,
            r#""2024-01-01T00:00""#,
            r#""2024-01-01T00:00:00\n""#,
            r#""2024-01-01T00:00:00+24:00""#,
            r#""x2024-01-01T00:00:00""#,
            "null",
            "5",
        ],
    ),
    (
        "schedule_start_date",
        &[r#""2024-01-01T00:00:00""#],
        &[r#""now""#],
    ),
    (
        "schedule_end_date",
        &[r#""2024-01-01T00:00:00""#],
        &[r#""never""#],
    ),
    (
        "schedule_interval",
        &[
            r#""continuous""#,
            r#""1 weeks""#,
            r#""2 days""#,
            r#""3   hours""#,
            r#""007 minutes""#,
            r#""99999999999999999999 seconds""#,
            r#""٥ days""#,
        ],
        &[
            r#""""#,
            r#""days""#,
            r#""5days""#,
            r#""1 day""#,
            r#""1.5 days""#,
            r#""-1 days""#,
            r#""1 days\n""#,
            r#""x continuous""#,
            "5",
        ],
    ),
    (
        "schedule_year",
        &[r#""2024""#, r#""٢٠٢٤""#],
        &[r#""24""#, r#""02024""#, "2024", r#""2024\n""#],
    ),
    (
        "schedule_month",
        &[r#""1-6""#, r#""""#, "\"\u{1f600}\""],
        &["1", "null"],
    ),
    ("schedule_day", &[r#""*""#], &["1"]),
    ("schedule_week", &[r#""*/2""#], &["1"]),
    ("schedule_day_of_week", &[r#""mon-fri""#], &["1"]),
    ("schedule_hour", &[r#""x""#], &["1"]),
    ("schedule_minute", &[r#""0""#], &["1"]),
    ("schedule_second", &[r#""0""#], &["1"]),
];

on_each_engine! {
    async fn a_job_is_shown_as_it_was_created(database: Database) {
        let service = service(&database).await;
        let created = json!({"time_created": START, "time_started": -1, "time_ended": -1});
        for (members, expected) in [
            (json!({}), json!({
                "project_id": PROJECT, "user_id": "dev", "client_id": "c", "session_id": "", "session_tag": 0,
                "description": "", "job_actions": [], "job_schedule": created,
            })),
            (json!({"job_schedule": {"time_created": 1, "time_started": 2, "time_ended": 3, "status": "scheduled"}}),
                json!({"job_schedule": {"time_created": START, "time_started": -1, "time_ended": -1, "status": "scheduled"}})),
            (json!({"description": null, "session_id": null}), json!({"description": null, "session_id": null})),
            (json!({"description": "d \u{1f600}", "session_id": "none", "session_tag": -7}),
                json!({"description": "d \u{1f600}", "session_id": "none", "session_tag": -7})),
            (json!({"user_id": 5, "project_id": "p2"}), json!({"user_id": "dev", "project_id": PROJECT})),
            (json!({"session_name": null, "_version": 3, "action_defaults": null}), json!({})),
            (json!({"session_name": "s", "action_defaults": {}}), json!({})),
            // Not stored: nobody knows whose trust it is.
            (json!({"user_credentials": {"trust_id": "t", "trustor_user_id": "u"}}), json!({})),
        ] {
            let id = service.created("jobs", job(members.clone()), "job_id").await;
            assert_eq!(id.len(), 32, "{id}");
            let document = shown(&service, &id).await;
            assert!(contains(&document, &expected), "{members}: {document}");
            let mut keys: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
            keys.sort_unstable();
            assert_eq!(keys, [
                "client_id", "description", "job_actions", "job_id", "job_schedule", "project_id", "session_id", "session_tag",
                "user_id",
            ], "{members}");
        }
        for falsy in [json!(""), json!(null), json!(0), json!(false), json!([]), json!({})] {
            let id = service.created("jobs", job(json!({"job_id": falsy})), "job_id").await;
            assert_eq!(id.len(), 32, "{id}");
        }
        for id in ["j", "-_", "Jöb-9", &"x".repeat(36)] {
            service.post("jobs", job(json!({"job_id": id}))).await.expect(201).shows(&json!({"job_id": id}));
        }
    }

    async fn schedules_have_their_rules(database: Database) {
        let service = service(&database).await;
        let session = service.session().await;
        let stored = service.job("c").await;
        for (key, accepted, refused) in SCHEDULES {
            let schedule = |value: &str| json!({*key: serde_json::from_str::<Value>(value).unwrap()});
            for value in *accepted {
                let schedule = schedule(value);
                let document = job(json!({"job_schedule": schedule}));
                service.post("jobs/replaced", document.clone()).await.expect(201);
                assert_eq!(shown(&service, "replaced").await["job_schedule"], schedule);
                let id = service.created("jobs", document, "job_id").await;
                if !key.starts_with("time_") {
                    assert_eq!(shown(&service, &id).await["job_schedule"][key], schedule[key]);
                }
                service.patch(&format!("jobs/{stored}"), json!({"job_schedule": schedule})).await.expect(200);
                assert_eq!(shown(&service, &stored).await["job_schedule"], schedule);
                service.patch(&format!("sessions/{session}"), json!({"schedule": schedule})).await.expect(200);
                let session = service.get(&format!("sessions/{session}")).await.expect(200).json();
                assert_eq!(session["schedule"], schedule);
            }
            for value in *refused {
                let schedule = schedule(value);
                let new = job(json!({"job_schedule": schedule}));
                if matches!(*key, "time_created" | "time_started" | "time_ended") {
                    // A new job's times are set, whatever was sent for them.
                    service.post("jobs", new).await.expect(201);
                } else {
                    service.refuses(&[("POST", "jobs", new, 400, key)]).await;
                }
                service.refuses(&[
                    ("POST", "jobs/replaced", job(json!({"job_schedule": schedule})), 400, key),
                    ("PATCH", &format!("jobs/{stored}"), json!({"job_schedule": schedule}), 400, key),
                    ("POST", "sessions", json!({"schedule": schedule}), 400, key),
                    ("POST", &format!("sessions/{session}"), json!({"schedule": schedule, "session_tag": 0}), 400, key),
                    ("PATCH", &format!("sessions/{session}"), json!({"schedule": schedule}), 400, key),
                ]).await;
            }
        }
        for schedule in [json!(null), json!("x"), json!([]), json!({"other": 1})] {
            service.refuses(&[
                ("POST", "jobs", job(json!({"job_schedule": schedule})), 400, ""),
                ("POST", "jobs/replaced", job(json!({"job_schedule": schedule})), 400, ""),
                ("PATCH", &format!("jobs/{stored}"), json!({"job_schedule": schedule}), 400, ""),
            ]).await;
        }
    }

    async fn what_is_no_job_is_refused(database: Database) {
        let service = service(&database).await;
        let good = json!({"action": "backup"});
        let entry = |entry: Value| json!({"client_id": "c", "job_actions": [entry]});
        let rows = [
            (json!({}), 400, "'job_actions' is a required property"),
            (json!({"client_id": "c"}), 400, "'job_actions' is a required property"),
            (json!({"job_actions": []}), 400, "'client_id' is a required property"),
            (json!({"client_id": "c", "job_actions": null}), 400, "job_actions"),
            (json!({"client_id": "c", "job_actions": "x"}), 400, "job_actions"),
            (json!({"client_id": "c", "job_actions": {}}), 400, "job_actions"),
            (json!({"client_id": "c", "job_actions": ["x"]}), 400, "job_actions"),
            (json!({"client_id": "c", "job_actions": [null]}), 400, "job_actions"),
            (json!({"client_id": null, "job_actions": []}), 400, "client_id"),
            (json!({"client_id": "c.", "job_actions": []}), 400, "client_id"),
            (json!({"client_id": "c\n", "job_actions": []}), 400, "client_id"),
            (job(json!({"session_id": "a b"})), 400, "session_id"),
            (job(json!({"session_id": "x".repeat(37)})), 400, "session_id"),
            (job(json!({"session_id": 5})), 400, "session_id"),
            (job(json!({"session_tag": "1"})), 400, "session_tag"),
            (job(json!({"session_tag": 1.0})), 400, "session_tag"),
            (job(json!({"session_tag": true})), 400, "session_tag"),
            (job(json!({"session_tag": null})), 400, "session_tag"),
            (job(json!({"session_name": 5})), 400, "session_name"),
            (job(json!({"_version": 1.0})), 400, "_version"),
            (job(json!({"_version": "1"})), 400, "_version"),
            (job(json!({"description": 5})), 400, "description"),
            (job(json!({"other": 5})), 400, "'other' was unexpected"),
            (job(json!({"user_credentials": null})), 400, "user_credentials"),
            (job(json!({"user_credentials": {}})), 400, "is a required property"),
            (job(json!({"user_credentials": {"trust_id": "t"}})), 400, "'trustor_user_id' is a required property"),
            (job(json!({"user_credentials": {"trust_id": "x".repeat(256), "trustor_user_id": "u"}})), 400, "trust_id"),
            (job(json!({"user_credentials": {"trust_id": "t", "trustor_user_id": "u".repeat(65)}})), 400, "trustor_user_id"),
            (job(json!({"user_credentials": {"trust_id": 5, "trustor_user_id": "u"}})), 400, "trust_id"),
            (job(json!({"user_credentials": {"trust_id": "t", "trustor_user_id": "u u"}})), 400, "trustor_user_id"),
            (job(json!({"action_defaults": []})), 400, "action_defaults"),
            (job(json!({"action_defaults": "x"})), 400, "action_defaults"),
            (json!({"client_id": "c", "action_defaults": {"a": 1}}), 400, "job_actions"),
            (json!({"client_id": "c", "action_defaults": {"a": 1}, "job_actions": [{"action_id": "a"}]}), 400, "Missing request body"),
            (json!({"client_id": "c", "action_defaults": {"a": 1}, "job_actions": ["x"]}), 400, "job_actions"),
            (entry(json!({})), 400, "'freezer_action' is a required property"),
            (entry(json!({"action_id": ""})), 400, "'freezer_action' is a required property"),
            (entry(json!({"freezer_action": null})), 400, "freezer_action"),
            (entry(json!({"freezer_action": "x"})), 400, "freezer_action"),
            (entry(json!({"freezer_action": []})), 400, "freezer_action"),
            (entry(json!({"freezer_action": {}})), 400, "'action' is a required property"),
            (entry(json!({"freezer_action": {"action": "fly"}})), 400, "action"),
            (entry(json!({"freezer_action": {"action": "backup", "mode": "broom"}})), 400, "mode"),
            (entry(json!({"freezer_action": {"action": "backup", "path_to_backup": 5}})), 400, "path_to_backup"),
            (entry(json!({"freezer_action": {"action": "backup", "backup_name": 5}})), 400, "backup_name"),
            (entry(json!({"freezer_action": {"action": "backup", "container": 5}})), 400, "container"),
            (entry(json!({"freezer_action": {"action": "backup", "restore_abs_path": 5}})), 400, "restore_abs_path"),
            (entry(json!({"freezer_action": {"action": "backup", "cindernative_freezer_only": 5}})), 400, "cindernative"),
            (entry(json!({"freezer_action": {"action": "backup", "timeout": "x"}})), 400, "timeout"),
            (entry(json!({"freezer_action": good, "max_retries": null})), 400, "max_retries"),
            (entry(json!({"freezer_action": good, "max_retries": 1.0})), 400, "max_retries"),
            (entry(json!({"freezer_action": good, "max_retries_interval": "1"})), 400, "max_retries_interval"),
            (entry(json!({"freezer_action": good, "mandatory": null})), 400, "mandatory"),
            (entry(json!({"freezer_action": good, "mandatory": 1})), 400, "mandatory"),
            (entry(json!({"action_id": "none"})), 422, "Action id: none not found."),
            (entry(json!({"action_id": "a b"})), 422, "Action id: a b not found."),
            (entry(json!({"action_id": "a\u{0}"})), 422, "not found."),
            (entry(json!({"action_id": 5})), 422, "Action id: 5 not found."),
            (entry(json!({"action_id": ["x"]})), 422, "not found."),
            (json!({"client_id": "none", "job_actions": []}), 422, "Client not found with ID none"),
        ];
        for (body, status, words) in rows {
            service.refuses(&[("POST", "jobs", body.clone(), status, words), ("POST", "jobs/j", body, status, words)]).await;
        }
        // Of a job that is replaced the path has the id.
        for id in [json!("a b"), json!("a\n"), json!(5), json!("x".repeat(37))] {
            service.refuses(&[("POST", "jobs", job(json!({"job_id": id})), 400, "job_id")]).await;
        }
        // A replacement would move the job.
        service.refuses(&[("POST", "jobs/j", job(json!({"project_id": "p2"})), 400, "project_id")]).await;
        assert_eq!(database.rows("jobs", "1 = 1").await, 0);
        assert_eq!(database.rows("actions", "1 = 1").await, 0);
        service.get("jobs/none").await.refused(404, "Not Found");
    }

    async fn the_actions_of_a_job_keep_their_order(database: Database) {
        let service = service(&database).await;
        let stored = json!({"action": "backup", "mode": "fs", "backup_name": "stored", "more": {"a": [1]}});
        let action_id = service.created("actions", json!({"freezer_action": stored, "max_retries": 9}), "action_id").await;
        let id = service.created("jobs", json!({"client_id": "c", "job_actions": [
            {"freezer_action": {"action": "backup", "backup_name": "b", "x": 1}, "max_retries": 1, "max_retries_interval": 2},
            {"action_id": action_id},
            {"freezer_action": {"action": "restore", "mode": null}, "mandatory": true, "anything": [1], "project_id": "p2"},
            {"action_id": action_id, "freezer_action": {
                "action": "backup", "mode": "fs", "backup_name": "stored", "more": {"a": [1]}, "container": null, "new": null,
            }, "max_retries": 3},
            {"action_id": null, "freezer_action": {"action": "exec"}},
            {"action_id": "", "freezer_action": {"action": "exec"}},
        ]}), "job_id").await;
        let document = shown(&service, &id).await;
        assert!(contains(&document["job_actions"], &json!([
            {"freezer_action": {"action": "backup", "backup_name": "b", "x": 1}, "max_retries": 1, "max_retries_interval": 2},
            {"action_id": action_id, "freezer_action": stored, "max_retries": 9},
            {"freezer_action": {"action": "restore", "mode": null}, "max_retries": 5, "max_retries_interval": 6, "project_id": PROJECT},
            {"action_id": action_id},
            {"freezer_action": {"action": "exec"}},
            {"freezer_action": {"action": "exec"}},
        ])), "{document:#}");
        // Each is the document of GET, and what the job brought along is an action of its own now.
        let entries = document["job_actions"].as_array().unwrap();
        for entry in entries {
            let path = format!("actions/{}", entry["action_id"].as_str().unwrap());
            assert_eq!(service.get(&path).await.expect(200).json(), *entry);
        }
        assert_eq!(database.rows("actions", "1 = 1").await, 5);
        // A reference that says something else than what is stored is none.
        for claimed in [
            json!({"action": "backup"}),
            json!({"action": "restore", "mode": "fs", "backup_name": "stored", "more": {"a": [1]}}),
            json!({"action": "backup", "mode": "fs", "backup_name": "stored", "more": {"a": [1]}, "new": 1}),
        ] {
            let body = json!({"client_id": "c", "job_actions": [{"action_id": action_id, "freezer_action": claimed}]});
            let words = format!("Action id: {action_id} already exists with a different definition.");
            service.refuses(&[
                ("POST", "jobs", body.clone(), 422, &words),
                ("POST", &format!("jobs/{id}"), body.clone(), 422, &words),
                ("PATCH", &format!("jobs/{id}"), json!({"job_actions": body["job_actions"]}), 422, &words),
            ]).await;
        }
        // Another project's action is not there.
        service.post("/v2/p2/clients", json!({"client_id": "c"})).await.expect(201);
        let body = json!({"client_id": "c", "job_actions": [{"action_id": action_id}]});
        service.refuses(&[("POST", "/v2/p2/jobs", body, 422, "not found.")]).await;
        assert_eq!(shown(&service, &id).await, document);
    }

    async fn defaults_fill_what_actions_leave_open(database: Database) {
        let service = service(&database).await;
        let id = service.created("jobs", json!({
            "client_id": "c",
            "action_defaults": {"action": "backup", "storage": "swift", "container": "d", "mode": null},
            "job_actions": [
                {"freezer_action": {"container": "own", "storage": null}},
                {"freezer_action": {"action": "restore"}},
            ],
        }), "job_id").await;
        let document = shown(&service, &id).await;
        assert!(contains(&document["job_actions"], &json!([
            {"freezer_action": {"action": "backup", "storage": "swift", "container": "own", "mode": null}},
            {"freezer_action": {"action": "restore", "storage": "swift", "container": "d"}},
        ])), "{document:#}");
        let patch = json!({"action_defaults": {"action": "exec"}, "job_actions": [{"freezer_action": {"x": 1}}]});
        service.patch(&format!("jobs/{id}"), patch).await.expect(200);
        let document = shown(&service, &id).await;
        assert!(contains(&document["job_actions"], &json!([{"freezer_action": {"action": "exec", "x": 1}}])));
        let path = format!("jobs/{id}");
        service.refuses(&[
            ("PATCH", &path, json!({"action_defaults": {"a": 1}}), 400, "job_actions"),
            ("PATCH", &path, json!({"action_defaults": "x"}), 400, "action_defaults"),
            ("PATCH", &path, json!({"action_defaults": {"a": 1}, "job_actions": [{"action_id": "x"}]}), 400, "Missing request body"),
        ]).await;
    }

    async fn a_client_must_be_there_and_able(database: Database) {
        let service = service(&database).await;
        service.post("clients", json!({
            "client_id": "weak", "supported_actions": ["backup"], "supported_modes": ["fs"],
            "supported_storages": ["local"], "supported_engines": ["tar"],
        })).await.expect(201);
        service.post("clients", json!({"client_id": "none", "supported_actions": []})).await.expect(201);
        let on = |client: &str, freezer_action: Value| json!({"client_id": client, "job_actions": [{"freezer_action": freezer_action}]});
        for freezer_action in [
            json!({"action": "backup"}),
            json!({"action": "backup", "mode": "fs", "storage": "local", "engine": "tar"}),
            json!({"action": "backup", "mode": null, "storage": null, "engine": null}),
        ] {
            service.post("jobs", on("weak", freezer_action)).await.expect(201);
        }
        let jobs = database.rows("jobs", "1 = 1").await;
        let actions = database.rows("actions", "1 = 1").await;
        for (client, freezer_action, words) in [
            ("weak", json!({"action": "exec", "mode": "nova", "storage": "s3", "engine": "nova"}), "Client weak does not support action: exec"),
            ("weak", json!({"action": "backup", "mode": "nova", "storage": "s3", "engine": "nova"}), "Client weak does not support mode: nova"),
            ("weak", json!({"action": "backup", "storage": "s3", "engine": "nova"}), "Client weak does not support storage: s3"),
            ("weak", json!({"action": "backup", "engine": "nova"}), "Client weak does not support engine: nova"),
            ("none", json!({"action": "backup"}), "Client none does not support action: backup"),
            ("missing", json!({"action": "backup"}), "Client not found with ID missing"),
        ] {
            let body = on(client, freezer_action);
            service.refuses(&[("POST", "jobs", body.clone(), 422, words), ("POST", "jobs/new", body, 422, words)]).await;
        }
        // Central clients of other projects are seen, others are not.
        service.post("/v2/p2/clients", json!({"client_id": "central", "is_central": true, "hostname": "h"})).await.expect(201);
        service.post("/v2/p2/clients", json!({"client_id": "foreign"})).await.expect(201);
        service.refuses(&[("POST", "jobs", on("foreign", json!({"action": "backup"})), 422, "Client not found with ID foreign")]).await;
        // A refused job leaves nothing, not even the actions that it brought along.
        assert_eq!(database.rows("jobs", "1 = 1").await, jobs);
        assert_eq!(database.rows("actions", "1 = 1").await, actions);
        service.post("jobs", on("central", json!({"action": "backup"}))).await.expect(201);
        // One's own client comes before a central one of its name.
        service.post("/v2/p2/clients", json!({"client_id": "w", "is_central": true, "hostname": "h", "uuid": "0"})).await.expect(201);
        database.run("UPDATE clients SET client_id = 'weak' WHERE id = '0'".to_owned()).await;
        service.refuses(&[("POST", "jobs", on("weak", json!({"action": "exec"})), 422, "does not support")]).await;
    }

    async fn an_id_is_taken_for_ever_and_everywhere(database: Database) {
        let service = service(&database).await;
        service.post("/v2/p2/clients", json!({"client_id": "c"})).await.expect(201);
        for id in ["a", "gone"] {
            service.post("/v2/p2/jobs", job(json!({"job_id": id}))).await.expect(201);
        }
        service.delete("/v2/p2/jobs/gone").await.expect(204);
        let inline = |id: &str, client: &str| {
            json!({"job_id": id, "client_id": client, "job_actions": [{"freezer_action": {"action": "exec"}}]})
        };
        service.refuses(&[
            ("POST", "jobs", inline("a", "c"), 409, "Job already registered with ID a"),
            ("POST", "/v2/p2/jobs", inline("a", "c"), 409, "a"),
            ("POST", "jobs", inline("gone", "c"), 409, "gone"),
            ("POST", "/v2/p2/jobs", inline("gone", "c"), 409, "gone"),
            ("POST", "jobs/a", inline("x", "c"), 409, "a"),
            ("POST", "jobs/gone", inline("x", "c"), 409, "gone"),
            ("POST", "/v2/p2/jobs/gone", inline("x", "c"), 409, "gone"),
            // A live job is seen before the client, a deleted one behind it.
            ("POST", "jobs", inline("a", "none"), 409, "a"),
            ("POST", "jobs", inline("gone", "none"), 422, "none"),
        ]).await;
        assert_eq!(database.rows("actions", "1 = 1").await, 0);
        for id in ["A", "á", "a_"] {
            service.post("jobs", job(json!({"job_id": id}))).await.expect(201);
        }
        for path in ["jobs/A%20", "/v2/p2/jobs/A%20", "jobs/gone"] {
            service.get(path).await.refused(404, "Not Found");
        }
    }
}
