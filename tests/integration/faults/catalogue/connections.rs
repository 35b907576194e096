//! Faults before an answer begins: no connection, no TLS, no word.

use super::{Ask, Beside, Certificate, Fault, Server};
use crate::faults::script::Step::{Close, Head, Ignore, Listen, Reset, Say};
use crate::faults::verdict::Verdict::Own;

const CLOSED: &str = "it closed the connection without an answer";

pub fn all() -> Vec<Fault> {
    let unreachable = [Ask::Get, Ask::SmallPush].into_iter().flat_map(|ask| {
        let secure = |name: &str, certificate| {
            Fault::of(format!("{name}, {ask:?}"), Server::Secure(certificate), ask, Own(502))
                .because("no TLS")
        };
        [
            Fault::of(format!("refused, {ask:?}"), Server::Refusing, ask, Own(502)).because("cannot connect"),
            Fault::of(format!("a name without an address, {ask:?}"), Server::Nameless, ask, Own(502))
                .because("cannot resolve the name"),
            Fault::of(format!("no connection is accepted, {ask:?}"), Server::Deaf, ask, Own(502))
                .because("no connection within the connect timeout"),
            secure("an expired certificate", Certificate::Expired),
            secure("a certificate of another name", Certificate::OfAnotherName),
            secure("a certificate of another authority", Certificate::OfAnotherAuthority),
            Fault::of(
                format!("not TLS, {ask:?}"),
                Server::NotSecure(&[Say("HTTP/1.1 400 Bad Request\r\n\r\n"), Close]),
                ask,
                Own(502),
            )
            .because("no TLS"),
            Fault::of(
                format!("closes in the TLS handshake, {ask:?}"),
                Server::NotSecure(&[Close]),
                ask,
                Own(502),
            )
            .because("no TLS"),
            Fault::of(
                format!("silent in the TLS handshake, {ask:?}"),
                Server::NotSecure(&[Listen]),
                ask,
                Own(502),
            )
            .because("no connection within the connect timeout"),
        ]
    });
    let wordless = [Ask::Get, Ask::Head, Ask::SmallPush].into_iter().flat_map(|ask| {
        let fault = |name: &str, script| Fault::new(format!("{name}, {ask:?}"), ask, script, Own(502));
        [
            fault("accepts and closes", &[Close]).beside(Beside::Either),
            fault("accepts and resets", &[Reset]).beside(Beside::Either),
            fault("closes after the request's head", &[Head, Close]).because(CLOSED),
            fault("resets after the request's head", &[Head, Reset]).because(CLOSED),
            Fault::new(format!("silent, {ask:?}"), ask, &[Head, Listen], Own(504)).impatiently(),
            Fault::new(format!("reads nothing, {ask:?}"), ask, &[Ignore], Own(504)).impatiently(),
        ]
    });
    unreachable.chain(wordless).collect()
}
