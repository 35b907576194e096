//! What tidegate asks the registry itself, in the name of the one whose request it decides on or answers.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Limited};

use super::RequestContext;
use super::authorization::Purpose;
use super::forward;
use super::reject::Refusal;
use super::reply::{API_VERSION, API_VERSION_VALUE};
use super::request_log::RequestLog;
use crate::access::Permit;
use crate::body::ClientBody;
use crate::header::hop;
use crate::upstream::AnswerError;

/// Largest answer: room for the names of a hundred thousand repositories, from a registry that gives them all at once.
const MOST_BYTES: usize = 8 << 20;
/// So that the registry's operator can tell these requests from those of clients.
const OURSELVES: HeaderValue = HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION")));

/// Questions about one request.
pub(super) struct Inquiry<'a> {
    context: &'a RequestContext<'a>,
    permit: &'a Permit,
    /// What the client proved itself with, for a registry that wants to see it.
    credentials: Option<&'a HeaderValue>,
}

impl<'a> Inquiry<'a> {
    /// `headers` are those of the client's request.
    pub(super) fn new(
        context: &'a RequestContext<'a>,
        permit: &'a Permit,
        headers: &'a HeaderMap,
        log: &mut RequestLog,
    ) -> Self {
        log.upstream(&context.state.destination.server);
        Self { context, permit, credentials: headers.get(AUTHORIZATION) }
    }

    /// Sends one request without a body, for the path and query `target`, and gives the whole answer. Its head is one that
    /// can be handed on.
    pub(super) async fn ask(
        &self,
        method: Method,
        target: &str,
        accept: HeaderValue,
    ) -> Result<Response<Bytes>, Refusal> {
        let RequestContext { gate, state, flow, .. } = self.context;
        let mut request = Request::new(ClientBody::empty((*flow).clone()));
        *request.method_mut() = method;
        *request.uri_mut() =
            Uri::try_from(target).map_err(|error| Refusal::BadGateway(format!("{target}: {error}")))?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, accept);
        headers.insert(USER_AGENT, OURSELVES);
        if let Some(credentials) = self.credentials {
            headers.insert(AUTHORIZATION, credentials.clone());
        }
        forward::introduce(headers, self.context, self.permit, Purpose::Question)?;

        let answer = gate.upstream.send(self.permit, &state.destination, request, flow).await?;
        let (mut head, body) = answer.into_parts();
        let body = Limited::new(body, MOST_BYTES).collect().await.map_err(|error| {
            match error.downcast_ref::<AnswerError>() {
                Some(AnswerError::Silent) => Refusal::GatewayTimeout,
                _ => Refusal::BadGateway(format!("{target}: {error}")),
            }
        })?;
        hop::strip(&mut head.headers);
        head.headers.remove(CONTENT_LENGTH);
        head.headers.insert(API_VERSION, API_VERSION_VALUE);
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

/// What becomes of a request when the registry does not answer what has to be known. An error of the registry is one of the
/// request too; a redirection, or half a list, must not be taken for its answer.
pub(super) fn refused(answer: Response<Bytes>) -> Refusal {
    let status = answer.status();
    match status.is_client_error() || status.is_server_error() {
        true => Refusal::Registry(Box::new(answer)),
        false => Refusal::BadGateway(format!("it answered {status} to a question about the request")),
    }
}
