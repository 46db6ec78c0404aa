//! Sessions: their documents and their members.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::locks::Holder;
use crate::support::{PROJECT, START, Service, api::contains};

pub(crate) async fn shown(service: &Service, id: &str) -> Value {
    service
        .get(&format!("sessions/{id}"))
        .await
        .expect(200)
        .json()
}

/// The ids of a session's members in their stored order.
fn members(session: &Value) -> Vec<String> {
    session["jobs"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

/// A session as it is created from `{"schedule": {}}`.
fn fresh(id: &str) -> Value {
    json!({
        "session_id": id, "project_id": PROJECT, "user_id": "dev", "description": null, "session_tag": 0, "result": null,
        "hold_off": 30, "status": "active", "time_start": -1, "time_end": -1, "time_started": -1, "time_ended": -1,
        "schedule": {},
    })
}

on_each_engine! {
    async fn a_session_is_shown_as_it_was_created(database: Database) {
        let service = Service::start(&database).await;
        let all = json!({
            "schedule": {"schedule_interval": "1 days", "schedule_month": "\u{1f600}"}, "session_tag": 5, "description": "d \u{1f600}",
            "result": "r", "hold_off": 0, "time_start": 1, "time_end": 2, "time_started": 3, "time_ended": 4,
        });
        for (sent, expected) in [
            (json!({"schedule": {}}), json!({})),
            (all.clone(), all),
            // The id, the state, the members and the owner are not the caller's to give; other words have no effect.
            (json!({
                "schedule": {}, "session_id": "mine", "status": "done", "jobs": {"j": {}}, "user_id": 5, "project_id": "p2",
                "job": "x", "id": 5, "deleted": true, "other": [1],
            }), json!({})),
            (json!({"schedule": {}, "status": 5}), json!({})),
            // A null counts as absent.
            (json!({
                "schedule": {}, "description": null, "result": null, "hold_off": null, "time_start": null, "time_end": null,
            }), json!({})),
            (json!({"schedule": {}, "hold_off": -1, "session_tag": -1}), json!({"hold_off": -1, "session_tag": -1})),
        ] {
            let id = service.created("sessions", sent.clone(), "session_id").await;
            assert_eq!(id.len(), 32);
            let mut document = fresh(&id);
            document.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
            assert_eq!(shown(&service, &id).await, document, "{sent}");
        }
    }

    async fn what_is_no_session_is_refused(database: Database) {
        let service = Service::start(&database).await;
        let with = |more: Value| {
            let mut body = json!({"schedule": {}, "session_tag": 0});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        for (body, words) in [
            (json!({}), "Missing request body"),
            (json!({"session_tag": 0}), "'schedule' is a required property"),
            (with(json!({"schedule": null})), "schedule"),
            (with(json!({"schedule": "x"})), "schedule"),
            (with(json!({"schedule": {"other": 1}})), "other"),
            (with(json!({"session_tag": null})), "session_tag"),
            (with(json!({"session_tag": "1"})), "session_tag"),
            (with(json!({"session_tag": 1.0})), "session_tag"),
            (with(json!({"session_tag": true})), "session_tag"),
            (with(json!({"time_started": null})), "time_started"),
            (with(json!({"time_started": "x"})), "time_started"),
            (with(json!({"time_ended": 1.5})), "time_ended"),
            (with(json!({"time_start": "x"})), "time_start"),
            (with(json!({"time_end": []})), "time_end"),
            (with(json!({"hold_off": "x"})), "hold_off"),
            (with(json!({"description": 5})), "description"),
            (with(json!({"result": {}})), "result"),
        ] {
            service.refuses(&[
                ("POST", "sessions", body.clone(), 400, words),
                ("POST", "sessions/s", body, 400, words),
            ]).await;
        }
        service.refuses(&[
            ("POST", "sessions/s", json!({"schedule": {}}), 400, "'session_tag' is a required property"),
            ("POST", "sessions/s", with(json!({"project_id": "p2"})), 400, "project_id"),
            ("POST", "sessions/s", with(json!({"status": 5})), 400, "status"),
            ("POST", "sessions/s", with(json!({"jobs": "x"})), 400, "jobs"),
            ("POST", "sessions/s", with(json!({"jobs": {"j": "x"}})), 400, "jobs"),
            ("POST", "sessions/s", with(json!({"jobs": [{}]})), 400, "jobs"),
            ("POST", "sessions/a%20b", with(json!({})), 400, "session_id"),
            ("POST", &format!("sessions/{}", "x".repeat(37)), with(json!({})), 400, "session_id"),
            ("PATCH", "sessions/none", json!({}), 404, "none"),
        ]).await;
        assert_eq!(database.rows("sessions", "1 = 1").await, 0);
        service.get("sessions/none").await.refused(404, "Not Found");
        service.delete("sessions/none").await.expect(204);
    }

    async fn a_replaced_session_keeps_what_is_not_said(database: Database) {
        let service = Service::start(&database).await;
        let new = json!({"schedule": {"schedule_hour": "1"}, "session_tag": 3});
        // A new one has defaults, but no state; its members are null.
        service.post("sessions/s", new.clone()).await.expect(201).shows(&json!({"session_id": "s", "version": "s"}));
        let mut expected = fresh("s");
        for (key, value) in [
            ("status", json!(null)), ("jobs", json!(null)), ("session_tag", json!(3)), ("schedule", json!({"schedule_hour": "1"})),
        ] {
            expected[key] = value;
        }
        assert_eq!(shown(&service, "s").await, expected);
        let all = json!({
            "schedule": {}, "session_tag": 4, "description": "d", "result": "r", "hold_off": 9, "status": "any", "time_start": 1,
            "time_end": 2, "time_started": 3, "time_ended": 4, "jobs": {"j": {"status": "x"}, "k": {}}, "session_id": "ignored",
        });
        service.post("sessions/s", all.clone()).await.expect(201);
        expected.as_object_mut().unwrap().extend(all.as_object().unwrap().clone());
        expected["session_id"] = json!("s");
        assert_eq!(shown(&service, "s").await, expected);
        let nulls = json!({
            "schedule": {"schedule_hour": "2"}, "session_tag": 5, "description": null, "result": null, "hold_off": null,
            "status": null, "time_start": null, "time_end": null,
        });
        service.post("sessions/s", nulls).await.expect(201);
        for (key, value) in [("schedule", json!({"schedule_hour": "2"})), ("session_tag", json!(5)), ("jobs", json!(null))] {
            expected[key] = value;
        }
        assert_eq!(shown(&service, "s").await, expected);
        // An id that another project or a deleted session has is taken.
        service.post("/v2/p2/sessions/gone", new.clone()).await.expect(201);
        service.delete("/v2/p2/sessions/gone").await.expect(204);
        service.refuses(&[
            ("POST", "/v2/p2/sessions/s", new.clone(), 409, "Session already registered with ID s"),
            ("POST", "sessions/gone", new.clone(), 409, "gone"),
            ("POST", "/v2/p2/sessions/gone", new.clone(), 409, "gone"),
        ]).await;
        service.post("sessions/S", new).await.expect(201);
        assert_eq!(shown(&service, "s").await, expected);
        // An empty list of members is one without any.
        let mut exported = expected.clone();
        exported["jobs"] = json!([]);
        service.post("sessions/s", exported).await.expect(201);
        expected["jobs"] = json!({});
        assert_eq!(shown(&service, "s").await, expected);
        service.client("c").await;
        let job = service.job("c").await;
        service.put(&format!("sessions/s/jobs/{job}")).await.expect(204);
        assert_eq!(members(&shown(&service, "s").await), [job]);
    }

    async fn a_patch_overwrites_what_it_names(database: Database) {
        let service = Service::start(&database).await;
        let id = service.session().await;
        let path = format!("sessions/{id}");
        let mut expected = fresh(&id);
        for patch in [
            json!({}),
            json!({"description": "d", "result": "r", "status": "any", "hold_off": 5}),
            json!({"description": null, "result": null, "status": null, "hold_off": null}),
            json!({"time_start": null, "time_end": null}),
            json!({"session_tag": 7, "time_start": 1, "time_end": 2, "time_started": 3, "time_ended": 4}),
            json!({"schedule": {"schedule_hour": "1", "status": ""}}),
            json!({"schedule": {"event": "stop"}}),
            json!({"jobs": {"a": {"status": "x", "n": [1]}, "b": {}}}),
        ] {
            service.patch(&path, patch.clone()).await.expect(200).shows(&json!({"session_id": id, "version": 0}));
            expected.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
            assert_eq!(shown(&service, &id).await, expected, "{patch}");
        }
        // Members are merged by job, each entry as a whole; new ones come first.
        service.patch(&path, json!({"jobs": {"b": {"status": "y"}, "c": {}}})).await.expect(200);
        expected["jobs"] = json!({"b": {"status": "y"}, "c": {}, "a": {"status": "x", "n": [1]}});
        let document = shown(&service, &id).await;
        assert_eq!(document, expected);
        assert_eq!(members(&document), ["b", "c", "a"]);
        for nothing in [json!(null), json!([]), json!({})] {
            service.patch(&path, json!({"jobs": nothing})).await.expect(200);
            assert_eq!(shown(&service, &id).await, expected);
        }
        // Neither id nor owner change.
        service.patch(&path, json!({"session_id": "other", "user_id": "x", "project_id": PROJECT})).await.expect(200);
        assert_eq!(shown(&service, &id).await, expected);
        let refused = [
            // Only the members of the document; those of the row are none.
            ("id", json!("other")), ("deleted", json!(true)), ("job", json!("{}")), ("created_at", json!(null)), ("other", json!(1)),
            ("_version", json!(1)), ("project_id", json!("p2")), ("project_id", json!("p 2")), ("schedule", json!(null)),
            ("session_tag", json!(null)), ("session_tag", json!("x")), ("time_started", json!(null)), ("time_ended", json!(1.5)),
            ("time_start", json!("x")), ("time_end", json!({})), ("hold_off", json!("x")), ("description", json!(5)),
            ("status", json!([])), ("result", json!(true)), ("jobs", json!(5)), ("jobs", json!(["x"])), ("jobs", json!({"x": "y"})),
            ("jobs", json!({"x": null})),
        ];
        for (key, value) in refused {
            let mut patch = json!({"description": "changed"});
            patch[key] = value;
            service.refuses(&[("PATCH", &path, patch, 400, key)]).await;
        }
        service.refuses(&[("PATCH", &format!("/v2/p2/sessions/{id}"), json!({"description": "x"}), 404, &id)]).await;
        assert_eq!(shown(&service, &id).await, expected);
        assert_eq!(service.get("/v2/p2/sessions").await.expect(200).json(), json!({"sessions": []}));
        // Another project's DELETE has no effect; one's own hides it, and its id stays taken.
        service.delete(&format!("/v2/p2/sessions/{id}")).await.expect(204);
        assert_eq!(shown(&service, &id).await, expected);
        service.delete(&path).await.expect(204);
        service.get(&path).await.refused(404, "Not Found");
        service.delete(&path).await.expect(204);
    }

    async fn jobs_are_added_and_removed(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        let schedule = json!({"schedule_interval": "1 days"});
        let session = service.created("sessions", json!({"schedule": schedule, "session_tag": 6}), "session_id").await;
        let (a, b) = (service.job("c").await, service.job("c").await);
        let path = |job: &str| format!("sessions/{session}/jobs/{job}");
        let job = async |id: &str| service.get(&format!("jobs/{id}")).await.expect(200).json();
        // The body is not looked at.
        service.raw("PUT", &path(&a), "{bad").await.expect(204);
        let created = json!({"client_id": "c", "status": "", "result": "", "time_started": -1, "time_ended": -1});
        assert_eq!(shown(&service, &session).await["jobs"], json!({&a: created}));
        let joined = json!({"session_id": session, "session_tag": 6, "job_schedule": schedule});
        assert!(contains(&job(&a).await, &joined));
        assert_eq!(job(&a).await["job_schedule"], schedule);
        let running = json!({"status": "running", "result": "success", "time_started": 5, "time_ended": 6});
        service.patch(&format!("jobs/{b}"), json!({"job_schedule": running})).await.expect(200);
        service.put(&path(&b)).await.expect(204);
        let mut entry = running.clone();
        entry["client_id"] = json!("c");
        let document = shown(&service, &session).await;
        assert_eq!(document["jobs"], json!({&a: created, &b: entry}));
        assert_eq!(members(&document), [b.clone(), a.clone()]);
        // Again: the entry is made of the job's schedule as it is now.
        service.put(&path(&a)).await.expect(204);
        let document = shown(&service, &session).await;
        let empty = json!({"client_id": "c", "status": "", "result": "", "time_started": "", "time_ended": ""});
        assert_eq!(document["jobs"][&a], empty);
        assert_eq!(members(&document), [a.clone(), b.clone()]);
        // A job may be in several sessions and names the last.
        let second = service.session().await;
        service.put(&format!("sessions/{second}/jobs/{a}")).await.expect(204);
        assert!(contains(&job(&a).await, &json!({"session_id": second, "session_tag": 0, "job_schedule": {}})));
        // Removed from the first, it leaves the second by its own account.
        service.delete(&path(&a)).await.expect(204);
        let left = json!({"session_id": "", "session_tag": 0});
        assert!(contains(&job(&a).await, &left));
        assert_eq!(job(&a).await["job_schedule"], json!({"event": "stop"}));
        assert_eq!(members(&shown(&service, &session).await), std::slice::from_ref(&b));
        assert_eq!(members(&shown(&service, &second).await), std::slice::from_ref(&a));
        // Removing works also where the job is no member (any more).
        service.patch(&format!("jobs/{a}"), json!({"session_id": "x", "job_schedule": {}})).await.expect(200);
        service.delete(&path(&a)).await.expect(204);
        assert_eq!(job(&a).await["job_schedule"], json!({"event": "stop"}));
        let empty = service.session().await;
        let foreign = "/v2/p2/clients";
        service.post(foreign, json!({"client_id": "c"})).await.expect(201);
        let other = service.created("/v2/p2/jobs", json!({"client_id": "c", "job_actions": []}), "job_id").await;
        let before = shown(&service, &session).await;
        service.refuses(&[
            ("PUT", &format!("sessions/none/jobs/{a}"), json!({}), 404, "none"),
            ("PUT", &path("none"), json!({}), 404, "none"),
            ("PUT", &path(&other), json!({}), 404, &other),
            ("PUT", &format!("/v2/p2/sessions/{session}/jobs/{other}"), json!({}), 404, &session),
            ("DELETE", &format!("sessions/none/jobs/{a}"), json!({}), 404, "none"),
            ("DELETE", &path("none"), json!({}), 404, "none"),
            ("DELETE", &path(&other), json!({}), 404, &other),
            ("DELETE", &format!("/v2/p2/sessions/{session}/jobs/{b}"), json!({}), 404, &session),
            // A session that never had members has none to remove.
            ("DELETE", &format!("sessions/{empty}/jobs/{a}"), json!({}), 404, ""),
        ]).await;
        assert_eq!(shown(&service, &session).await, before);
        // A member whose job is gone can be removed, once.
        service.delete(&format!("jobs/{b}")).await.expect(204);
        service.refuses(&[("PUT", &path(&b), json!({}), 404, &b)]).await;
        assert_eq!(members(&shown(&service, &session).await), std::slice::from_ref(&b));
        service.delete(&path(&b)).await.expect(204);
        assert_eq!(shown(&service, &session).await["jobs"], json!({}));
        service.delete(&path(&b)).await.refused(404, "Not Found");
        // Jobs keep the id of a session that is gone.
        service.put(&path(&a)).await.expect(204);
        service.delete(&format!("sessions/{session}")).await.expect(204);
        assert_eq!(job(&a).await["session_id"], *session);
        service.put(&path(&a)).await.refused(404, "Not Found");
    }

    async fn a_start_that_had_to_wait_is_as_of_its_turn(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        let session = service.created("sessions", json!({"schedule": {}, "hold_off": 60}), "session_id").await;
        let job = service.job("c").await;
        service.put(&format!("sessions/{session}/jobs/{job}")).await.expect(204);
        let holder = Holder::of(&database, "SELECT id FROM sessions FOR UPDATE").await;
        let path = format!("sessions/{session}/action");
        let start = service.post(&path, json!({"start": {"job_id": job, "current_tag": 0}}));
        let later = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            service.clock.advance(20);
            holder.release().await;
        };
        let (answer, ()) = tokio::join!(start, later);
        answer.expect(202).shows(&json!({"result": "success", "session_tag": 1}));
        assert_eq!(shown(&service, &session).await["time_start"], START + 20);
    }

    async fn the_first_of_several_starts_counts(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        let session = service.created("sessions", json!({"schedule": {}, "hold_off": 60}), "session_id").await;
        let (a, b) = (service.job("c").await, service.job("c").await);
        for job in [&a, &b] {
            service.put(&format!("sessions/{session}/jobs/{job}")).await.expect(204);
        }
        let path = format!("sessions/{session}/action");
        let before = [shown(&service, &session).await, service.get(&format!("jobs/{a}")).await.json()];
        let start = |job: &str, tag: Value| json!({"start": {"job_id": job, "current_tag": tag}});
        let too_high = "requested tag value too high. Session Tag: 0 Job Tag: 1";
        service.refuses(&[
            ("POST", &path, start(&a, json!(1)), 400, too_high),
            ("POST", &path, start("none", json!(1)), 400, too_high),
            ("POST", &path, start("none", json!(0)), 400, "job_id not found in session"),
        ]).await;
        let unchanged = shown(&service, &session).await;
        service.post(&path, start("none", json!(-1))).await.expect(202).shows(&json!({"result": "out-of-sync", "session_tag": 0}));
        assert_eq!(shown(&service, &session).await, unchanged);
        // Seconds that pass, job, tag; result, tag afterwards, which members run since when.
        for (seconds, job, tag, result, after, running) in [
            (0, &a, json!(0), "success", 1, [Some(0), None]),
            (0, &a, json!(1), "hold-off", 1, [Some(0), None]),
            (60, &a, json!(1), "hold-off", 1, [Some(0), None]),
            (0, &b, json!(0), "success", 1, [Some(0), Some(60)]),
            (1, &b, json!(0), "out-of-sync", 1, [Some(0), Some(60)]),
            (0, &b, json!("1"), "success", 2, [Some(0), Some(61)]),
            (0, &a, json!(true), "success", 2, [Some(61), Some(61)]),
            (5, &a, json!(" 1 "), "success", 2, [Some(66), Some(61)]),
            (0, &b, json!(1.9), "success", 2, [Some(66), Some(66)]),
            (0, &b, json!("+2"), "hold-off", 2, [Some(66), Some(66)]),
            (0, &a, json!(-5), "success", 2, [Some(66), Some(66)]),
        ] {
            service.clock.advance(seconds);
            let answer = service.post(&path, start(job, tag.clone())).await.expect(202).json();
            assert_eq!(answer, json!({"result": result, "session_tag": after}), "{tag}");
            let document = shown(&service, &session).await;
            assert!(contains(&document, &json!({"session_tag": after, "status": "running", "result": ""})), "{tag}: {document}");
            for (job, since) in [&a, &b].into_iter().zip(running) {
                let entry = &document["jobs"][job];
                let expected = match since {
                    Some(since) => json!({
                        "client_id": "c", "status": "running", "result": "", "time_started": START + since, "time_ended": -1,
                    }),
                    None => before[0]["jobs"][job].clone(),
                };
                assert_eq!(*entry, expected, "{tag}");
            }
        }
        assert_eq!(shown(&service, &session).await["time_start"], START + 61);
        assert_eq!(service.get(&format!("jobs/{a}")).await.json(), before[1]);
    }
}
