//! Questions that tidegate asks the registry itself, on behalf of the client whose request depends
//! on them.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;

use super::authorization::Purpose;
use super::context::RequestContext;
use super::refusal::Refusal;
use super::reply::{API_VERSION, API_VERSION_VALUE, put_right};
use crate::access::Permit;
use crate::body::ClientBody;
use crate::header::hop;
use crate::upstream::{Answer, AnswerError};

/// Largest answer: room for the names of a hundred thousand repositories, from a registry that
/// sends them all at once.
pub(super) const MOST_BYTES: usize = 8 << 20;
/// Lets the registry's operator tell these requests from those of clients.
const OURSELVES: HeaderValue = HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION")));

/// Questions about one request.
pub(super) struct Inquiry<'a> {
    context: &'a RequestContext<'a>,
    permit: &'a Permit,
    /// The client's `Authorization`, for a registry that wants to see it.
    credentials: Option<HeaderValue>,
}

/// How the registry answered a question. The head is ready to be returned to the client.
pub(super) enum RegistryAnswer {
    /// With 200.
    Ok(Response<Bytes>),
    /// With an error, which is one of the client's request too.
    Refused(Response<Bytes>),
}

impl<'a> Inquiry<'a> {
    /// `headers` are those of the client's request.
    pub(super) fn new(context: &'a RequestContext<'a>, permit: &'a Permit, headers: &HeaderMap) -> Self {
        Self { context, permit, credentials: headers.get(AUTHORIZATION).cloned() }
    }

    /// Sends a request without a body for the path and query `target`, and reads the whole answer.
    ///
    /// # Errors
    /// There is no answer, or one that is neither 200 nor an error: a redirect or a part of a list
    /// must not be taken for what was asked for.
    pub(super) async fn ask(
        &self,
        method: Method,
        target: &str,
        accept: HeaderValue,
    ) -> Result<RegistryAnswer, Refusal> {
        let answer = self.send(method, target, accept).await?;
        let status = answer.status();
        if status == StatusCode::OK {
            Ok(RegistryAnswer::Ok(answer))
        } else if status.is_client_error() || status.is_server_error() {
            Ok(RegistryAnswer::Refused(answer))
        } else {
            Err(Refusal::BadGateway(format!("it answered {status} to a question about the request")))
        }
    }

    async fn send(
        &self,
        method: Method,
        target: &str,
        accept: HeaderValue,
    ) -> Result<Response<Bytes>, Refusal> {
        let RequestContext { gate, route, flow, .. } = self.context;
        let inner = route.renaming.inner_path(target);
        let target = inner.as_deref().unwrap_or(target);
        let mut request = Request::new(ClientBody::empty((*flow).clone()));
        *request.method_mut() = method;
        *request.uri_mut() =
            Uri::try_from(target).map_err(|error| Refusal::BadGateway(format!("{target}: {error}")))?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, accept);
        headers.insert(USER_AGENT, OURSELVES);
        if let Some(credentials) = &self.credentials {
            headers.insert(AUTHORIZATION, credentials.clone());
        }
        self.context.set_client_fields(headers, self.permit, Purpose::Question)?;

        let answer =
            gate.upstream.send(self.permit, self.context.destination, Box::new(request), flow).await?;
        let (mut head, body) = answer.into_parts();
        let body = read(body, target, MOST_BYTES).await?;
        hop::strip(&mut head.headers);
        head.headers.remove(CONTENT_LENGTH);
        head.headers.insert(API_VERSION, API_VERSION_VALUE);
        put_right(&mut head.headers, &self.context.rewriter(), target.split('?').next().unwrap_or(target));
        self.context.rename_head(&mut head.headers, target);
        let body = self.context.renamed_error(&head, body);
        Ok(Response::from_parts(head, body))
    }
}

/// Reads an answer and copies it. As long as its own bytes are kept, they count among those that
/// wait for the client, and with too many of those the answer would never end.
pub(super) async fn read(mut answer: Answer, target: &str, most: usize) -> Result<Bytes, Refusal> {
    let mut bytes = Vec::new();
    while let Some(frame) = answer.frame().await {
        let frame = frame.map_err(|error| match error {
            AnswerError::Silent => Refusal::GatewayTimeout,
            _ => Refusal::BadGateway(format!("{target}: {error}")),
        })?;
        let data = frame.into_data().unwrap_or_default();
        if bytes.len() + data.len() > most {
            let most = most >> 10;
            return Err(Refusal::BadGateway(format!("{target}: the answer is longer than {most} KiB")));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}
