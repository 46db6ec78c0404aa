//! The table of options: the only place where an option is named. The typed groups, the sample file and the list of known
//! names come from it. Names and defaults are those of freezer-api 19.0.0 and of the libraries that it reads its options
//! with (oslo.db, oslo.log, oslo.middleware, oslo.policy, keystonemiddleware, keystoneauth); `[api]` and `[report]` are ours.

#![allow(
    rustdoc::bare_urls,
    reason = "the comments are help texts, which the sample file shows as they are"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;

use super::log_types::{DateFormat, LogRotation, SyslogFacility};
use super::metrics_types::PerClient;
use super::reader::Reader;
use super::table::{GroupSpec, OptionSpec, options};
use super::types::{
    AuthType, FileMode, HealthcheckBackend, Interface, MemcacheStrategy, OptionType, PortPath,
    Repeated, StorageBackend, Token, UnusedUrl, UrlPath,
};
use crate::oslo::database_url::DatabaseUrl;
use crate::oslo::log_format::LogFormat;

options! {
    /// `[DEFAULT]`: where to listen and how to log.
    "DEFAULT" Global {
        /// IP address to listen on.
        bind_host: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        /// TCP port to listen on.
        bind_port: u16 = 9090, 0..=65535;
        /// Log messages of level DEBUG too, instead of INFO and above.
        debug: bool = false;
        /// A file of Python's logging module. Level, handlers and format of its logger freezer_api (or freezer) and of the root logger
        /// count; every other option of the log is then ignored.
        log_config_append: Option<PathBuf> = None, also "log_config", also "log-config";
        /// How the time of a line is written, as strftime does it. Times are in UTC.
        log_date_format: DateFormat = DateFormat::default();
        /// File to log to. A relative path is in log_dir. Without any place to log to, messages go to standard error.
        log_file: Option<PathBuf> = None, also "logfile";
        /// Folder for log files. Without log_file, the file is named after the program.
        log_dir: Option<PathBuf> = None, also "logdir";
        /// Log to standard error, beside other places.
        use_stderr: bool = false;
        /// Log to syslog, by /dev/log, beside other places.
        use_syslog: bool = false;
        /// Log to systemd's journal by its native protocol, with fields for the request, beside other places.
        use_journal: bool = false;
        /// Facility for syslog and the journal.
        syslog_log_facility: SyslogFacility = SyslogFacility::USER;
        /// Log one JSON object per line instead of text.
        use_json: bool = false;
        /// The form of a line within a request.
        logging_context_format_string: LogFormat = LogFormat::context();
        /// The form of a line outside of requests.
        logging_default_format_string: LogFormat = LogFormat::outside();
        /// What %(user_identity)s is.
        logging_user_identity_format: LogFormat = LogFormat::identity();
        /// What stands, after a blank, behind lines of level DEBUG.
        logging_debug_format_suffix: Option<LogFormat> = None;
        /// Accepted for existing files: log files are rotated from outside, by logrotate.
        log_rotation_type: LogRotation = LogRotation::default();
    }

    /// `[paste_deploy]`: the file of Paste Deploy that the Python service needs.
    "paste_deploy" PasteDeploy {
        /// What this file sets for the health check and HTTPProxyToWSGI wins over the sections healthcheck and oslo_middleware. A relative path
        /// is looked for beside the configuration file. It need not exist.
        config_file: PathBuf = PathBuf::from("freezer-paste.ini");
    }

    /// `[database]`: the SQL database, with oslo.db's options.
    "database" Database {
        /// The database, as a SQLAlchemy URL: mysql+pymysql://user:password@host/name, postgresql://user:password@host/name
        /// or sqlite:////path/of/file.db. A special character of the password is written as %XX.
        connection: Option<DatabaseUrl> = None;
        /// Accepted for existing files: all requests read from connection.
        slave_connection: Option<UnusedUrl> = None;
        /// Further parameters for the URL, as name=value&name=value.
        connection_parameters: String = String::new();
        /// Connections that are kept open. 0 means no limit.
        max_pool_size: u32 = 5, 0..=1_000_000;
        /// Connections that may be opened beyond max_pool_size when all are in use. -1 means no limit.
        max_overflow: i64 = 50, -1..=1_000_000;
        /// The most connections with which the reads of one user, or of one project, are answered at once while others ask too; alone they use
        /// half of all, and changes do always. 0 means half as many as this machine has processors, but 2 at least.
        connections_per_caller: u32 = 0, 0..=1_000_000;
        /// How many seconds a request waits for a free connection before it is answered with 503. Without it, 30.
        pool_timeout: Option<Duration> = None;
        /// After how many seconds a connection is replaced by a new one. -1 means never.
        connection_recycle_time: i64 = 3600, -1..=2_147_483_647;
        /// How often connecting is tried again at start. -1 means for ever.
        max_retries: i64 = 10, -1..=2_147_483_647;
        /// Seconds between two of these tries.
        retry_interval: Duration = Duration::from_secs(10);
        /// MySQL's sql_mode for our sessions. Empty leaves the server's own.
        mysql_sql_mode: String = "TRADITIONAL".to_owned();
        /// Galera's wsrep_sync_wait for our sessions. Without it, the server's own is left.
        mysql_wsrep_sync_wait: Option<i64> = None, 0..=15;
        /// Log statements: 0 for none, 50 or more for their text. Values are never logged.
        connection_debug: u32 = 0, 0..=100;
    }

    /// `[storage]`: accepted for existing files; SQL is the only storage.
    "storage" Storage {
        /// The kind of storage. Only sqlalchemy is supported.
        backend: StorageBackend = StorageBackend::default();
        /// The driver of the storage. Only sqlalchemy is supported.
        driver: StorageBackend = StorageBackend::default();
    }

    /// `[api]`: limits of this program, which the Python service leaves to its web server.
    "api" Api {
        /// A Unix socket to listen on, instead of bind_host and bind_port.
        unix_socket: Option<PathBuf> = None;
        /// Who may use the Unix socket, as chmod has it.
        unix_socket_mode: FileMode = FileMode::GROUP;
        /// The most documents that one answer lists. A larger limit in a request is lowered to it.
        max_limit: u32 = 1000, 1..=1_000_000;
        /// The most pairs of key and value in the search of a list; more are refused with 400.
        max_search_terms: u32 = 50, 1..=1000;
        /// The most bytes that the document of a job may have with its actions, each as often as the job names it.
        max_document_size: usize = 8_388_608, 1024..=1_073_741_824;
        /// The most bytes of memory for lists beyond 256 KiB, which are sent while they are read, 16 MiB each; as many for large
        /// bodies of requests; and half as many for documents beyond 16 KiB, three times their size each, and lists beyond
        /// 64 KiB. Further ones wait, for half of request_timeout, and are then answered with 503.
        max_memory: usize = 67_108_864, 8_388_608..=1_099_511_627_776;
        /// The most connections that are served at once. A few more are accepted and answered with 503, so that health checks get an answer.
        max_connections: u32 = 4096, 1..=1_000_000;
        /// Seconds after which a request that is still being processed is answered with 503.
        request_timeout: Duration = Duration::from_secs(60), 1..=86_400;
        /// Seconds in which a client must send the header of a request, and then its body; before them, also the handshake of TLS.
        read_timeout: Duration = Duration::from_secs(30), 1..=86_400;
        /// Seconds after which an idle connection is closed: no request arrives, or the client reads no answer. Set it higher than
        /// the keep-alive time of proxies in front, or requests that they send at that moment are lost.
        idle_timeout: Duration = Duration::from_secs(75), 1..=86_400;
        /// Seconds that clients have to move to other servers when the service is stopped: connections are still accepted, and
        /// HTTP/1 is answered with Connection: close. Skipped when no connection is open.
        drain_time: Duration = Duration::from_secs(2), 0..=86_400;
        /// Seconds that requests in flight then have to finish.
        shutdown_timeout: Duration = Duration::from_secs(60), 0..=86_400;
    }

    /// `[ssl]`: TLS for clients, with oslo.service's options. Without them, the service speaks HTTP alone.
    "ssl" Ssl {
        /// PEM file of the certificate, followed by those of its authorities but the last. It is read again when it changes, and on SIGHUP.
        cert_file: Option<PathBuf> = None;
        /// PEM file of its key.
        key_file: Option<PathBuf> = None;
        /// PEM file of authorities: every client must then have a certificate of one of them.
        ca_file: Option<PathBuf> = None;
    }

    /// `[oslo_middleware]`: bodies and proxies.
    "oslo_middleware" Middleware {
        /// The largest body of a request, in bytes. A larger one is answered with 413.
        max_request_body_size: usize = 1_048_576, 1..=1_073_741_824;
        /// Trust the headers Forwarded and X-Forwarded-* of a proxy when links are made. Only for a service that can be
        /// reached through that proxy alone.
        enable_proxy_headers_parsing: bool = false;
    }

    /// `[healthcheck]`: what /healthcheck answers.
    "healthcheck" Healthcheck {
        /// The path of the health check.
        path: UrlPath = UrlPath::healthcheck();
        /// Name each check with its details, and in JSON and HTML the time and the platform. Anyone who reaches the
        /// service can read it.
        detailed: bool = false;
        /// What is checked: disable_by_file, disable_by_files_ports, enable_by_files, each by its option below.
        backends: Vec<HealthcheckBackend> = Vec::new();
        /// Networks, such as 192.0.2.0/24, outside of which the health check does not exist (404).
        allowed_source_ranges: Vec<IpNet> = Vec::new();
        /// The health check does not exist for requests with a header X-Forwarded-*.
        ignore_proxied_requests: bool = false;
        /// A file whose presence makes the answer 503, so that a load balancer sends nothing here.
        disable_by_file_path: Option<PathBuf> = None;
        /// The same for a port: a list of port:path. The files of all ports other than ours are ignored.
        disable_by_file_paths: Vec<PortPath> = Vec::new();
        /// Files that must all be there; without one of them the answer is 503.
        enable_by_file_paths: Vec<PathBuf> = Vec::new();
    }

    /// `[cors]`: which web pages of other origins may call the API from a browser.
    "cors" Cors {
        /// Origins that may, such as https://horizon.example.com. * is any, without credentials. Empty: none.
        allowed_origin: Vec<String> = Vec::new();
        /// Whether a browser may send credentials along.
        allow_credentials: bool = true;
        /// Headers of an answer that a page may read, beyond the simple ones.
        expose_headers: Vec<Token> = Vec::new();
        /// Seconds for which a browser may keep the answer of a preflight.
        max_age: u32 = 3600, 0..=2_147_483_647;
        /// Methods that a page may use.
        allow_methods: Vec<Token> = Token::list(["OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "PATCH"]);
        /// Headers that a page may send, beyond the simple ones.
        allow_headers: Vec<Token> = Vec::new();
    }

    /// `[report]`: what is kept of what happened.
    "report" Report {
        /// Days for which the runs of jobs are kept.
        run_days: u32 = 90, 1..=36_500;
        /// Days for which it is kept how many runs each day had.
        summary_days: u32 = 1096, 1..=36_500;
    }

    /// `[metrics]`: what Prometheus scrapes at /metrics. Without listen and bearer_token_file, nothing is counted and nothing served.
    "metrics" Metrics {
        /// IP address and port on which /metrics is served by itself, such as 127.0.0.1:9190: by HTTP without TLS, and without
        /// bearer_token_file to everybody who reaches it. It shows names of hosts and projects.
        listen: Option<SocketAddr> = None;
        /// A file with a secret of 16 characters or more, such as openssl rand -base64 24 makes. With it, /metrics is served beside the API too,
        /// to those who show it (Authorization: Bearer).
        bearer_token_file: Option<PathBuf> = None;
        /// Of which clients there are figures of their own, five each: problems (those with which something is wrong), all or off.
        per_client: PerClient = PerClient::Problems;
        /// Of how many clients at most, those whose backups are missing first. freezer_metrics_clients_dropped says of how many there are none.
        max_clients: u32 = 10_000, 0..=1_000_000;
    }

    /// `[ui]`: the web page at /ui/.
    "ui" Ui {
        /// Serve the page, and send browsers that ask for / to it.
        enabled: bool = true;
        /// A file with the secret that seals the page's cookies, 32 characters or more, such as openssl rand -base64 48 makes. All API
        /// services need the same one. Without it, each makes its own at start: users log in again after a restart, and on each service.
        session_key_file: Option<PathBuf> = None;
        /// Let users log in without TLS. Not for production: whoever can read along can do what they can.
        allow_http: bool = false;
    }

    /// `[oslo_policy]`: who may do what.
    "oslo_policy" Policy {
        /// Refuse a token whose scope is not among the rule's.
        enforce_scope: bool = true;
        /// File with rules that replace defaults, YAML or JSON. A relative path is looked for beside the configuration file.
        policy_file: PathBuf = PathBuf::from("policy.yaml");
        /// The rule that decides when a rule is not found.
        policy_default_rule: String = "default".to_owned();
        /// Folders with more such files, in the order of their names. The key may be repeated.
        policy_dirs: Repeated = Repeated(vec!["policy.d".to_owned()]);
    }

    /// `[centralized_scheduler]`: trusts for jobs that a central scheduler runs.
    "centralized_scheduler" CentralizedScheduler {
        /// Make a trust for each job of a client that is registered with is_central.
        enabled: bool = true;
        /// Make a trust for every job, of whatever client.
        enforce_trusts: bool = false;
        /// The section with the credentials of the user who becomes the trustee.
        auth_section: String = "keystone_authtoken".to_owned();
        /// Roles that are delegated by the trust. Empty: all roles of the user who makes the job.
        trusts_delegated_roles: Vec<String> = vec!["member".to_owned()];
    }

    /// `[keystone_authtoken]`: how tokens are validated, with keystonemiddleware's options. The TLS and HTTP options here
    /// are used for every call to Keystone.
    "keystone_authtoken" KeystoneAuthtoken {
        /// Keystone's address for clients, sent with 401 answers.
        www_authenticate_uri: Option<String> = None, also "auth_uri";
        /// Which of Keystone's endpoints is used: internal, public or admin.
        interface: Interface = Interface::Internal;
        /// The region in which Keystone's endpoint is looked for.
        region_name: Option<String> = None;
        /// Let a request without a valid token through as unauthenticated, for rules to refuse.
        delay_auth_decision: bool = false;
        /// Seconds that connecting to Keystone may take.
        http_connect_timeout: Option<Duration> = None;
        /// How often a call to Keystone that got no answer is tried again.
        http_request_max_retries: u32 = 3, 0..=100;
        /// PEM file of the authorities that are trusted for Keystone's certificate, beside the system's. Without it, the environment's
        /// REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE.
        cafile: Option<PathBuf> = None;
        /// PEM file of our own certificate, where Keystone asks for one.
        certfile: Option<PathBuf> = None;
        /// PEM file of its key.
        keyfile: Option<PathBuf> = None;
        /// Do not verify Keystone's certificate. Not for production.
        insecure: bool = false;
        /// Memcached servers, host:port or unix:/path, in which several API services share validated tokens. Without them, each
        /// keeps its own in memory.
        memcached_servers: Vec<String> = Vec::new(), also "memcache_servers";
        /// Secret that all API services share. With it, an entry in memcached that none of them wrote is not trusted.
        /// (Entries are encrypted in any case.)
        memcache_secret_key: Option<SecretString> = None;
        /// MAC or ENCRYPT: do not start without memcache_secret_key. Nothing else depends on it.
        memcache_security_strategy: MemcacheStrategy = MemcacheStrategy::None;
        /// Seconds for which a validated token is cached. -1 asks Keystone every time.
        token_cache_time: i64 = 300, -1..=2_147_483_647;
        /// Roles of which a service token must have one.
        service_token_roles: Vec<String> = vec!["service".to_owned()];
        /// Refuse a service token that has none of these roles, instead of accepting it as old releases did.
        service_token_roles_required: bool = true;
        /// The service's type, against which the access rules of application credentials are checked.
        service_type: Option<String> = None;
        /// Another section that holds the options below.
        auth_section: Option<String> = None;
    }

    /// The service's own credentials for Keystone, with keystoneauth's options. They are in `[keystone_authtoken]`, or
    /// in a section that an `auth_section` names.
    "keystone_authtoken" AuthPlugin {
        /// The kind of credentials: password (or v3password), v3applicationcredential, v3token.
        auth_type: Option<AuthType> = None, also "auth_plugin";
        /// Keystone's address, with or without /v3.
        auth_url: Option<String> = None;
        /// The user's name.
        username: Option<String> = None, also "user-name", also "user_name";
        /// The user's id.
        user_id: Option<String> = None;
        /// The user's password.
        password: Option<SecretString> = None;
        /// The id of the user's domain.
        user_domain_id: Option<String> = None;
        /// The name of the user's domain.
        user_domain_name: Option<String> = None;
        /// The project's id.
        project_id: Option<String> = None, also "tenant-id", also "tenant_id";
        /// The project's name.
        project_name: Option<String> = None, also "tenant-name", also "tenant_name";
        /// The id of the project's domain.
        project_domain_id: Option<String> = None;
        /// The name of the project's domain.
        project_domain_name: Option<String> = None;
        /// The domain's id, for a token of a whole domain.
        domain_id: Option<String> = None;
        /// The domain's name, for a token of a whole domain.
        domain_name: Option<String> = None;
        /// The id of the domain of user and project where none is given.
        default_domain_id: Option<String> = None;
        /// The name of the domain of user and project where none is given.
        default_domain_name: Option<String> = None;
        /// For a token of the whole system: all.
        system_scope: Option<String> = None;
        /// The id of a trust that the token is made from.
        trust_id: Option<SecretString> = None;
        /// The application credential's id.
        application_credential_id: Option<String> = None;
        /// The application credential's name, together with the user.
        application_credential_name: Option<String> = None;
        /// The application credential's secret.
        application_credential_secret: Option<SecretString> = None;
        /// The token, for the kind v3token.
        token: Option<SecretString> = None;
    }
}
