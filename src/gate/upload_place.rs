//! Uploads that the registry continues at a place of its own, reached through the usual path of an
//! upload. The rules thus judge each request for it like one for any other upload.

use http::{HeaderValue, StatusCode, Uri};

use super::context::RequestContext;
use super::refusal::Refusal;
use crate::registry::target::Operation;
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
    let place = context.state.upload_places.open(repository, id).map_err(|_forged| Refusal::NoUpload)?;
    let Some(place) = place else { return Ok(None) };
    let place = upload_place::with_digest(&place, query).ok_or(Refusal::Path)?;
    Uri::try_from(place).map(Some).map_err(|_| Refusal::NoUpload)
}

/// The `Location` of an answer to a request for the path and query `asked` that concerns an upload.
/// `given` is the registry's, `usual` what is made of it for any request. If the upload continues
/// at a place of the registry that the rules do not know, the client gets a path that they know.
pub(super) fn carry(
    context: &RequestContext<'_>,
    status: StatusCode,
    asked: &Uri,
    given: &HeaderValue,
    usual: Option<HeaderValue>,
) -> Option<HeaderValue> {
    let (Some(repository), true) = (context.target.repository, continues(context.target.operation, status))
    else {
        return usual;
    };
    let host =
        format!("{}://{}", if context.client.https { "https" } else { "http" }, context.authority.as_str());
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
        Place::Elsewhere => {
            let id = context.state.upload_places.seal(repository, &place);
            format!("/v2/{repository}/blobs/uploads/{id}")
        }
        Place::Usual => place,
        Place::Other => return usual,
    };
    HeaderValue::try_from(format!("{host}{path}")).ok()
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
