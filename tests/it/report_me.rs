//! What a caller may do, as the service says it, and as it then decides.

use serde_json::Value;

use crate::support::cloud::Cloud;

on_each_engine! {
    needs "needs Keystone: ./test starts it":
    async fn each_role_is_told_what_it_may(database: Database) {
        let cloud = Cloud::start(&database).await;
        let tokens = cloud.tokens;
        let project = &tokens.member.project;
        for (token, starts, records, sees_all) in [
            (&tokens.reader, false, false, false), (&tokens.member, true, true, false), (&tokens.manager, true, true, false),
            (&tokens.service, false, true, true), (&tokens.admin, true, true, true),
        ] {
            let me = cloud.get(token, project, "report/me").await.expect(200).json();
            assert_eq!((&me["user_id"], &me["project_id"]), (&Value::from(&*token.user), &Value::from(&**project)));
            let may = ["jobs:event:create", "backups:create", "report:get_all_projects"].map(|rule| me["rules"][rule].as_bool().unwrap());
            assert_eq!(may, [starts, records, sees_all], "{me}");
            assert_eq!(me["rules"].get("context_is_admin"), None, "no request asks for it");
            let all = cloud.get(token, project, "report/runs?all_projects=true").await;
            assert_eq!(all.status, if sees_all { 200 } else { 403 });
        }
        cloud.get(&tokens.other, project, "report/me").await.refused(403, "Access Forbidden");
    }
}
