//! The verdict on a record: whether tidegate withstood it.

use super::observe::Outcome;
use super::{Expect, Phase, Proto, Record};
use crate::harness::recorder::{Seen, State};

/// Returns an error with the reason when a record was not withstood.
pub fn judge(record: &Record, outcome: &Outcome) -> Result<(), String> {
    never(record, outcome)?;
    if record.upstream_only {
        return nothing_reached(outcome);
    }
    match record.expect {
        Expect::Ok => accepted(record, outcome),
        Expect::Reject => refused(record, outcome),
        Expect::RejectOrNormalise => refused(record, outcome).or_else(|refusal| {
            accepted(record, outcome)
                .map_err(|acceptance| format!("neither refused ({refusal}) nor accepted ({acceptance})"))
        }),
    }
}

/// The outcomes that no record allows.
fn never(record: &Record, outcome: &Outcome) -> Result<(), String> {
    if let Some(fault) = outcome.faults.first() {
        return Err(format!("the registry read something that is not canonical: {fault}"));
    }
    if outcome.unsettled {
        return Err("the registry is left waiting for the rest of a request".to_owned());
    }
    if let Some(seen) = outcome.seen.iter().find(|seen| seen.head.target.contains("smuggled")) {
        return Err(format!("smuggled: {} {}", seen.head.method, seen.head.target));
    }
    if !record.auth && !outcome.seen.is_empty() {
        return Err("the registry got a request without a password".to_owned());
    }
    if let Some(status) = outcome.answers.iter().find(|status| **status >= 500 && !unsupported(**status)) {
        return Err(format!("the status blames the server for the client's fault: {status}"));
    }
    if record.no100 && outcome.interim.contains(&100) {
        return Err("100 Continue came".to_owned());
    }
    if record.close && !outcome.ended {
        return Err("the connection stayed open".to_owned());
    }
    Ok(())
}

fn nothing_reached(outcome: &Outcome) -> Result<(), String> {
    if outcome.seen.is_empty() { Ok(()) } else { Err("it reached the registry".to_owned()) }
}

fn refused(record: &Record, outcome: &Outcome) -> Result<(), String> {
    match (outcome.answers.first(), &record.status) {
        (Some(status), Some(only)) if only.contains(status) => {}
        (Some(status), None) if unsupported(*status) || (400..500).contains(status) => {
            if *status == 401 && record.auth {
                return Err("the right password was refused".to_owned());
            }
        }
        (Some(status), _) => return Err(format!("answered {status}")),
        (None, None) if outcome.ended || outcome.reset => {}
        // In HTTP/2, a stream reset is a valid way to report a malformed request.
        (None, Some(only)) if record.proto == Proto::H2 && outcome.reset && only.contains(&400) => {}
        (None, _) => return Err("no answer".to_owned()),
    }
    match record.phase {
        Phase::Head => nothing_reached(outcome),
        Phase::Body if outcome.seen.iter().any(|seen| seen.state == State::Complete) => {
            Err("a refused body looks complete to the registry".to_owned())
        }
        Phase::Body => Ok(()),
    }
}

fn accepted(record: &Record, outcome: &Outcome) -> Result<(), String> {
    match outcome.answers.first() {
        Some(200..=299) => {}
        other => return Err(format!("answered {other:?}")),
    }
    if record.expect == Expect::Ok && outcome.answers.len() != record.max_upstream {
        return Err(format!("{} answers", outcome.answers.len()));
    }
    let Some(first) = outcome.seen.first() else { return Err("it did not reach the registry".to_owned()) };
    if outcome.seen.len() > record.max_upstream {
        let seen: Vec<_> = outcome.seen.iter().map(|seen| (&seen.head, seen.state)).collect();
        return Err(format!("the registry saw {} requests: {seen:?}", outcome.seen.len()));
    }
    if outcome.seen.iter().any(|seen| seen.state != State::Complete) {
        return Err("the registry saw a truncated request".to_owned());
    }
    body(record, first)?;
    fields(record, first)
}

fn body(record: &Record, seen: &Seen) -> Result<(), String> {
    let expected = match record.id.as_str() {
        "ch-36" => &b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n"[..],
        _ if record.raw.contains("HELLO") => b"HELLO",
        "h2-ok-02" => b"HELLO",
        _ => return Ok(()),
    };
    if seen.body == expected {
        return Ok(());
    }
    Err(format!("the body became {:?}", String::from_utf8_lossy(&seen.body)))
}

fn fields(record: &Record, seen: &Seen) -> Result<(), String> {
    for absent in &record.absent {
        let found = match absent.split_once('=') {
            Some((name, value)) => seen.all(name).contains(&value),
            None => !seen.all(absent).is_empty(),
        };
        if found {
            return Err(format!("{absent} reached the registry"));
        }
    }
    for (name, value) in &record.value {
        if seen.all(name) != [value] {
            return Err(format!("{name} became {:?}, not {value}", seen.all(name)));
        }
    }
    for (name, value) in &record.last {
        let last = seen.all(name).last().and_then(|list| list.rsplit(',').next()).map(str::trim);
        if last != Some(value) {
            return Err(format!("{name} ends with {last:?}, not {value}"));
        }
    }
    Ok(())
}

/// 501 and 505 name something in the request that is not supported, so they also blame the client.
fn unsupported(status: u16) -> bool {
    status == 501 || status == 505
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::strict;

    fn record(json: &str) -> Record {
        let mut value: serde_json::Value = serde_json::from_str(json).unwrap();
        for (key, default) in
            [("id", "x"), ("family", "x"), ("proto", "h1"), ("method", "GET"), ("raw", ""), ("why", "")]
        {
            if value.get(key).is_none() {
                value[key] = default.into();
            }
        }
        serde_json::from_value(value).unwrap()
    }

    fn seen(target: &str, fields: &str, state: State) -> Seen {
        let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        Seen { head: strict::head(head.as_bytes()).unwrap(), body: Vec::new(), received: 0, state }
    }

    fn answered(status: u16) -> Outcome {
        Outcome { answers: vec![status], ended: true, ..Outcome::default() }
    }

    fn passed(status: u16, seen: Seen) -> Outcome {
        Outcome { seen: vec![seen], ..answered(status) }
    }

    fn whole() -> Seen {
        seen("/v2/", "", State::Complete)
    }

    #[test]
    fn a_legal_request_must_arrive_once_and_whole() {
        let ok = record(r#"{"expect":"ok"}"#);
        assert!(judge(&ok, &passed(200, whole())).is_ok());
        assert!(judge(&ok, &answered(200)).is_err(), "it never arrived");
        assert!(judge(&ok, &answered(400)).is_err(), "it was refused");
        assert!(
            judge(&ok, &passed(200, seen("/v2/", "", State::Truncated))).is_err(),
            "it arrived truncated"
        );
        let twice = Outcome { seen: vec![whole(), whole()], ..answered(200) };
        assert!(judge(&ok, &twice).is_err(), "it arrived twice");
        let body = record(r#"{"expect":"ok","raw":"HELLO"}"#);
        assert!(judge(&body, &passed(200, whole())).is_err(), "its body was lost");
    }

    #[test]
    fn a_refusal_needs_an_error_status_and_an_untouched_registry() {
        let reject = record(r#"{"expect":"reject"}"#);
        assert!(judge(&reject, &answered(400)).is_ok());
        assert!(judge(&reject, &answered(501)).is_ok());
        assert!(judge(&reject, &Outcome { ended: true, ..Outcome::default() }).is_ok());
        assert!(judge(&reject, &Outcome::default()).is_err(), "no answer, and the connection stays open");
        assert!(judge(&reject, &answered(200)).is_err());
        assert!(judge(&reject, &answered(401)).is_err(), "the password was right");
        assert!(judge(&reject, &answered(502)).is_err(), "never the registry's fault");
        assert!(judge(&reject, &passed(400, whole())).is_err(), "refused, and forwarded all the same");
        assert!(judge(&reject, &passed(400, seen("/v2/", "", State::Truncated))).is_err());
        assert!(judge(&reject, &passed(200, whole())).is_err());
    }

    #[test]
    fn a_request_with_a_bad_body_may_reach_the_registry_truncated_but_never_whole() {
        let reject = record(r#"{"expect":"reject","phase":"body"}"#);
        assert!(judge(&reject, &passed(400, seen("/v2/", "", State::Truncated))).is_ok());
        assert!(judge(&reject, &passed(400, whole())).is_err());
    }

    #[test]
    fn only_the_listed_statuses_count_where_there_is_a_list() {
        let reject = record(r#"{"expect":"reject","status":[401],"auth":false}"#);
        assert!(judge(&reject, &answered(401)).is_ok());
        assert!(judge(&reject, &answered(400)).is_err());
        assert!(judge(&reject, &Outcome { ended: true, ..Outcome::default() }).is_err());
        let h2 = record(r#"{"expect":"reject","status":[400,405],"proto":"h2"}"#);
        assert!(judge(&h2, &Outcome { reset: true, ..Outcome::default() }).is_ok());
    }

    #[test]
    fn a_normalised_request_must_be_normal() {
        let either = record(
            r#"{"expect":"reject_or_normalise","absent":["te","a=b"],"value":{"x":"1"},"last":{"y":"2"}}"#,
        );
        let normal = |fields| judge(&either, &passed(200, seen("/v2/", fields, State::Complete)));
        assert!(judge(&either, &answered(400)).is_ok());
        assert!(normal("X: 1\r\nY: 9, 2\r\nA: c\r\n").is_ok());
        assert!(normal("X: 1\r\nY: 9, 2\r\nA: b\r\n").is_err());
        assert!(normal("X: 1\r\nY: 9, 2\r\nTE: gzip\r\n").is_err());
        assert!(normal("X: 1\r\nX: 1\r\nY: 2\r\n").is_err());
        assert!(normal("X: 1\r\nY: 2, 9\r\n").is_err());
        assert!(normal("Y: 2\r\n").is_err());
    }

    #[test]
    fn some_outcomes_fail_every_record() {
        for expect in ["ok", "reject", "reject_or_normalise"] {
            let record = record(&format!(r#"{{"expect":{expect:?},"max_upstream":2}}"#));
            let smuggled = Outcome {
                answers: vec![200, 200],
                seen: vec![whole(), seen("/v2/smuggled", "", State::Complete)],
                ..Outcome::default()
            };
            assert!(judge(&record, &smuggled).unwrap_err().contains("smuggled"));
            let truncated =
                Outcome { seen: vec![seen("/v2/smuggled", "", State::Truncated)], ..answered(400) };
            assert!(judge(&record, &truncated).unwrap_err().contains("smuggled"));
            let odd = Outcome { faults: vec!["a line".to_owned()], ..answered(400) };
            assert!(judge(&record, &odd).unwrap_err().contains("canonical"));
            let waiting = Outcome { unsettled: true, ..answered(400) };
            assert!(judge(&record, &waiting).unwrap_err().contains("waiting"));
        }
    }

    #[test]
    fn the_flags_are_checked() {
        let close = record(r#"{"expect":"reject","close":true}"#);
        assert!(judge(&close, &answered(400)).is_ok());
        assert!(judge(&close, &Outcome { ended: false, ..answered(400) }).is_err());
        let no100 = record(r#"{"expect":"reject","no100":true}"#);
        assert!(judge(&no100, &Outcome { interim: vec![100], ..answered(400) }).is_err());
        let stranger = record(r#"{"expect":"reject","auth":false,"upstream_only":true}"#);
        assert!(judge(&stranger, &answered(301)).is_ok());
        assert!(judge(&stranger, &passed(301, whole())).is_err());
    }
}
