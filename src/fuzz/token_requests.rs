//! Requests for a token: the query of a GET and the form of a POST, and the scopes in both.
//!
//! Query and form of the same text ask for the same. What was read and is written again is read as
//! the same.

use form_urlencoded::Serializer;

use crate::registry::grant::{Proof, TokenRequest, form, query};
use crate::registry::scope::Scope;

/// Checks one input.
pub(super) fn token_requests(bytes: &[u8]) {
    let asked = form(bytes).ok();
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(query) = query(text)
    {
        check(&query);
        if let Some(form) = &asked {
            assert_eq!((&query.service, &query.asked), (&form.service, &form.asked));
        }
    }
    let Some(asked) = asked else { return };
    check(&asked);
    assert_eq!(form(written(&asked).as_bytes()).as_ref(), Ok(&asked));
}

fn check(request: &TokenRequest) {
    let asked = &request.asked;
    for (index, scope) in asked.scopes.iter().enumerate() {
        let others = asked.scopes.get(index + 1..).unwrap_or_default();
        assert!(others.iter().all(|other| other.resource != scope.resource), "{scope} twice");
        assert_eq!(Scope::parse(&scope.to_string()).as_ref(), Some(scope));
    }
    let mut indexes = asked.newest.clone();
    indexes.sort_unstable();
    assert!(indexes.into_iter().eq(0..asked.scopes.len()), "{:?}", asked.newest);
}

/// The form of `request`, with the scope that was asked for last at the end.
fn written(request: &TokenRequest) -> String {
    let mut form = Serializer::new(String::new());
    match &request.proof {
        Proof::Header => {}
        Proof::Password(basic) => {
            form.append_pair("grant_type", "password")
                .append_pair("username", &String::from_utf8_lossy(&basic.user))
                .append_pair("password", &String::from_utf8_lossy(basic.password.expose()));
        }
        Proof::Identity(token) => {
            form.append_pair("grant_type", "refresh_token")
                .append_pair("refresh_token", &String::from_utf8_lossy(token.expose()));
        }
    }
    if request.offline {
        form.append_pair("access_type", "offline");
    }
    if let Some(service) = &request.service {
        form.append_pair("service", service);
    }
    // In the order in which they were first asked for, and then in the order of the last time.
    let scopes = &request.asked.scopes;
    let last = request.asked.newest.iter().rev().filter_map(|index| scopes.get(*index));
    for scope in scopes.iter().chain(last) {
        form.append_pair("scope", &scope.to_string());
    }
    form.finish()
}
