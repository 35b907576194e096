//! The servers of a directory, and the connections to them: some for searches, as the account of
//! the settings, and others for nothing but logins of users.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use tokio::time::Instant;

use super::connection::{Connection, Found};
use super::failure::{Broken, Failure};
use super::kept::Kept;
use super::reason::{Said, said};
use super::server::open;
use crate::config::{self, LdapServer};
use crate::disk;
use crate::ldap::{Outcome, Search};
use crate::pki::{SystemRoots, client_trusting, roots};
use crate::problem::Problems;
use crate::secret::Secret;

/// How long the search account is left alone after it was refused. A directory locks accounts.
const REFUSED: Duration = Duration::from_secs(30);

const INVALID_CREDENTIALS: u32 = 49;

pub(super) struct Directory {
    pub(super) settings: config::Ldap,
    /// Of `bind_dn`.
    password: Option<Secret>,
    /// For servers that are not sockets, and the roots that it trusts.
    tls: Option<(Arc<ClientConfig>, RootCertStore)>,
    searching: Kept,
    binding: Kept,
    /// The server that was reached last.
    current: AtomicUsize,
    /// When the search account was refused last.
    refused: Mutex<Option<Instant>>,
}

impl Directory {
    /// Reads the files that the settings name.
    pub(super) fn read(settings: &config::Ldap, system: &SystemRoots) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let password = problems.take(settings.bind_password.as_deref().map(disk::password).transpose());
        let is_unix = |server: &LdapServer| matches!(server, LdapServer::Unix(_));
        let tls = || {
            const KEY: &str = "auth.ldap.ca";
            let roots = roots(settings.ca.as_deref(), KEY, system)?;
            Ok::<_, Problems>((Arc::new(client_trusting(roots.clone(), KEY, &[])?), roots))
        };
        let tls = problems.take((!settings.servers.iter().all(is_unix)).then(tls).transpose());
        let (Some(password), Some(tls)) = (password, tls) else { return Err(problems) };
        Ok(Self {
            settings: settings.clone(),
            password,
            tls,
            searching: Kept::new(settings.connections),
            binding: Kept::new(settings.connections),
            current: AtomicUsize::new(0),
            refused: Mutex::new(None),
        })
    }

    /// Whether the other one asks the same servers in the same way.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let trusted = |directory: &Self| directory.tls.as_ref().map(|(_, roots)| roots.roots.clone());
        self.settings == other.settings && self.password == other.password && trusted(self) == trusted(other)
    }

    pub(super) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref().map(|(config, _)| config)
    }

    /// The server that was reached last, for messages.
    pub(super) fn current(&self) -> String {
        self.name(self.current.load(Ordering::Relaxed))
    }

    /// Searches as the account of the settings. A kept connection that turns out to be broken is
    /// replaced once. The caller bounds the time, and drops the future then.
    ///
    /// # Errors
    /// Whatever is wrong with the directory. The code of the outcome is for the caller to judge.
    pub(super) async fn search(&self, wanted: &Search<'_>, deadline: Instant) -> Result<Found, Failure> {
        while let Some(mut kept) = self.searching.take() {
            if let Ok(found) = kept.search(wanted).await {
                self.searching.keep(kept);
                return Ok(found);
            }
            // Those beside it are no better.
            self.searching.clear();
        }
        let mut connection = self.connect(deadline).await?;
        self.sign_in(&mut connection).await?;
        match connection.search(wanted).await {
            Ok(found) => {
                self.searching.keep(connection);
                Ok(found)
            }
            Err(cause) => Err(self.broken(&connection, cause)),
        }
    }

    /// Logs a user in, once and at one server, whatever happens. The password must not be empty.
    pub(super) async fn bind(
        &self,
        dn: &str,
        password: &Secret,
        deadline: Instant,
    ) -> Result<Outcome, Failure> {
        let mut connection = match self.binding.take() {
            Some(kept) => kept,
            None => self.connect(deadline).await?,
        };
        match connection.bind(dn, password.expose()).await {
            Ok(outcome) => {
                self.binding.keep(connection);
                Ok(outcome)
            }
            Err(cause) => Err(self.broken(&connection, cause)),
        }
    }

    /// Closes all connections, and begins with the next server: this one has not answered in time.
    pub(super) fn give_up(&self) {
        self.searching.clear();
        self.binding.clear();
        self.current.fetch_add(1, Ordering::Relaxed);
    }

    /// A new connection, to the server that was reached last, else to another one. Each has an
    /// equal share of the time that is left.
    async fn connect(&self, deadline: Instant) -> Result<Connection, Failure> {
        let servers = &self.settings.servers;
        let first = self.current.load(Ordering::Relaxed);
        let mut causes = Vec::new();
        for tried in 0..servers.len() {
            let position = (first + tried) % servers.len();
            let Some(server) = servers.get(position) else { continue };
            let left = deadline.saturating_duration_since(Instant::now());
            let others = u32::try_from(servers.len() - tried).unwrap_or(u32::MAX);
            match open(server, position, self.tls(), Instant::now() + left / others).await {
                Ok(connection) => {
                    self.current.store(position, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(cause) => causes.push(format!("{server}: {cause}")),
            }
        }
        Err(Failure::Unreachable(causes.join("; ")))
    }

    /// Whether the servers refuse the search account. What else is wrong may be over soon.
    pub(super) async fn refuses_account(&self, deadline: Instant) -> Option<Failure> {
        let mut connection = self.connect(deadline).await.ok()?;
        match self.sign_in(&mut connection).await {
            Ok(()) => {
                self.searching.keep(connection);
                None
            }
            Err(failure) => {
                let is_refusal = |outcome| matches!(said(outcome), Said::Wrong(_));
                let is_refused = matches!(&failure, Failure::Account { outcome, .. } if is_refusal(outcome));
                is_refused.then_some(failure)
            }
        }
    }

    /// Makes a new connection one of the search account, if there is one.
    async fn sign_in(&self, connection: &mut Connection) -> Result<(), Failure> {
        let (Some(dn), Some(password)) = (&self.settings.bind_dn, &self.password) else { return Ok(()) };
        let is_refused = |at: Instant| at.elapsed() < REFUSED;
        if self.refused.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(is_refused) {
            return Err(Failure::AccountRefused);
        }
        let outcome = match connection.bind(dn, password.expose()).await {
            Ok(outcome) if outcome.code == 0 => return Ok(()),
            Ok(outcome) => outcome,
            Err(cause) => return Err(self.broken(connection, cause)),
        };
        if outcome.code == INVALID_CREDENTIALS {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        Err(Failure::Account { server: self.name(connection.server), outcome })
    }

    fn broken(&self, connection: &Connection, cause: Broken) -> Failure {
        self.searching.clear();
        self.binding.clear();
        Failure::Broken { server: self.name(connection.server), cause }
    }

    fn name(&self, position: usize) -> String {
        let servers = &self.settings.servers;
        servers.get(position % servers.len().max(1)).map(LdapServer::to_string).unwrap_or_default()
    }
}
