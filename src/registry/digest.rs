//! Digests of content: OCI image specification, "Digests".

use aws_lc_rs::digest::{Algorithm, SHA256, SHA512, digest};
use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderName};

use super::name;
use crate::header::single::single;

/// The field in which a registry names the digest of the content that its answer is about.
pub(crate) const FIELD: HeaderName = HeaderName::from_static("docker-content-digest");

/// The digest that a registry names in its answer.
pub(crate) fn named(headers: &HeaderMap) -> Option<String> {
    let digest = single(headers, &FIELD)?.to_str().ok().filter(|digest| name::is_digest(digest));
    // A copy: the value shares its memory with all that the registry sent at the same time.
    digest.map(str::to_owned)
}

/// Whether `digest` is that of `content`; `None` for an algorithm other than SHA-256 and SHA-512.
pub(crate) fn is_of(digest: &str, content: &[u8]) -> Option<bool> {
    let (algorithm, encoded) = digest.split_once(':')?;
    let algorithm = match algorithm {
        "sha256" => &SHA256,
        "sha512" => &SHA512,
        _ => return None,
    };
    Some(hex(algorithm, content) == encoded)
}

/// The SHA-256 of `content`, as a digest.
pub(crate) fn sha256(content: &[u8]) -> String {
    format!("sha256:{}", hex(&SHA256, content))
}

fn hex(algorithm: &'static Algorithm, content: &[u8]) -> String {
    HEXLOWER.encode(digest(algorithm, content).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digests of nothing, from FIPS 180-4.
    #[test]
    fn each_algorithm_is_compared_with_its_own() {
        let sha256_of_nothing = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let sha512_of_nothing = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
                                 47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
        assert_eq!(sha256(b""), sha256_of_nothing);
        for known in [sha256_of_nothing, sha512_of_nothing] {
            assert_eq!(is_of(known, b""), Some(true));
            assert_eq!(is_of(known, b"x"), Some(false));
        }
        assert_eq!(is_of("blake3:00", b""), None);
        assert_eq!(is_of("sha256", b""), None);
    }
}
