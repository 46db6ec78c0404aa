//! A body for each operation that takes one. A test sends them all, in an order in which each finds what it refers to.

use serde_json::{Value, json};

/// The example of an operation.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn of_operation(id: &str) -> Option<Value> {
    let etc = json!({"action": "backup", "mode": "fs", "backup_name": "etc", "path_to_backup": "/etc",
        "storage": "local", "container": "/var/backups/freezer"});
    let daily = json!({"schedule_interval": "1 days", "status": "scheduled"});
    let job = json!({"client_id": "host1.example.com", "description": "configuration", "job_schedule": daily,
        "job_actions": [{"freezer_action": etc}]});
    let session = json!({"description": "nightly", "schedule": {"schedule_interval": "1 days"}, "hold_off": 30});
    let example = match id {
        "register_client" => {
            json!({"client_id": "host1.example.com", "hostname": "host1.example.com", "description": "web server"})
        }
        "create_action" | "replace_action" => json!({"freezer_action": etc, "max_retries": 5}),
        "update_action" => {
            json!({"max_retries": 3, "freezer_action": {"path_to_backup": "/etc/ssh"}})
        }
        "create_job" | "replace_job" => job,
        "update_job" => {
            json!({"job_schedule": {"schedule_interval": "1 days", "status": "running",
                "time_started": 1_700_000_000, "time_ended": -1, "result": ""}})
        }
        "request_job_event" => json!({"start": null}),
        "create_session" => session,
        "replace_session" => {
            json!({"schedule": {"schedule_interval": "2 days"}, "session_tag": 0, "hold_off": 60})
        }
        "update_session" => json!({"description": "weekly"}),
        "request_session_action" => json!({"start": {"job_id": "j1", "current_tag": 0}}),
        "create_backup" => json!({"backup_name": "etc", "hostname": "host1.example.com",
            "container": "/var/backups/freezer", "mode": "fs", "time_stamp": 1_700_000_000, "level": 0}),
        "update_backup" => json!({"status": "deleting"}),
        "list_clients" => json!({"match": [{"client_id": "host1.example.com"}]}),
        "list_actions" => json!({"match": [{"backup_name": "etc"}]}),
        "list_jobs" => {
            json!({"match": [{"client_id": "host1.example.com"}], "match_not": [{"status": "completed"}]})
        }
        "list_sessions" => json!({"match_not": [{"status": "completed"}]}),
        "list_backups" => {
            json!({"match": [{"backup_name": "etc"}, {"hostname": "host1.example.com"}]})
        }
        _ => return None,
    };
    Some(example)
}
