//! An nginx before Elasticsearch: TLS, and who may ask. What it lets in is asked without a login, as the stack's
//! Elasticsearch has none.

use super::certificates::Certificate;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const START_SECS_MAX: u64 = 30;
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// An API key and a token that it lets in, beside the user.
pub(crate) const API_KEY: &str = "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==";
pub(crate) const BEARER_TOKEN: &str = "AAEAAWVsYXN0aWMvZmxlZXQtc2VydmVyL3Rva2VuMTpvdGhlcg";

pub(crate) struct Nginx {
    /// `https://127.0.0.1:port`.
    pub(crate) url: String,
    home: TempDir,
    /// It ends with this value.
    _process: Child,
}

impl Nginx {
    /// Starts it with a certificate, and returns when it can be asked. Nobody but the key and the token is let in.
    pub(crate) async fn before(service: &str, certificate: &Certificate) -> Self {
        let home = tempfile::tempdir().unwrap();
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let configuration = configuration(home.path(), port, service.trim_end_matches('/'), certificate);
        std::fs::write(home.path().join("nginx.conf"), configuration).unwrap();
        std::fs::write(home.path().join("users"), "").unwrap();
        let program = if Path::new("/usr/sbin/nginx").exists() {
            "/usr/sbin/nginx"
        } else {
            "nginx"
        };
        let mut process = Command::new(program)
            .args(["-e", "error.log", "-c", "nginx.conf", "-p"])
            .arg(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("nginx is there, as the local stack needs it");
        let deadline = Instant::now() + Duration::from_secs(START_SECS_MAX);
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            let ended = process.try_wait().unwrap();
            let log = || std::fs::read_to_string(home.path().join("error.log")).unwrap_or_default();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "nginx doesn't start: {ended:?} {}",
                log()
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Self {
            url: format!("https://127.0.0.1:{port}"),
            home,
            _process: process,
        }
    }

    /// From the next request on this user is let in, and no other.
    pub(crate) fn let_in(&self, user: &str, password: &str) {
        std::fs::write(
            self.home.path().join("users"),
            format!("{user}:{{PLAIN}}{password}\n"),
        )
        .unwrap();
    }

    /// How many requests it answered with a status so far.
    pub(crate) fn answered(&self, status: u16) -> usize {
        let log = std::fs::read_to_string(self.home.path().join("access.log")).unwrap_or_default();
        log.lines().filter(|line| *line == status.to_string()).count()
    }
}

fn configuration(home: &Path, port: u16, service: &str, certificate: &Certificate) -> String {
    let home = home.display();
    let (shown, key) = (certificate.certificate.display(), certificate.key.display());
    // One process: the one that is started is the one that ends.
    format!(
        r#"
daemon off;
master_process off;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{}}
http {{
    log_format statuses $status;
    access_log {home}/access.log statuses;
    client_max_body_size 0;
    map_hash_bucket_size 256;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    map $http_authorization $realm {{
        default elasticsearch;
        "ApiKey {API_KEY}" off;
        "Bearer {BEARER_TOKEN}" off;
    }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {shown};
        ssl_certificate_key {key};
        location / {{
            auth_basic $realm;
            auth_basic_user_file {home}/users;
            proxy_pass {service};
            proxy_http_version 1.1;
            proxy_set_header Authorization "";
            proxy_set_header Connection "";
        }}
    }}
}}
"#
    )
}
