//! What is meant: one struct per section of proxy.toml, every value parsed and in range.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;
use ipnet::IpNet;
use regex::bytes::Regex;

use super::address::ServerAddress;
use crate::registry::pattern::{Pattern, TagPattern};
use crate::registry::rights::Rights;
use crate::user::User;

/// `[server]`: where clients come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Addresses to accept TLS on; at least one, none twice but for port 0.
    pub listen: Vec<SocketAddr>,
    /// Addresses to accept plain HTTP on, for ACME and redirects alone; none twice but for port 0.
    pub plain: Vec<SocketAddr>,
    /// Host names served, in lower case, IPv6 addresses in brackets; empty means any.
    pub names: Vec<String>,
    /// Peers whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long running transfers may finish after SIGTERM; zero cuts them.
    pub drain_timeout: Duration,
    /// Worker threads, at least one: 0 in the file is the number of cores here.
    pub threads: usize,
}

/// `[limits]`: what one client, and all of them, may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open client connections; beyond it accept waits. At least one.
    pub connections: usize,
    /// Of these, from one address; 0 means no limit.
    pub connections_per_ip: usize,
    /// From accept to the first request head. Not zero.
    pub handshake_timeout: Duration,
    /// For every later request head, and the idle time between requests. Not zero.
    pub header_timeout: Duration,
    /// A transfer that moves no byte for so long is ended. Not zero.
    pub idle_timeout: Duration,
    /// Bytes per second below which a transfer is ended; 0 means no minimum.
    pub min_rate: u64,
    /// Bytes of a request head, from 8 KiB (the least that hyper takes) to 1 MiB.
    pub header_bytes: usize,
    /// Fields of a request head. At least one.
    pub headers: usize,
    /// Bytes of a manifest that is pushed. At least one.
    pub manifest_bytes: u64,
}

/// `[tls]`: what tidegate shows to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// At least one, but none with `[acme]`; the first is for clients whose SNI matches none.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version that is accepted.
    pub min_version: TlsVersion,
    /// Protocols offered, the preferred first; at least one, none twice.
    pub alpn: Vec<Alpn>,
    /// The secret that the keys of session tickets are made of, in base64; `None` means random keys.
    pub ticket_keys: Option<PathBuf>,
    /// `[tls.client]`.
    pub client: ClientCertificates,
}

/// `[tls.client]`: certificates that clients show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Whether they are asked for, and what follows when there is none.
    pub verify: Verify,
    /// The CAs that may have issued them. Checked to exist only when `verify` is not off.
    pub ca: PathBuf,
    /// Lists of those that these CAs have revoked.
    pub crl: Vec<PathBuf>,
    /// The host names for which they are asked for, as in [`Server::names`]; empty means all.
    pub names: Vec<String>,
    /// The refusal of one that does not count, or of none: 403 or 404.
    pub reject_status: StatusCode,
    /// What in a certificate is the user's name.
    pub user_from: UserFrom,
}

/// Whether certificates are asked of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// No.
    Off,
    /// Yes; who shows none may do what others may without.
    Optional,
    /// Yes; who shows none is refused.
    Required,
}

/// What in a client's certificate is the user's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserFrom {
    /// `cn`: the common name of its subject.
    CommonName,
    /// `san`: the first DNS name or e-mail address of its subjectAltName.
    AlternativeName,
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// Where an OCSP response about the certificate may lie: beside it, as haproxy has it.
    pub fn staple(&self) -> PathBuf {
        let mut path = self.certificate.clone().into_os_string();
        path.push(".ocsp");
        path.into()
    }
}

/// A version of TLS that a registry may still speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// A protocol that ALPN (RFC 7301) can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// `h2`.
    H2,
    /// `http/1.1`.
    Http11,
}

/// `[acme]`: a certificate from a directory that speaks ACME (RFC 8555), whose terms are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// URL of the directory, https.
    pub directory: String,
    /// DNS names that the certificate is for, in lower case; at least one, none twice.
    pub names: Vec<String>,
    /// URLs under which the directory reaches whoever has the account.
    pub contact: Vec<String>,
    /// The folder of account, order and certificate.
    pub state: PathBuf,
    /// How the names are proven.
    pub challenge: AcmeChallenge,
    /// PEM roots for the directory; `None` means those of the system.
    pub ca: Option<PathBuf>,
}

impl Acme {
    /// Where the certificate is kept, and its key in the same file: a pair can then never be half replaced.
    pub fn files(&self) -> CertificateFiles {
        let file = self.state.join("certificate.pem");
        CertificateFiles { certificate: file.clone(), key: file }
    }
}

/// How a directory is shown that a name is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// In a handshake on port 443, RFC 8737.
    TlsAlpn01,
    /// In an answer on port 80, RFC 8555 section 8.3.
    Http01,
}

/// `[upstream]`: the registry behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Where it listens.
    pub server: ServerAddress,
    /// PEM roots for an https server; `None` means those of the system.
    pub ca: Option<PathBuf>,
    /// Until a connection stands, TLS included. Not zero.
    pub connect_timeout: Duration,
    /// Until the response head, and between pieces of the body. Not zero.
    pub read_timeout: Duration,
    /// What becomes of the client's Authorization.
    pub authorization: UpstreamAuthorization,
}

/// What the registry gets as `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamAuthorization {
    /// `user`: Basic with the verified name and no password.
    User,
    /// `pass`: what the client sent.
    Pass,
    /// `none`: nothing.
    None,
}

/// `[auth]`: who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// How clients prove who they are.
    pub mode: AuthMode,
    /// The realm of the challenge: printable ASCII, neither quote nor backslash.
    pub realm: String,
    /// Users and password hashes. Checked to exist unless `mode` is off.
    pub htpasswd: PathBuf,
    /// Also accept the older hashes of Apache and crypt(3).
    pub legacy_hashes: bool,
    /// How a client's certificate goes with passwords.
    pub client_certificate: ClientCertificate,
    /// How long a verified password need not be hashed again; zero means it always is.
    pub cache_ttl: Duration,
    /// How many verified passwords are remembered. At least one.
    pub cache_size: usize,
    /// Threads that compute hashes, at least one: 0 in the file is half the cores here.
    pub hash_threads: usize,
    /// Hashes that may wait for a thread; beyond it clients are told to come back. At least one.
    pub hash_queue: usize,
    /// `[auth.throttle]`.
    pub throttle: Throttle,
}

/// `[auth.throttle]`: how many wrong passwords are computed for one client network and user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// So many within the window, and no more; 0 means no limit.
    pub failures: usize,
    /// Failures are counted within this time. At least a second.
    pub window: Duration,
    /// How long nothing is computed then. At least a second.
    pub delay: Duration,
}

/// How clients prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// User and password, RFC 7617.
    Basic,
    /// Tokens of our own, given for user and password or to anybody.
    Token,
    /// Not at all: everyone may do everything.
    Off,
}

/// How a client's certificate goes with passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// One of the two is enough.
    Either,
    /// Both are needed.
    Both,
}

/// `[user_agents]`: clients too old to speak to a v2 registry.
#[derive(Clone, Debug)]
pub struct UserAgents {
    /// Refused if one of these matches ...
    pub deny: Vec<Regex>,
    /// ... and none of these does.
    pub allow: Vec<Regex>,
    /// The refusal: a 4xx.
    pub status: StatusCode,
}

impl PartialEq for UserAgents {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &[Regex], b: &[Regex]| a.iter().map(Regex::as_str).eq(b.iter().map(Regex::as_str));
        same(&self.deny, &other.deny) && same(&self.allow, &other.allow) && self.status == other.status
    }
}

impl Eq for UserAgents {}

/// An entry of `[[access]]`: who may do what where. Groups are resolved.
#[derive(Clone, Debug)]
pub struct AccessRule {
    /// Where it stands, as messages name it: file, line and column.
    pub place: String,
    /// Who; at least one.
    pub subjects: Vec<Subject>,
    /// Where; at least one.
    pub repositories: Vec<Pattern>,
    /// What; not nothing.
    pub rights: Rights,
    /// Where the names of its users stand, those in its groups too.
    pub mentions: Vec<Mention>,
}

/// Wherever it stands, it means the same.
impl PartialEq for AccessRule {
    fn eq(&self, other: &Self) -> bool {
        let AccessRule { place: _, subjects, repositories, rights, mentions: _ } = self;
        (subjects, repositories, rights) == (&other.subjects, &other.repositories, &other.rights)
    }
}

impl Eq for AccessRule {}

/// The name of a user in `[groups]` or `[[access]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// Where it stands, as messages name it.
    pub place: String,
    /// The key that holds it, such as `access.users`.
    pub key: String,
    /// The name itself.
    pub name: User,
    /// What else may have been meant, if nobody has this name.
    pub instead: Option<String>,
}

/// Whom a rule means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `anonymous`: everybody, known or not.
    Anonymous,
    /// `*`: everybody who is known.
    EveryUser,
    User(User),
}

/// `[policy]`: what nobody may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Nothing is pushed, mounted or deleted; uploads that have begun may finish.
    pub read_only: bool,
    /// Tags that are not overwritten or deleted once they exist.
    pub immutable_tags: Vec<ImmutableTags>,
    /// What the catalog shows.
    pub catalog: Catalog,
}

/// Tags of some repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImmutableTags {
    /// The repositories; their pattern names no user.
    pub repositories: Pattern,
    /// Their tags.
    pub tags: TagPattern,
}

/// What the catalog shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Catalog {
    /// `filtered`: what the caller may pull, or all to whom the action `catalog` is granted.
    #[default]
    Filtered,
    /// `off`: there is none.
    Off,
}

/// `[token]`: the tokens that `auth.mode = "token"` gives and takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whom they are for: what is written, or the first of [`Server::names`]; `None` is the host that is asked for. Printable
    /// ASCII without spaces, quotes and backslashes.
    pub service: Option<String>,
    /// Who gives them, in the same letters.
    pub issuer: String,
    /// PEM; `None` is a key of this process.
    pub key: Option<PathBuf>,
    /// Its certificate, PEM; none without a key.
    pub certificate: Option<PathBuf>,
    /// How long they count. At least a minute.
    pub ttl: Duration,
    /// How long identity tokens count; zero means there are none, as it is where no key is written: they need one that lasts.
    pub refresh_ttl: Duration,
}

/// `[log]`: what is written where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Directives of `tracing_subscriber::EnvFilter`, known to parse.
    pub level: String,
    /// The shape of the program's own log, which goes to stderr.
    pub format: LogFormat,
    /// Where the access log goes.
    pub access: AccessTarget,
    /// The shape of its lines.
    pub access_format: AccessFormat,
}

/// The shape of the program's own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTarget {
    /// Nowhere.
    Off,
    /// To the standard output.
    Stdout,
    /// To the end of this file, which is reopened on SIGHUP.
    File(PathBuf),
}

/// The shape of the access log's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    /// One object per line.
    Json,
    /// Apache's combined format.
    Combined,
}
