//! The grammar of repository names, tags, digests and upload ids.
//!
//! OCI distribution specification 1.1, "Pulling manifests", and OCI image specification, "Digests".
//! Every request is checked here, so these scan bytes; the tests compare them with the regular
//! expressions.

/// Longest repository name that distribution stores.
const MAX_REPOSITORY: usize = 255;
/// Longest tag.
const MAX_TAG: usize = 128;

/// Whether `name` is a repository: components `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` joined by `/`, at
/// most 255 characters.
pub(crate) fn is_repository(name: &str) -> bool {
    name.len() <= MAX_REPOSITORY && name.as_bytes().split(|&byte| byte == b'/').all(is_component)
}

/// Whether `tag` is `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub(crate) fn is_tag(tag: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    match tag.as_bytes() {
        [first, rest @ ..] if rest.len() < MAX_TAG => {
            word(first) && rest.iter().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
        }
        _ => false,
    }
}

/// Whether `tag` is one in which clients of a registry without a referrers API keep what refers to
/// a manifest. It is `sha256-` or `sha512-` and 64 hexadecimal digits of the manifest's digest, as
/// in the OCI distribution specification 1.1, "Referrers Tag Schema". Longer digests are cut short.
/// cosign adds a suffix such as `.sig`.
pub(crate) fn is_referrers_tag(tag: &str) -> bool {
    let encoded = tag.strip_prefix("sha256-").or_else(|| tag.strip_prefix("sha512-"));
    let Some((digits, suffix)) = encoded.and_then(|encoded| encoded.split_at_checked(64)) else {
        return false;
    };
    let suffix_fits = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    digits.bytes().all(|byte| is_lower_hex(&byte))
        && (suffix.is_empty() || suffix.strip_prefix('.').is_some_and(suffix_fits))
}

/// Whether `digest` is `algorithm:encoded`: the algorithm is `[a-z0-9]+([+._-][a-z0-9]+)*`, the
/// encoded part `[a-zA-Z0-9=_-]+`, and exactly 64 or 128 lower-case hexadecimal digits for `sha256`
/// and `sha512`.
pub(crate) fn is_digest(digest: &str) -> bool {
    let Some((algorithm, encoded)) = digest.split_once(':') else { return false };
    let encoded = encoded.as_bytes();
    match algorithm {
        "sha256" => encoded.len() == 64 && are_lower_hex(encoded),
        "sha512" => encoded.len() == 128 && are_lower_hex(encoded),
        _ => {
            let separator = |byte: &u8| matches!(byte, b'+' | b'.' | b'_' | b'-');
            algorithm.as_bytes().split(separator).all(|part| !part.is_empty() && part.iter().all(is_lower))
                && !encoded.is_empty()
                && encoded
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b'_' | b'-'))
        }
    }
}

/// A loop without an early end takes many bytes at once.
fn are_lower_hex(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |are, byte| are & is_lower_hex(byte))
}

/// Whether `id` is valid as the id of an upload: unreserved characters of RFC 3986 and `=`, as in
/// distribution's own route, but not a dot segment.
pub(crate) fn is_upload(id: &str) -> bool {
    !matches!(id, "" | "." | "..")
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'='))
}

fn is_component(component: &[u8]) -> bool {
    let mut rest = component;
    loop {
        let word = rest.iter().take_while(|byte| is_lower(byte)).count();
        if word == 0 {
            return false;
        }
        rest = match &rest[word..] {
            [] => return true,
            [b'_', b'_', after @ ..] | [b'.' | b'_', after @ ..] => after,
            [b'-', after @ ..] => {
                let dashes = after.iter().take_while(|&&byte| byte == b'-').count();
                &after[dashes..]
            }
            _ => return false,
        };
    }
}

fn is_lower(byte: &u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_lower_hex(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    static REPOSITORY: LazyLock<Regex> = LazyLock::new(|| {
        let component = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*";
        Regex::new(&format!(r"\A{component}(?:/{component})*\z")).unwrap()
    });
    static TAG: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\A[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\z").unwrap());
    static DIGEST: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\A[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+\z").unwrap());

    #[test]
    fn tags_that_stand_in_for_a_referrers_api() {
        let digits = "0123456789abcdef".repeat(4);
        for tag in ["", ".sig", ".att", ".sbom"] {
            assert!(is_referrers_tag(&format!("sha256-{digits}{tag}")), "{tag}");
            assert!(is_referrers_tag(&format!("sha512-{digits}{tag}")), "{tag}");
        }
        for tag in [
            "sha256".to_owned(),
            format!("sha256-{}", &digits[1..]),
            format!("sha256-{digits}0"),
            format!("sha256-{digits}."),
            format!("sha256-{digits}.a.b"),
            format!("sha256-{digits}-sig"),
            format!("sha256-{}", digits.to_uppercase()),
            format!("sha256_{digits}"),
            format!("sha384-{digits}"),
            format!("v-sha256-{digits}"),
            digits.clone(),
        ] {
            assert!(!is_referrers_tag(&tag), "{tag}");
        }
    }

    #[test]
    fn repositories() {
        for name in ["a", "library/ubuntu", "a.b_c__d---e/0", "manifests", "blobs/uploads", "v2"] {
            assert!(is_repository(name), "{name}");
        }
        for name in [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a._b", "-a", "a-", ".", "..", "a/../b",
            "_catalog", "ä", "a%2fb", "a b", "a\0", "a\n", "a:b",
        ] {
            assert!(!is_repository(name), "{name}");
        }
    }

    #[test]
    fn repository_of_255_characters_is_the_longest() {
        assert!(is_repository(&"a".repeat(255)));
        assert!(!is_repository(&"a".repeat(256)));
        assert!(is_repository(&format!("a{}", "/a".repeat(127))));
        assert!(!is_repository(&format!("a{}", "/a".repeat(128))));
    }

    #[test]
    fn tags() {
        for tag in ["latest", "_", "1.0-rc.1", "V2", &"a".repeat(128)] {
            assert!(is_tag(tag), "{tag}");
        }
        for tag in ["", ".", "..", "-a", "a/b", "a:b", "a+b", "ä", "a\n", &"a".repeat(129)] {
            assert!(!is_tag(tag), "{tag}");
        }
    }

    #[test]
    fn digests() {
        let sha256 = format!("sha256:{}", "0123456789abcdef".repeat(4));
        let sha512 = format!("sha512:{}", "0123456789abcdef".repeat(8));
        for digest in [sha256.as_str(), &sha512, "md5:00", "tarsum.v1+sha256:00", "multihash+base58:QmRZ_=-"]
        {
            assert!(is_digest(digest), "{digest}");
        }
        for digest in [
            "",
            ":",
            "sha256",
            "sha256:",
            "sha256:00",
            &sha256.to_uppercase(),
            &sha256.replace('f', "F"),
            &sha256.replace('f', "g"),
            &format!("{sha256}0"),
            "sha512:00",
            "md5:",
            ":00",
            "+md5:00",
            "a++b:00",
            "md5:0:0",
            "md5:0/0",
            "md5:%30",
            "MD5:00",
        ] {
            assert!(!is_digest(digest), "{digest}");
        }
    }

    #[test]
    fn uploads() {
        for id in ["6b3c5d1e-0000-4000-8000-000000000000", "a.b_c~d-e=", "...", "uploads"] {
            assert!(is_upload(id), "{id}");
        }
        for id in ["", ".", "..", "a/b", "a%2e", "a b", "ä", "a;b"] {
            assert!(!is_upload(id), "{id}");
        }
    }

    proptest! {
        #[test]
        fn repository_as_the_expression(name in r"[a-cA0._/-]{0,12}") {
            prop_assert_eq!(is_repository(&name), REPOSITORY.is_match(&name));
        }

        #[test]
        fn tag_as_the_expression(tag in r"[aA0._:/-]{0,6}|[aA0._-]{120,135}") {
            prop_assert_eq!(is_tag(&tag), TAG.is_match(&tag));
        }

        #[test]
        fn digest_as_the_expression(digest in r"[aA0+._:=/-]{0,10}|[ab0]{1,3}[+._-][ab]{0,2}:[aA0=_-]{0,4}") {
            prop_assert_eq!(is_digest(&digest), DIGEST.is_match(&digest));
        }

        #[test]
        fn any_text_as_the_expressions(text in any::<String>()) {
            prop_assert_eq!(is_repository(&text), REPOSITORY.is_match(&text) && text.len() <= 255);
            prop_assert_eq!(is_tag(&text), TAG.is_match(&text));
            prop_assert_eq!(is_digest(&text), DIGEST.is_match(&text));
            is_upload(&text);
        }
    }
}
