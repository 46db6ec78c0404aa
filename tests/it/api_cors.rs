//! `[cors]`: which web pages may call the service from a browser.

use axum::body::Body;
use axum::http::Request;

use crate::support::{Answer, Service};

const HORIZON: &str = "https://horizon.example.com";

async fn ask(service: &Service, method: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri("/v2/p1/jobs");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    service.send(request.body(Body::empty()).unwrap()).await
}

on_each_engine! {
    async fn origins_that_are_named_may_call(database: Database) {
        let service = Service::with(&database, |config| {
            config.cors.allowed_origin = vec![HORIZON.to_owned()];
        })
        .await;

        let preflight = [
            ("origin", HORIZON),
            ("access-control-request-method", "PATCH"),
            ("access-control-request-headers", "x-auth-token"),
        ];
        let answer = ask(&service, "OPTIONS", &preflight).await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), Some(HORIZON));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(answer.header("access-control-max-age"), Some("3600"));
        let methods = answer.header("access-control-allow-methods").unwrap().to_owned();
        assert!(methods.contains("PATCH"), "{methods}");

        let answer = ask(&service, "GET", &[("origin", HORIZON)]).await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), Some(HORIZON));

        let answer = ask(&service, "GET", &[("origin", "https://evil.example.com")]).await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let answer = ask(&service, "OPTIONS", &[("origin", "https://evil.example.com"), preflight[1]]).await;
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }

    async fn any_page_may_call_but_without_credentials(database: Database) {
        let service = Service::with(&database, |config| {
            config.cors.allowed_origin = vec!["*".to_owned()];
        })
        .await;
        let preflight = [("origin", HORIZON), ("access-control-request-method", "PATCH")];
        for (method, headers) in [("OPTIONS", &preflight[..]), ("GET", &preflight[..1])] {
            let answer = ask(&service, method, headers).await.expect(200);
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{method}");
            assert_eq!(answer.header("access-control-allow-credentials"), None, "{method}");
        }
        // An origin that is named beside it may have more.
        let service = Service::with(&database, |config| {
            config.cors.allowed_origin = vec!["*".to_owned(), HORIZON.to_owned()];
        })
        .await;
        for (origin, credentials) in [(HORIZON, Some("true")), ("https://evil.example.com", None)] {
            let answer = ask(&service, "GET", &[("origin", origin)]).await.expect(200);
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
            assert_eq!(answer.header("access-control-allow-credentials"), credentials, "{origin}");
        }
    }

    async fn nobody_may_without_the_option(database: Database) {
        let service = Service::start(&database).await;
        let answer = ask(&service, "GET", &[("origin", HORIZON)]).await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let answer = ask(&service, "OPTIONS", &[("origin", HORIZON)]).await.expect(200);
        assert_eq!(answer.header("allow"), Some("GET, POST, HEAD"));
    }
}
