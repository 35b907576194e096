//! One connection to the engine.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, RedisConnectionInfo, RedisError, cmd};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::lookup_host;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use crate::config::{self, EngineUrl};
use crate::dial::dial;
use crate::disk;
use crate::pki::{SystemRoots, client_config};
use crate::problem::{Problem, Problems};

/// For TCP to all addresses of the engine together.
const CONNECT: Duration = Duration::from_millis(600);
/// How long the engine keeps the mark of a check.
const CHECKED_MS: u32 = 10_000;
/// Questions that wait to be written. Each is bounded in time.
const QUEUE: usize = 1024;

/// Errors that are about the engine as a whole, and not about one question.
const WHOLE: [&str; 9] =
    ["READONLY", "LOADING", "MASTERDOWN", "OOM", "MISCONF", "NOAUTH", "CLUSTERDOWN", "MOVED", "NOREPLICAS"];

/// Where the engine is, and how to log in.
pub(super) struct Target {
    url: EngineUrl,
    login: RedisConnectionInfo,
    tls: Option<Arc<ClientConfig>>,
}

impl Target {
    pub(super) fn read(url: &EngineUrl, settings: &config::Shared) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let password = problems.take(settings.password_file.as_deref().map(disk::password).transpose());
        let ca = settings.ca.as_deref();
        let tls = || client_config(ca, "shared.ca", &SystemRoots::default(), &[]).map(Arc::new);
        let tls = problems.take(url.tls.then(tls).transpose());
        let (Some(password), Some(tls)) = (password, tls) else { return Err(problems) };
        let mut login = RedisConnectionInfo::default()
            .set_lib_name("tidegate", env!("CARGO_PKG_VERSION"))
            .set_db(i64::from(url.database));
        if let Some(user) = &url.user {
            login = login.set_username(user);
        }
        if let (Some(password), Some(file)) = (password, &settings.password_file) {
            let text = str::from_utf8(password.expose());
            let text = text.map_err(|_| Problem::at(file, "holds a password that is not UTF-8"))?;
            login = login.set_password(text);
        }
        Ok(Self { url: url.clone(), login, tls })
    }

    /// For the log.
    pub(super) fn url(&self) -> &EngineUrl {
        &self.url
    }
}

/// A connection that many questions share. Its end closes it.
pub(super) struct Link {
    connection: MultiplexedConnection,
    driver: AbortHandle,
}

impl Link {
    /// Connects, logs in and has the engine answer `check`. The caller bounds the time. The
    /// connection lives on the runtime of the caller.
    pub(super) async fn open(target: &Target, check: &Cmd) -> Result<Self, String> {
        let EngineUrl { host, port, .. } = &target.url;
        let addresses = lookup_host((host.as_str(), *port)).await;
        let addresses = addresses.map_err(|error| format!("{host} cannot be resolved: {error}"))?;
        let tcp = dial(addresses, CONNECT).await.map_err(|error| format!("it cannot be reached: {error}"))?;
        let link = match &target.tls {
            None => Self::over(target, tcp).await,
            Some(tls) => {
                let name = name(host).map_err(|error| format!("{host} has no certificate: {error}"))?;
                let tls = TlsConnector::from(tls.clone()).connect(name, tcp).await;
                Self::over(target, tls.map_err(|error| format!("TLS fails: {error}"))?).await
            }
        };
        let link = link.map_err(|error| words(&error))?;
        check.exec_async(&mut link.connection()).await.map_err(|error| words(&error))?;
        Ok(link)
    }

    async fn over(
        target: &Target,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, RedisError> {
        let settings =
            AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(QUEUE);
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&target.login, stream, settings).await?;
        Ok(Self { connection, driver: tokio::spawn(driver).abort_handle() })
    }

    pub(super) fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A question that only an engine answers well that can be written to.
pub(super) fn check(key: &str) -> Cmd {
    let mut check = cmd("SET");
    check.arg(key).arg(1).arg("PX").arg(CHECKED_MS);
    check
}

/// Whether the connection is of no use after this error.
pub(super) fn ends_it(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        || error.code().is_some_and(|code| WHOLE.contains(&code))
}

/// The error for the operator. It holds nothing of the question.
pub(super) fn words(error: &RedisError) -> String {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return "it refuses user and password; correct shared.password_file, and the user in shared.url"
            .to_owned();
    }
    match error.code() {
        Some("NOAUTH") => "it asks for a password (NOAUTH); name its file in shared.password_file".to_owned(),
        Some("NOPERM") => {
            "its access list does not permit what tidegate needs (NOPERM); see docs/shared.md".to_owned()
        }
        Some("MOVED" | "CLUSTERDOWN") => {
            "it is a cluster, which is not supported; use one engine, with a replica of it for failure"
                .to_owned()
        }
        Some("OOM") => "it has no memory left (OOM); give it more, and the policy noeviction".to_owned(),
        Some("READONLY") => {
            "it is a replica that cannot be written to (READONLY); name the primary".to_owned()
        }
        Some(code) => format!("it answers {code}"),
        None => error.to_string(),
    }
}

/// The name that the certificate must have.
fn name(host: &str) -> io::Result<ServerName<'static>> {
    match host.parse::<IpAddr>() {
        Ok(address) => Ok(ServerName::from(address)),
        Err(_) => ServerName::try_from(host.to_owned()).map_err(io::Error::other),
    }
}
