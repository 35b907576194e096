//! The reasons to reject a client's certificate.

use webpki::Error;

/// Why a certificate is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateRejection {
    /// The certificate or an intermediate one has expired.
    Expired,
    /// The certificate or an intermediate one is not valid yet.
    NotYetValid,
    /// No path leads from the certificate to one of the CAs.
    Stranger,
    /// The CA of the certificate is not valid now.
    IssuerExpired,
    /// A CRL lists the certificate.
    Revoked,
    /// Whether a CRL lists it is not known, because the CRLs cannot be read now.
    Unread,
    /// All CRLs of the certificate's CA have expired.
    OutOfDate,
    /// The certificate's extendedKeyUsage lacks clientAuth.
    Purpose,
    /// The certificate has X.509 version 1.
    Version,
    /// The certificate cannot be parsed, or has an unknown critical part.
    Unusable,
    /// The client sent too many certificates, or too many bytes of them.
    Chain,
    /// The field that `tls.client.user_from` selects names no user.
    Nameless,
    /// The name cannot be a user's: there are several, or it is too long or holds a colon or
    /// invisible characters.
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
            Self::Unread => "whether the client certificate is revoked is not known",
            Self::OutOfDate => "the CRL of the client certificate's CA has expired",
            Self::Purpose => "the client certificate is not for client authentication (extendedKeyUsage)",
            Self::Version => "the client certificate is of X.509 version 1; issue it with extensions",
            Self::Unusable => "the client certificate cannot be used",
            Self::Chain => "the client sent more than 8 certificates or 16 KiB of them",
            Self::Nameless => "the client certificate names no user where tls.client.user_from looks",
            Self::Name => "the name in the client certificate is not a valid user name",
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
