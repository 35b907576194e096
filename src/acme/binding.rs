//! The key that binds an account to one outside of ACME (RFC 8555 section 7.3.4).

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use instant_acme::ExternalAccountKey;

use crate::config::ExternalAccount;
use crate::disk;
use crate::pki::pair::unreadable;
use crate::problem::Problem;

/// Directories hand out keys with and without padding.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads the key of `account` from its file.
///
/// # Errors
/// The file cannot be read, others can read it, or it does not hold a key in base64url.
pub(super) fn read(account: &ExternalAccount) -> Result<ExternalAccountKey, Problem> {
    let path = &account.key;
    let content = disk::read(path, disk::SMALL).map_err(|error| unreadable(path, &error))?;
    if let Some(message) = content.mode.exposed("is an HMAC key") {
        return Err(Problem::at(path, message));
    }
    match BASE64URL.decode(content.bytes.trim_ascii()) {
        Ok(key) if !key.is_empty() => Ok(ExternalAccountKey::new(account.kid.clone(), &key)),
        _ => {
            let message = "does not hold an HMAC key in base64url; write the key of acme.eab_kid into it as the \
                           owner of the directory gave it to you, without anything else";
            Err(Problem::at(path, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::fixtures::{Folder, set_mode};

    #[test]
    fn a_key_is_base64url_in_a_private_file() {
        let folder = Folder::new();
        let read = |text: &str, mode: u32| {
            let key = folder.write("hmac", text);
            set_mode(&key, mode);
            read(&ExternalAccount { kid: "kid-1".to_owned(), key })
                .map(|_| ())
                .map_err(|problem| problem.message)
        };
        for good in ["zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W", "_-8=\n", "_-8"] {
            assert_eq!(read(good, 0o600), Ok(()), "{good}");
        }
        for bad in ["", "\n", "a+b/", "two words", "="] {
            assert!(read(bad, 0o640).unwrap_err().starts_with("does not hold an HMAC key"), "{bad}");
        }
        assert!(read("_-8", 0o644).unwrap_err().contains("every user of this machine"));
        let missing = ExternalAccount { kid: "k".to_owned(), key: folder.path("none") };
        assert!(super::read(&missing).err().unwrap().missing);
    }
}
