//! Signals to the server.

use rustix::process::Signal;

use crate::server::{Connection, ask, configuration, request, start};

on_each_engine! {
    async fn signals_end_no_request(database: Database) {
        let server = start(&database, "[DEFAULT]\npublish_errors = true\n");
        for signal in [Signal::HUP, Signal::USR1, Signal::USR2] {
            server.signal(signal);
        }
        server.wait_for_output("SIGUSR1");
        server.wait_for_output("SIGUSR2");
        server.wait_for_output("the log level was read again");
        // Only SIGHUP reads what the operator has written.
        assert!(!server.output().contains("publish_errors"));
        server.configure(&configuration(&database, "[DEFAULT]\npublish_errors = true\ndebug = true\n"));
        server.signal(Signal::HUP);
        server.wait_for_output("publish_errors has no meaning");
        server.configure("[DEFAULT]\ndebug = perhaps\n");
        server.signal(Signal::HUP);
        server.wait_for_output("cannot be read again");
        server.wait_for_output("perhaps");
        assert_eq!(ask(&server, "GET", "/v2/p/clients", "").status, 200);
        // SIGQUIT stops as SIGTERM does.
        let mut begun = Connection::open(&server);
        let whole = request("POST", "/v2/p/clients", r#"{"client_id": "late"}"#);
        let (first, rest) = whole.split_at(whole.len() - 5);
        begun.send(first);
        server.signal(Signal::QUIT);
        server.wait_for_output("stopping: clients are asked");
        begun.send(rest);
        assert_eq!(begun.answer().unwrap().status, 201);
        let ended = server.end();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
    }
}
