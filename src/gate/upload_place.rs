//! Uploads that the registry continues at a place of its own, reached through the usual path of an
//! upload. The rules thus judge each request for it like one for any other upload.

use http::{HeaderValue, StatusCode, Uri};

use super::context::RequestContext;
use super::refusal::Refusal;
use crate::registry::target::{self, Operation};
use crate::registry::upload_place::{self, Place};

/// The place at the registry that the upload in the request continues at; `None` if it is the usual
/// path. `query` is that of the request.
///
/// # Errors
/// The place was not given by the registry for this repository.
pub(super) fn open(context: &RequestContext<'_>, query: Option<&str>) -> Result<Option<Uri>, Refusal> {
    let target = context.target;
    let (true, Some(repository), Some(id)) =
        (target.operation.is_upload(), target.repository, target.reference)
    else {
        return Ok(None);
    };
    let owner = context.route.owner();
    let place = context.state.upload_places.open(owner.as_deref(), repository, id);
    let place = place.map_err(|_forged| Refusal::NoUpload)?;
    let Some(place) = place else { return Ok(None) };
    let place = upload_place::with_digest(&place, query).ok_or(Refusal::Path)?;
    Uri::try_from(place).map(Some).map_err(|_| Refusal::NoUpload)
}

/// The `Location` of an answer to a request for the path and query `asked` that concerns an upload.
/// `given` is the registry's, `usual` what is made of it for any request. If the upload continues
/// at a place of the registry that the rules do not know, the client gets a path that they know.
/// Repositories have the registry's names in all of these.
pub(super) fn carry(
    context: &RequestContext<'_>,
    status: StatusCode,
    asked: &Uri,
    given: &HeaderValue,
    usual: Option<HeaderValue>,
) -> Option<HeaderValue> {
    let (Some(repository), true) = (context.inner_repository(), continues(context.target.operation, status))
    else {
        return usual;
    };
    let host = context.origin();
    let asked = asked.path_and_query().map_or("/", |asked| asked.as_str());
    // Resolved once more, for the dots in the path of a whole URL.
    let place = str::from_utf8(usual.as_ref().unwrap_or(given).as_bytes()).ok().and_then(|reference| {
        let own = reference.strip_prefix(&host).filter(|path| path.starts_with(['/', '?', '#']));
        upload_place::resolve(asked, own.unwrap_or(reference))
    });
    let Some(place) = place else { return usual };
    // Registries read both alike, and clients do not send everything that a registry writes.
    let place = upload_place::escaped(&place);
    let path = match upload_place::classify(&place, repository) {
        Place::Usual if !names_inside(context, &place) => place,
        Place::Usual | Place::Elsewhere => {
            let (owner, outer) = (context.route.owner(), context.target.repository.unwrap_or_default());
            let id = context.state.upload_places.seal(owner.as_deref(), outer, &place);
            format!("/v2/{repository}/blobs/uploads/{id}")
        }
        Place::Other => return usual,
    };
    HeaderValue::try_from(format!("{host}{path}")).ok()
}

/// Whether the query of `place` shows the client a name that only the registry uses.
fn names_inside(context: &RequestContext<'_>, place: &str) -> bool {
    let renaming = &context.route.renaming;
    let query =
        place.split_once('?').map(|(_, query)| target::decode(query)).filter(|_| renaming.is_needed());
    let names = context.inner_repository().unwrap_or_default();
    query.is_some_and(|query| renaming.text(&query, &[names]).is_some())
}

/// Whether the `Location` of an answer says where an upload continues. Where the answer is that the
/// upload is complete, it says where its blob is.
fn continues(operation: Operation, status: StatusCode) -> bool {
    let is_complete = status == StatusCode::CREATED
        && matches!(operation, Operation::UploadStart | Operation::UploadFinish);
    let is_redirect = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    status.is_success() && !is_complete
        || status == StatusCode::RANGE_NOT_SATISFIABLE
        || is_redirect && operation != Operation::UploadStart
}
