//! `[server]`: the listener.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::list::{Separator, values};
use super::names::{HOST_NAME, network, served_name, socket_address};
use super::print::{Printer, list, quoted};
use super::report::Location;
use super::section::Section;
use super::values::{MOST_THREADS, WAIT_OR_NONE, or_share_of_cores, print_duration};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Addresses for TLS; at least one, none twice except with port 0.
    pub listen: Vec<SocketAddr>,
    /// Addresses for plain HTTP, which serves only ACME and redirects; none twice except with port
    /// 0.
    pub plain: Vec<SocketAddr>,
    /// Host names served, in lower case, IPv6 addresses in brackets; empty means any.
    pub names: Vec<String>,
    /// Peers whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long running transfers may go on after SIGTERM. Zero ends them at once.
    pub drain_timeout: Duration,
    /// Worker threads, at least one. The file's 0 is replaced by the number of cores.
    pub threads: usize,
}

impl Server {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let wanted = r#"an IP address and a port, such as "0.0.0.0:443" or "[::]:443""#;
        let any_port = |address: &SocketAddr| address.port() == 0;
        let listen = section.several("listen", r#"["0.0.0.0:443"]"#, wanted, socket_address, any_port);
        let plain = section.distinct("plain", "[]", wanted, socket_address, any_port);
        refuse_overlap(section, listen.as_deref().unwrap_or_default(), plain.as_deref().unwrap_or_default());
        let (listen, plain) = (values(listen), values(plain));
        let names = values(section.list("names", "[]", Separator::Comma, HOST_NAME, served_name));
        let wanted = r#"a network or an address, such as "10.0.0.0/8" or "192.0.2.7""#;
        let trusted_proxies = section.list("trusted_proxies", "[]", Separator::Comma, wanted, network);
        for (location, network) in trusted_proxies.iter().flatten().filter(|(_, net)| net.prefix_len() == 0) {
            let message = format!(
                "server.trusted_proxies: {network} is every client, so each one can claim any address and evade the \
                 limits; write the networks of the load balancers"
            );
            section.report.warn(location, message);
        }
        let trusted_proxies = values(trusted_proxies);
        let drain_timeout = section.duration("drain_timeout", r#""60s""#, WAIT_OR_NONE);
        let threads = section.number("threads", "0", 0..=MOST_THREADS);
        section.later("admin");
        section.later("proxy_protocol");
        Some(Self {
            listen: listen?,
            plain: plain?,
            names: names?,
            trusted_proxies: trusted_proxies?,
            drain_timeout: drain_timeout?,
            threads: or_share_of_cores(threads?, 1),
        })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { listen, plain, names, trusted_proxies, drain_timeout, threads } = self;
        to.section("server");
        to.fixed("listen", list(listen.iter().map(quoted)));
        to.fixed("plain", list(plain.iter().map(quoted)));
        to.reloaded("names", list(names.iter().map(quoted)));
        to.reloaded("trusted_proxies", list(trusted_proxies.iter().map(quoted)));
        to.reloaded("drain_timeout", quoted(print_duration(*drain_timeout)));
        to.fixed("threads", threads);
    }
}

type Located = (Location, SocketAddr);

/// Reports the addresses that cannot be listened on beside another one.
fn refuse_overlap(section: &mut Section<'_, '_>, listen: &[Located], plain: &[Located]) {
    let overlap = |one: &SocketAddr, other: &SocketAddr| {
        let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
        one != other && one.port() == other.port() && one.port() != 0 && is_any
    };
    for (key, list) in [("listen", listen), ("plain", plain)] {
        for (index, (location, address)) in list.iter().enumerate() {
            // `[::]` leaves IPv4 to other addresses of its list.
            let same = |other: &SocketAddr| other.is_ipv4() == address.is_ipv4() && overlap(address, other);
            if let Some((_, other)) = list.iter().take(index).find(|(_, other)| same(other)) {
                let message = format!("server.{key}: {address} and {other} overlap; keep one of them");
                section.report.wrong(location, message);
            }
        }
    }
    for (location, address) in plain {
        let same = |other: &SocketAddr| {
            let is_dual = |any: &SocketAddr| any.is_ipv6() && any.ip().is_unspecified();
            let meet = address.is_ipv4() == other.is_ipv4() || is_dual(address) || is_dual(other);
            (address == other && address.port() != 0) || (meet && overlap(address, other))
        };
        if let Some((_, other)) = listen.iter().find(|(_, other)| same(other)) {
            let message = format!(
                "server.plain: {address} is taken by {other} in server.listen; write another port, usually 80"
            );
            section.report.wrong(location, message);
        }
    }
}
