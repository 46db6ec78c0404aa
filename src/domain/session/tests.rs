//! What holds of sessions in any order of events.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_700_000_000;

fn session(tag: i32, hold_off: i32, members: impl IntoIterator<Item = (String, Value)>) -> Session {
    let mut session = blank("s".to_owned(), "p", "u");
    session.session_tag = Some(tag);
    session.hold_off = Some(hold_off);
    session.set_members(&members.into_iter().collect());
    session
}

fn shown(session: &Session) -> Value {
    serde_json::to_value(session.document()).unwrap()
}

/// What a job of a simulated session does.
#[derive(Clone, Debug)]
enum Step {
    Pass(i64),
    Start { job: usize, behind: i64 },
    End { job: usize, result: &'static str },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..90i64).prop_map(Step::Pass),
        (0..4usize, -1..3i64).prop_map(|(job, behind)| Step::Start { job, behind }),
        (0..4usize, prop::sample::select(vec!["success", "fail", ""]))
            .prop_map(|(job, result)| Step::End { job, result }),
    ]
}

proptest! {
    /// Whatever comes in whatever order: a tag grows by one with each session started, two starts are further apart
    /// than the hold-off window, and what is refused, held off or out of step changes nothing.
    #[test]
    fn starts_are_apart(hold_off in 0..60i32, steps in prop::collection::vec(step(), 0..60)) {
        let mut session = session(0, hold_off, (0..3).map(|job| (job.to_string(), json!({"status": ""}))));
        let (mut now, mut starts) = (NOW, Vec::new());
        for step in steps {
            let before = shown(&session);
            let tag = session.tag();
            match step {
                Step::Pass(seconds) => now += seconds,
                Step::Start { job, behind } => {
                    let result = session.start(&job.to_string(), i64::from(tag) - behind, now);
                    let after = shown(&session);
                    match &result {
                        Ok(ActionOutcome::Started) => {
                            starts.push(now);
                            prop_assert_eq!(session.tag(), tag + 1);
                            prop_assert_eq!(&after["status"], "running");
                        }
                        Ok(ActionOutcome::Joined) => {
                            prop_assert!(behind > 0);
                            prop_assert_eq!(session.tag(), tag);
                            prop_assert_eq!(&after["time_start"], &before["time_start"]);
                        }
                        Ok(ActionOutcome::HoldOff | ActionOutcome::OutOfSync) | Err(_) => prop_assert_eq!(&after, &before),
                        Ok(ActionOutcome::Ended) => prop_assert!(false, "a start is no end"),
                    }
                    if result.is_ok_and(ActionOutcome::changed) {
                        let mut expected = before["jobs"][job.to_string()].clone();
                        expected["status"] = json!("running");
                        expected["result"] = json!("");
                        expected["time_started"] = json!(now);
                        prop_assert_eq!(&after["jobs"][job.to_string()], &expected);
                    }
                }
                Step::End { job, result } => {
                    let ended = session.end(&job.to_string(), result.into(), now);
                    prop_assert_eq!(ended.is_ok(), job < 3);
                    if ended.is_err() || before["status"] == "completed" {
                        prop_assert_eq!(&shown(&session)["time_end"], &before["time_end"]);
                    }
                }
            }
        }
        prop_assert_eq!(session.tag() as usize, starts.len());
        for pair in starts.windows(2) {
            prop_assert!(pair[1] - pair[0] > i64::from(hold_off));
        }
    }

    /// A start that is further away than the hold-off window, in the past or in the future, holds nobody off; a nearer one
    /// does.
    #[test]
    fn only_near_starts_hold_off(hold_off in 0..600i32, away in -1_500_000_000..1_500_000_000i64, near in any::<bool>()) {
        let away = if near { away % (2 * i64::from(hold_off) + 2) } else { away };
        let mut session = session(0, hold_off, [("j".to_owned(), json!({}))]);
        prop_assert_eq!(session.start("j", 0, NOW), Ok(ActionOutcome::Started));
        let expected = if away.abs() <= i64::from(hold_off) { ActionOutcome::HoldOff } else { ActionOutcome::Started };
        prop_assert_eq!(session.start("j", 1, NOW + away), Ok(expected));
    }

    /// Once all jobs have ended the session has, with success where all had it, whatever the order.
    #[test]
    fn the_last_end_ends_the_session(
        results in prop::collection::btree_map("[a-d]", prop::sample::select(vec!["success", "fail"]), 1..5),
        order in any::<u64>(),
    ) {
        let results: BTreeMap<String, &str> = results;
        let mut session = session(1, 30, results.keys().map(|job| (job.clone(), json!({"status": "running"}))));
        session.status = Some("running".to_owned());
        let mut jobs: Vec<&String> = results.keys().collect();
        let turn = (order % jobs.len() as u64) as usize;
        jobs.rotate_left(turn);
        for (ended, job) in jobs.iter().enumerate() {
            // It has not ended before all jobs have, unless one failed.
            let failed = jobs.iter().take(ended).any(|job| results[*job] != "success");
            prop_assert!(failed || session.status.as_deref() == Some("running"));
            session.end(job, results[*job].into(), NOW).unwrap();
        }
        let all_well = results.values().all(|result| *result == "success");
        prop_assert_eq!(session.status.as_deref(), Some("completed"));
        prop_assert_eq!(session.result.as_deref(), Some(if all_well { "success" } else { "fail" }));
    }
}

#[test]
fn the_column_of_times_ends_in_2038() {
    let mut session = session(0, 30, [("j".to_owned(), json!({}))]);
    let late = i64::from(i32::MAX) + 1_000;
    assert_eq!(session.start("j", 0, late), Ok(ActionOutcome::Started));
    assert_eq!(session.time_start, Some(i32::MAX));
    assert_eq!(shown(&session)["jobs"]["j"]["time_started"], late);
}

#[test]
fn entries_that_are_no_objects_are_no_members() {
    let mut session = session(
        0,
        30,
        [
            ("odd".to_owned(), json!("x")),
            ("j".to_owned(), json!({"status": "running"})),
        ],
    );
    assert!(session.start("odd", 0, NOW).is_err());
    assert!(session.end("odd", "success".into(), NOW).is_err());
    session.end("j", "success".into(), NOW).unwrap();
    assert_eq!(session.status, None);
    assert!(session.remove("odd"));
    assert!(!session.remove("odd"));
}
