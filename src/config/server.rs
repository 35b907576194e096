//! `[server]`: the listeners.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::admin::{self, Admin, AdminAddress};
use super::list::{Separator, values};
use super::names::{HOST_NAME, NETWORK, network, served_name, socket_address};
use super::print::{Printer, list, quoted};
use super::report::Location;
use super::section::Section;
use super::values::{MOST_THREADS, WAIT_OR_NONE, or_share_of_cores, print_duration};
use super::words::{Words, word};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Addresses for TLS; at least one, none twice except with port 0.
    pub listen: Vec<SocketAddr>,
    /// Addresses for plain HTTP, which serves only ACME and redirects; none twice except with port
    /// 0.
    pub plain: Vec<SocketAddr>,
    /// Addresses for health, metrics and the status page, over plain HTTP; none twice except with
    /// port 0. Empty means none of these.
    pub admin: Vec<AdminAddress>,
    /// Whether `/readyz` depends on the registry.
    pub readiness: Readiness,
    /// Host names served, in lower case, IPv6 addresses in brackets; empty means any.
    pub names: Vec<String>,
    /// Peers whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections to `listen` begin with a header of the PROXY protocol, which only
    /// trusted proxies may send. If so, there are some.
    pub proxy_protocol: bool,
    /// How long connections are accepted as before after SIGTERM, while `/readyz` says no.
    pub drain_delay: Duration,
    /// How long running transfers may go on after that. Zero ends them at once.
    pub drain_timeout: Duration,
    /// Worker threads, at least one. The file's 0 is replaced by the number of cores.
    pub threads: usize,
}

/// What tidegate needs to be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// A registry that answers.
    Upstream,
    /// Nothing but itself.
    Own,
}

const READINESS: Words<Readiness> = &[("upstream", Readiness::Upstream), ("self", Readiness::Own)];

impl Server {
    /// `admin` is `[admin]`, and `header` its place if it is written.
    pub(super) fn read(
        section: &mut Section<'_, '_>,
        admin: Option<&Admin>,
        header: Option<&Location>,
    ) -> Option<Self> {
        let wanted = r#"an IP address and a port, such as "0.0.0.0:443" or "[::]:443""#;
        let any_port = |address: &SocketAddr| address.port() == 0;
        let listen = section.several("listen", r#"["0.0.0.0:443"]"#, wanted, socket_address, any_port);
        let plain = section.distinct("plain", "[]", wanted, socket_address, any_port);
        let admin_addresses = admin::addresses(section);
        let is_known = admin_addresses.is_some();
        let admin_addresses = admin_addresses.unwrap_or_default();
        if is_known {
            admin::warn_of_no_effect(section, &admin_addresses, admin, header);
        }
        let tcp = admin_addresses.iter().filter_map(|(location, address)| match address {
            AdminAddress::Tcp(tcp) => Some((location.clone(), *tcp)),
            AdminAddress::Unix(_) => None,
        });
        let lists = [
            ("listen", listen.clone().unwrap_or_default()),
            ("plain", plain.clone().unwrap_or_default()),
            ("admin", tcp.collect()),
        ];
        refuse_overlap(section, &lists);
        let (listen, plain, admin) = (values(listen), values(plain), values(Some(admin_addresses)));
        let readiness = section.word("readiness", r#""upstream""#, READINESS);
        let names = values(section.list("names", "[]", Separator::Comma, HOST_NAME, served_name));
        let trusted_proxies = section.list("trusted_proxies", "[]", Separator::Comma, NETWORK, network);
        for (location, network) in trusted_proxies.iter().flatten().filter(|(_, net)| net.prefix_len() == 0) {
            let message = format!(
                "server.trusted_proxies: {network} is every client, so each one can claim any address and evade the \
                 limits; write the networks of the load balancers"
            );
            section.report.warn(location, message);
        }
        let has_proxies = trusted_proxies.as_ref().is_none_or(|networks| !networks.is_empty());
        let trusted_proxies = values(trusted_proxies);
        let location = section.location("proxy_protocol");
        let proxy_protocol = section.flag("proxy_protocol", "false");
        if proxy_protocol == Some(true) && !has_proxies {
            let message = "server.proxy_protocol: with true, only connections of server.trusted_proxies are accepted, and there \
                           are none; write the addresses of the load balancers there, such as trusted_proxies = [\"10.0.0.5\"]";
            section.report.wrong(&location, message);
        }
        let drain_delay = section.duration("drain_delay", r#""0s""#, WAIT_OR_NONE);
        let drain_timeout = section.duration("drain_timeout", r#""60s""#, WAIT_OR_NONE);
        let threads = section.number("threads", "0", 0..=MOST_THREADS);
        Some(Self {
            listen: listen?,
            plain: plain?,
            admin: admin.filter(|_| is_known)?,
            readiness: readiness?,
            names: names?,
            trusted_proxies: trusted_proxies?,
            proxy_protocol: proxy_protocol?,
            drain_delay: drain_delay?,
            drain_timeout: drain_timeout?,
            threads: or_share_of_cores(threads?, 1),
        })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self {
            listen,
            plain,
            admin,
            readiness,
            names,
            trusted_proxies,
            proxy_protocol,
            drain_delay,
            drain_timeout,
            threads,
        } = self;
        to.section("server");
        to.fixed("listen", list(listen.iter().map(quoted)));
        to.fixed("plain", list(plain.iter().map(quoted)));
        to.fixed("admin", list(admin.iter().map(quoted)));
        to.reloaded("readiness", quoted(word(READINESS, readiness)));
        to.reloaded("names", list(names.iter().map(quoted)));
        to.reloaded("trusted_proxies", list(trusted_proxies.iter().map(quoted)));
        to.reloaded("proxy_protocol", proxy_protocol);
        to.reloaded("drain_delay", quoted(print_duration(*drain_delay)));
        to.reloaded("drain_timeout", quoted(print_duration(*drain_timeout)));
        to.fixed("threads", threads);
    }
}

type Located = (Location, SocketAddr);

/// Reports the addresses that cannot be listened on beside another one. `lists` holds each key with
/// its addresses.
fn refuse_overlap(section: &mut Section<'_, '_>, lists: &[(&str, Vec<Located>)]) {
    let overlap = |one: &SocketAddr, other: &SocketAddr| {
        let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
        one != other && one.port() == other.port() && one.port() != 0 && is_any
    };
    for (key, list) in lists {
        for (index, (location, address)) in list.iter().enumerate() {
            // `[::]` leaves IPv4 to other addresses of its list.
            let same = |other: &SocketAddr| other.is_ipv4() == address.is_ipv4() && overlap(address, other);
            if let Some((_, other)) = list.iter().take(index).find(|(_, other)| same(other)) {
                let message = format!("server.{key}: {address} and {other} overlap; keep one of them");
                section.report.wrong(location, message);
            }
        }
    }
    for (number, (key, list)) in lists.iter().enumerate() {
        for (location, address) in list {
            let same = |other: &SocketAddr| {
                let is_dual = |any: &SocketAddr| any.is_ipv6() && any.ip().is_unspecified();
                let meet = address.is_ipv4() == other.is_ipv4() || is_dual(address) || is_dual(other);
                (address == other && address.port() != 0) || (meet && overlap(address, other))
            };
            let earlier =
                lists.iter().take(number).flat_map(|(key, list)| list.iter().map(move |at| (key, at)));
            if let Some((taken, (_, other))) = earlier.into_iter().find(|(_, (_, other))| same(other)) {
                let usual = if *key == "plain" { "80" } else { "9443" };
                let message = format!(
                    "server.{key}: {address} is taken by {other} in server.{taken}; write another port, usually {usual}"
                );
                section.report.wrong(location, message);
            }
        }
    }
}
