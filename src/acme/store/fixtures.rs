//! Settings and account credentials for tests.

use instant_acme::AccountCredentials;

use crate::config::{Acme, AcmeChallenge};
use crate::pki::fixtures::Folder;

pub(in crate::acme) fn acme(folder: &Folder) -> Acme {
    Acme {
        directory: "https://ca.test/dir".to_owned(),
        names: vec!["a.test".to_owned()],
        contact: Vec::new(),
        state: folder.path("deep/acme"),
        challenge: AcmeChallenge::TlsAlpn01,
        ca: None,
        profile: None,
        eab: None,
    }
}

pub(in crate::acme) fn credentials() -> AccountCredentials {
    serde_json::from_str(r#"{"id": "https://ca.test/account/1", "key_pkcs8": "AAAA"}"#).unwrap()
}
