//! Options that operators have in their files for the Python service and that mean nothing here. They are not unknown: a
//! debug line says that they are not used.

/// Section and options.
const OPTIONS: &[(&str, &[&str])] = &[
    (
        "DEFAULT",
        &[
            // oslo.log
            "default_log_levels",
            "fatal_deprecations",
            "instance_format",
            "instance_uuid_format",
            "log_color",
            "log_format",
            "log_rotate_interval",
            "log_rotate_interval_type",
            "logging_exception_prefix",
            "max_logfile_count",
            "max_logfile_size_mb",
            "publish_errors",
            "rate_limit_burst",
            "rate_limit_except_level",
            "rate_limit_interval",
            "use_syslog_rfc_format",
            "verbose",
            "watch_log_file",
            // oslo.messaging
            "control_exchange",
            "notification_driver",
            "notification_topics",
            "rpc_backend",
            "rpc_response_timeout",
            "transport_url",
        ],
    ),
    (
        "database",
        &[
            "asyncio_connection",
            "asyncio_slave_connection",
            "backend",
            "connection_trace",
            "db_inc_retry_interval",
            "db_max_retries",
            "db_max_retry_interval",
            "db_retry_interval",
            "mysql_enable_ndb",
            "sqlite_synchronous",
            "synchronous_reader",
            "use_db_reconnect",
            "use_tpool",
        ],
    ),
    (
        "oslo_middleware",
        &["http_basic_auth_user_file", "secure_proxy_ssl_header"],
    ),
    (
        "centralized_scheduler",
        // The reference defines them and reads neither.
        &["service_user", "service_user_domain"],
    ),
    (
        "oslo_policy",
        &[
            // None of the reference's rules replaces an older one.
            "enforce_new_defaults",
            "remote_content_type",
            "remote_ssl_ca_crt_file",
            "remote_ssl_client_crt_file",
            "remote_ssl_client_key_file",
            "remote_ssl_verify_server_crt",
            "remote_timeout",
        ],
    ),
    (
        "keystone_authtoken",
        &[
            "auth_version",
            "cache",
            "check_revocations_for_cached",
            "enforce_token_bind",
            "hash_algorithms",
            "include_service_catalog",
            "memcache_password",
            "memcache_pool_conn_get_timeout",
            "memcache_pool_dead_retry",
            "memcache_pool_maxsize",
            "memcache_pool_socket_timeout",
            "memcache_pool_unused_timeout",
            "memcache_sasl_enabled",
            "memcache_tls_allowed_ciphers",
            "memcache_tls_cafile",
            "memcache_tls_certfile",
            "memcache_tls_enabled",
            "memcache_tls_keyfile",
            "memcache_use_advanced_pool",
            "memcache_username",
            "revocation_cache_time",
            "signing_dir",
        ],
    ),
];

/// Options of keystoneauth that any section with credentials may have. Ours for connecting to Keystone are those of
/// `[keystone_authtoken]`.
const CREDENTIAL_OPTIONS: &[&str] = &[
    "auth_section",
    "cafile",
    "certfile",
    "collect_timing",
    "connect_retries",
    "http_request_max_retries",
    "insecure",
    "interface",
    "keyfile",
    "region_name",
    "service_name",
    "service_type",
    "split_loggers",
    "timeout",
    "tls_ciphers",
    "tls_min_version",
    "valid_interfaces",
];

/// Sections of libraries that the Python service may use and this one does not.
const SECTIONS: &[&str] = &[
    "cache",
    "oslo_concurrency",
    "oslo_messaging_amqp",
    "oslo_messaging_kafka",
    "oslo_messaging_metrics",
    "oslo_messaging_notifications",
    "oslo_messaging_rabbit",
    "oslo_middleware_tracing",
    "oslo_reports",
    "oslo_versionedobjects",
    "profiler",
];

/// Whether an option is known to the Python service and without meaning here.
pub(super) fn contains(section: &str, key: &str) -> bool {
    SECTIONS.contains(&section)
        || OPTIONS
            .iter()
            .any(|(other, keys)| *other == section && keys.contains(&key))
}

/// The same for a section that holds credentials for Keystone.
pub(super) fn contains_credential(key: &str) -> bool {
    CREDENTIAL_OPTIONS.contains(&key)
}
