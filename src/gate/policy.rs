//! Operations switched off for everyone, regardless of rights: `policy.read_only` and
//! `policy.catalog`.

use super::refusal::Refusal;
use crate::config::{Catalog, Policy};
use crate::registry::target::Operation;

/// Refuses what is switched off. Uploads that have begun may finish: their blobs change nothing
/// until a manifest names them.
pub(super) fn check(policy: &Policy, operation: Operation) -> Result<(), Refusal> {
    use Operation as O;
    let read_only = |methods| Refusal::NotOffered {
        message: "this registry is read-only at the moment: nothing can be pushed, mounted or deleted",
        methods,
    };
    match operation {
        O::UploadStart if policy.read_only => Err(read_only("")),
        O::ManifestPut | O::ManifestDelete | O::BlobDelete if policy.read_only => Err(read_only("GET, HEAD")),
        O::Catalog if policy.catalog == Catalog::Off => {
            Err(Refusal::NotOffered { message: "this registry does not list its repositories", methods: "" })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_only_registry_is_read_and_lets_uploads_finish() {
        use Operation as O;
        let policy = Policy { read_only: true, ..Policy::default() };
        for operation in [O::UploadStart, O::ManifestPut, O::ManifestDelete, O::BlobDelete] {
            assert!(check(&policy, operation).is_err(), "{operation:?}");
            assert!(check(&Policy::default(), operation).is_ok(), "{operation:?}");
        }
        for operation in [
            O::Ping,
            O::Catalog,
            O::ManifestGet,
            O::BlobGet,
            O::Tags,
            O::Referrers,
            O::UploadChunk,
            O::UploadFinish,
            O::UploadState,
            O::UploadCancel,
        ] {
            assert!(check(&policy, operation).is_ok(), "{operation:?}");
        }
    }
}
