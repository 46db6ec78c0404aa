//! Sessions: how they end, and which requests to act on them are refused.

use serde_json::{Value, json};

use crate::api_sessions::shown;
use crate::support::{START, Service, api::contains};

/// A session with these members, the first one newest.
async fn session_of(service: &Service, members: Value) -> String {
    let id = service.session().await;
    service
        .patch(
            &format!("sessions/{id}"),
            json!({"jobs": members, "status": "running"}),
        )
        .await
        .expect(200);
    id
}

on_each_engine! {
    async fn a_session_ends_with_its_jobs(database: Database) {
        let service = Service::start(&database).await;
        let entry = |status: &str, result: &str| json!({"status": status, "result": result, "client_id": "c"});
        let (runs, good, bad) = (entry("running", ""), entry("completed", "success"), entry("completed", "fail"));
        // The members in their order, the result with which `j` ends; state and result of the session then.
        for (members, result, expected) in [
            (json!({"j": runs}), json!("success"), json!({"status": "completed", "result": "success", "time_end": START})),
            (json!({"j": runs}), json!("fail"), json!({"status": "completed", "result": "fail", "time_end": START})),
            (json!({"j": runs}), json!("aborted"), json!({"status": "completed", "result": "fail"})),
            (json!({"j": runs}), json!(null), json!({"status": "completed", "result": "fail"})),
            (json!({"j": runs}), json!({"a": [1]}), json!({"status": "completed", "result": "fail"})),
            (json!({"j": runs}), json!(["success"]), json!({"status": "completed", "result": "fail"})),
            (json!({"j": runs}), json!(true), json!({"status": "completed", "result": "fail"})),
            (json!({"j": runs, "k": good}), json!("success"), json!({"status": "completed", "result": "success"})),
            (json!({"j": runs, "k": bad}), json!("success"), json!({"status": "completed", "result": "fail"})),
            (json!({"j": runs, "k": runs}), json!("success"), json!({"status": "running", "result": null, "time_end": -1})),
            // A failure in front of whatever runs ends the session at once, behind it not.
            (json!({"j": runs, "k": runs}), json!("fail"), json!({"status": "completed", "result": "fail"})),
            (json!({"k": runs, "j": runs}), json!("fail"), json!({"status": "running", "result": null, "time_end": -1})),
            (json!({"k": good, "j": runs, "l": runs}), json!("fail"), json!({"status": "completed", "result": "fail"})),
            (json!({"k": entry("", ""), "j": runs}), json!("success"), json!({"status": "running", "result": null})),
            (json!({"k": {}, "j": runs}), json!("success"), json!({"status": "running", "result": null})),
        ] {
            let id = session_of(&service, members.clone()).await;
            let body = json!({"end": {"job_id": "j", "result": result, "more": 1}, "start": 5});
            let answer = service.post(&format!("sessions/{id}/action"), body).await.expect(202).json();
            assert_eq!(answer, json!({"result": "success", "session_tag": 0}), "{members} {result}");
            let document = shown(&service, &id).await;
            assert!(contains(&document, &expected), "{members} {result}: {document}");
            assert_eq!(document["jobs"]["j"], json!({
                "status": "completed", "result": result, "client_id": "c", "time_ended": START,
            }), "{members} {result}");
            for (job, entry) in members.as_object().unwrap().iter().filter(|(job, _)| *job != "j") {
                assert_eq!(document["jobs"][job], *entry, "{members} {result}");
            }
        }
        // A completed session stays as it ended.
        let id = session_of(&service, json!({"j": runs, "k": runs})).await;
        let path = format!("sessions/{id}/action");
        service.post(&path, json!({"end": {"job_id": "j", "result": "fail"}})).await.expect(202);
        service.clock.advance(10);
        for job in ["j", "k"] {
            service.post(&path, json!({"end": {"job_id": job, "result": "success"}})).await.expect(202);
        }
        let document = shown(&service, &id).await;
        assert!(contains(&document, &json!({"status": "completed", "result": "fail", "time_end": START})), "{document}");
        assert!(contains(&document["jobs"], &json!({"j": {"result": "success"}, "k": {"time_ended": START + 10}})));
        // And starts again.
        service.clock.advance(100);
        service.post(&path, json!({"start": {"job_id": "k", "current_tag": 0}})).await.expect(202);
        let document = shown(&service, &id).await;
        assert!(contains(&document, &json!({"status": "running", "result": "", "time_end": START, "session_tag": 1})));
    }

    async fn what_is_no_action_is_refused(database: Database) {
        let service = Service::start(&database).await;
        let id = session_of(&service, json!({"j": {"status": "running"}})).await;
        let before = shown(&service, &id).await;
        let path = format!("sessions/{id}/action");
        for (body, words) in [
            (json!({}), "Bad action request format"),
            (json!(null), "Bad action request format"),
            (json!([]), "Bad action request format"),
            (json!("start"), ""),
            (json!([1]), ""),
            (json!({"stop": {}}), "Bad Action Method"),
            (json!({"stop": {}, "start": {"job_id": "j", "current_tag": 0}}), "Bad Action Method"),
            (json!({"start": null}), "job_id"),
            (json!({"start": "j"}), "job_id"),
            (json!({"start": ["job_id"]}), "job_id"),
            (json!({"start": {}}), "job_id"),
            (json!({"start": {"job_id": "j"}}), "current_tag"),
            (json!({"start": {"current_tag": 0}}), "job_id"),
            (json!({"start": {"job_id": 5, "current_tag": 0}}), "job_id"),
            (json!({"start": {"job_id": {}, "current_tag": 0}}), "job_id"),
            (json!({"start": {"job_id": "j", "current_tag": null}}), "current_tag"),
            (json!({"start": {"job_id": "j", "current_tag": "x"}}), "current_tag"),
            (json!({"start": {"job_id": "j", "current_tag": "0.5"}}), "current_tag"),
            (json!({"start": {"job_id": "j", "current_tag": ""}}), "current_tag"),
            (json!({"start": {"job_id": "j", "current_tag": []}}), "current_tag"),
            (json!({"start": {"job_id": "j", "current_tag": 1e300}}), "requested tag value too high"),
            (json!({"start": {"job_id": "j", "current_tag": u64::MAX}}), "requested tag value too high"),
            (json!({"start": {"job_id": "j", "current_tag": i64::MAX}}), "requested tag value too high"),
            (json!({"end": null}), "job_id"),
            (json!({"end": {}}), "job_id"),
            (json!({"end": {"job_id": "j"}}), "result"),
            (json!({"end": {"result": "success"}}), "job_id"),
            (json!({"end": {"job_id": 5, "result": "success"}}), "job_id"),
            (json!({"end": {"job_id": "none", "result": "success"}}), "job_id not found in session"),
            (json!({"end": {"job_id": "J", "result": "success"}}), "job_id not found in session"),
        ] {
            service.refuses(&[("POST", &path, body, 400, words)]).await;
        }
        let end = json!({"end": {"job_id": "j", "result": "success"}});
        service.refuses(&[
            ("POST", "sessions/none/action", end.clone(), 404, "none"),
            ("POST", "sessions/none/action", json!({"start": {"job_id": "j", "current_tag": 9}}), 404, "none"),
            ("POST", &format!("/v2/p2/sessions/{id}/action"), end.clone(), 404, &id),
        ]).await;
        assert_eq!(shown(&service, &id).await, before);
        // A session without members, with null for them, and one without a hold-off.
        let empty = service.session().await;
        let path = format!("sessions/{empty}/action");
        let start = json!({"start": {"job_id": "j", "current_tag": 0}});
        service.refuses(&[
            ("POST", &path, start.clone(), 400, "job_id not found in session"),
            ("POST", &path, end.clone(), 400, "job_id not found in session"),
        ]).await;
        service.post(&format!("sessions/{empty}"), json!({"schedule": {}, "session_tag": 0})).await.expect(201);
        service.refuses(&[
            ("POST", &path, start.clone(), 400, "job_id not found in session"),
            ("POST", &path, end, 400, "job_id not found in session"),
        ]).await;
        service.patch(&format!("sessions/{id}"), json!({"hold_off": null})).await.expect(200);
        service.refuses(&[("POST", &format!("sessions/{id}/action"), start, 400, "hold_off")]).await;
    }

    async fn a_tag_has_its_limit(database: Database) {
        let service = Service::start(&database).await;
        let id = session_of(&service, json!({"j": {}})).await;
        service.patch(&format!("sessions/{id}"), json!({"session_tag": i32::MAX})).await.expect(200);
        let start = json!({"start": {"job_id": "j", "current_tag": i32::MAX}});
        service.refuses(&[("POST", &format!("sessions/{id}/action"), start, 400, "limit")]).await;
        let document = shown(&service, &id).await;
        assert!(contains(&document, &json!({"session_tag": i32::MAX, "jobs": {"j": {}}})));
    }

    async fn large_sessions_end_too(database: Database) {
        let service = Service::start(&database).await;
        let members: serde_json::Map<String, Value> = (0..2000)
            .map(|number| (format!("job-{number}"), json!({"status": "running", "note": "\u{1f600}".repeat(20)})))
            .collect();
        let id = session_of(&service, Value::Object(members)).await;
        let path = format!("sessions/{id}/action");
        service.post(&path, json!({"end": {"job_id": "job-1999", "result": "success"}})).await.expect(202);
        let document = shown(&service, &id).await;
        assert_eq!(document["jobs"].as_object().unwrap().len(), 2000);
        assert!(contains(&document["jobs"]["job-1999"], &json!({"status": "completed", "note": "\u{1f600}".repeat(20)})));
    }
}
