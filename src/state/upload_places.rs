//! Seals the places at which a registry continues uploads, so that clients can carry them.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::Secret;

/// How the id of an upload begins that carries a place.
const START: &str = "tidegate.";
/// Bytes of a tag: an HMAC-SHA256, cut to 128 bits (RFC 2104 section 5).
const TAG: usize = 16;

/// The keys of the seals. A seal says that the registry itself gave this place for an upload of
/// this repository. Nothing is stored: the place travels with the client.
///
/// The secret lasts, so that uploads continue after a restart or at another replica. After a change
/// of the secret, the seals of the previous one are accepted too.
pub(crate) struct UploadPlaces {
    /// The current one first. Without any, no seal is accepted.
    secrets: Vec<Secret>,
}

/// The id has the form of one that carries a place, and no valid seal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Forged;

impl UploadPlaces {
    pub(super) fn new(secret: Option<&Secret>, before: Option<&UploadPlaces>) -> Self {
        let previous = before.into_iter().flat_map(|before| &before.secrets);
        let previous = previous.filter(|previous| Some(*previous) != secret).take(1);
        Self { secrets: secret.into_iter().chain(previous).cloned().collect() }
    }

    /// Every secret whose seals are accepted.
    pub(super) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Accepts the seals of the process before, too.
    pub(super) fn accept(&mut self, others: impl Iterator<Item = Secret>) {
        for other in others {
            if !self.secrets.contains(&other) {
                self.secrets.push(other);
            }
        }
    }

    /// The id of an upload of `repository` that continues at `place`. It fits into a path.
    /// `owner` is the registry, or `None` for that of `[upstream]`.
    pub(crate) fn seal(&self, owner: Option<&str>, repository: &str, place: &str) -> String {
        let tag = self.secrets.first().map(|secret| tag(secret, owner, repository, place));
        let sealed = [&tag.unwrap_or_default()[..], place.as_bytes()].concat();
        format!("{START}{}", URL_SAFE_NO_PAD.encode(sealed))
    }

    /// The place that `id` carries; `None` if it is the registry's own id.
    ///
    /// # Errors
    /// The seal is not ours, or it is for another repository or another registry.
    pub(crate) fn open(
        &self,
        owner: Option<&str>,
        repository: &str,
        id: &str,
    ) -> Result<Option<String>, Forged> {
        let Some(sealed) = id.strip_prefix(START) else { return Ok(None) };
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| Forged)?;
        let (shown, place) = sealed.split_first_chunk::<TAG>().ok_or(Forged)?;
        let place = String::from_utf8(place.to_vec()).map_err(|_| Forged)?;
        let is_ours = |secret: &Secret| {
            let expected = tag(secret, owner, repository, &place);
            constant_time::verify_slices_are_equal(&expected, shown).is_ok()
        };
        if self.secrets.iter().any(is_ours) { Ok(Some(place)) } else { Err(Forged) }
    }
}

fn tag(secret: &Secret, owner: Option<&str>, repository: &str, place: &str) -> [u8; TAG] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose()));
    for part in ["tidegate place of an upload", repository, place].into_iter().chain(owner) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let whole = context.sign();
    whole.as_ref().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::name;

    const PLACE: &str = "/v2/team/app/uploads/u-1?state=a%2Fb";

    fn places(secret: u8, before: Option<&UploadPlaces>) -> UploadPlaces {
        UploadPlaces::new(Some(&Secret::new([secret; 32])), before)
    }

    #[test]
    fn a_place_is_carried_by_an_id_of_an_upload() {
        let id = places(1, None).seal(None, "team/app", PLACE);
        assert!(name::is_upload(&id), "{id}");
        assert_eq!(places(1, None).open(None, "team/app", &id), Ok(Some(PLACE.to_owned())));
        assert_eq!(places(1, None).open(None, "team/app", "u-1"), Ok(None));
    }

    #[test]
    fn no_other_place_is_opened() {
        let places = places(1, None);
        let id = places.seal(None, "team/app", PLACE);
        assert_eq!(places.open(None, "team/other", &id), Err(Forged));
        assert_eq!(places.open(Some("http://mirror"), "team/app", &id), Err(Forged));
        let of_mirror = places.seal(Some("http://mirror"), "team/app", PLACE);
        assert!(places.open(Some("http://mirror"), "team/app", &of_mirror).is_ok());
        for other in [None, Some("http://other")] {
            assert_eq!(places.open(other, "team/app", &of_mirror), Err(Forged));
        }
        let sealed = URL_SAFE_NO_PAD.decode(&id[START.len()..]).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            let id = format!("{START}{}", URL_SAFE_NO_PAD.encode(changed));
            assert_eq!(places.open(None, "team/app", &id), Err(Forged), "{at}");
        }
        for id in [
            "tidegate.",
            "tidegate.AAAA",
            "tidegate.~",
            &format!("{id}A"),
            &format!("{START}{}", "A".repeat(40)),
        ] {
            assert_eq!(places.open(None, "team/app", id), Err(Forged), "{id}");
        }
    }

    #[test]
    fn the_previous_secret_is_accepted_and_the_one_before_is_not() {
        let first = places(1, None);
        let id = first.seal(None, "a", PLACE);
        let same = places(1, Some(&first));
        let second = places(2, Some(&same));
        assert!(second.open(None, "a", &id).is_ok());
        assert_eq!(places(3, Some(&second)).open(None, "a", &id), Err(Forged));
    }
}
