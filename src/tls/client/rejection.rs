//! The reasons to reject a client's certificate.

use webpki::Error;

/// Why a certificate is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateRejection {
    /// It or an intermediate certificate has expired.
    Expired,
    /// It or an intermediate certificate is not valid yet.
    NotYetValid,
    /// No path leads from it to one of the CAs.
    Stranger,
    /// The CA it leads to is not valid at this time.
    IssuerExpired,
    /// It is in a CRL.
    Revoked,
    /// All CRLs of its CA have expired.
    OutOfDate,
    /// Its extendedKeyUsage lacks clientAuth.
    Purpose,
    /// It has X.509 version 1.
    Version,
    /// It cannot be read, or holds something unknown.
    Unusable,
    /// Too many certificates came with it, or too many paths lead through them.
    Chain,
    /// It names nobody where `tls.client.user_from` looks.
    Nameless,
    /// Its name cannot be a user's: there are several, it holds a colon or what cannot be seen, or is too long.
    Name,
}

impl CertificateRejection {
    /// A sentence for the log.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Expired => "the client certificate has expired",
            Self::NotYetValid => "the client certificate is not valid yet",
            Self::Stranger => "the client certificate was not issued by a CA of tls.client.ca",
            Self::IssuerExpired => "the CA of the client certificate is not valid now",
            Self::Revoked => "the client certificate is revoked",
            Self::OutOfDate => "the CRL of its CA has expired",
            Self::Purpose => "the certificate is not for client authentication (extendedKeyUsage)",
            Self::Version => "the client certificate is of X.509 version 1; issue it with extensions",
            Self::Unusable => "the client certificate cannot be used",
            Self::Chain => "too many certificates came with that of the client",
            Self::Nameless => "the client certificate names no user where tls.client.user_from looks",
            Self::Name => "the name in the client certificate cannot be that of a user",
        }
    }
}

impl From<Error> for CertificateRejection {
    fn from(error: Error) -> Self {
        match error {
            Error::CertExpired { .. } => Self::Expired,
            Error::CertNotValidYet { .. } => Self::NotYetValid,
            Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => Self::Stranger,
            Error::RequiredEkuNotFoundContext(_) => Self::Purpose,
            Error::UnsupportedCertVersion => Self::Version,
            Error::MaximumPathBuildCallsExceeded
            | Error::MaximumPathDepthExceeded
            | Error::MaximumSignatureChecksExceeded => Self::Chain,
            error => {
                tracing::debug!(%error, "a client certificate cannot be used");
                Self::Unusable
            }
        }
    }
}
