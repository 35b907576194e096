//! The closed sets of label values.

/// The values of a label.
pub(crate) trait Label: Copy {
    /// The values as they are exposed, by [`Label::index`].
    const NAMES: &'static [&'static str];

    fn index(self) -> usize;
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($variant,)+
        }

        impl $name {
            pub(crate) const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];

            pub(crate) fn as_str(self) -> &'static str {
                Self::NAMES[self.index()]
            }
        }

        impl Label for $name {
            const NAMES: &'static [&'static str] = &[$($text),+];

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

label! {
    /// Why a request was refused.
    Refused {
        Credentials = "credentials",
        Rule = "rule",
        Throttle = "throttle",
        Busy = "busy",
        ReadOnly = "read_only",
        Immutable = "immutable",
        Limit = "limit",
        Malformed = "malformed",
        Agent = "agent",
        Certificate = "certificate",
    }
}

label! {
    /// The end that cut a transfer short.
    Side {
        Client = "client",
        Upstream = "upstream",
    }
}

label! {
    /// The direction in which a layer moves.
    Direction {
        Push = "push",
        Pull = "pull",
    }
}

label! {
    /// What a request does to a repository.
    Action {
        Pull = "pull",
        Push = "push",
        Delete = "delete",
    }
}

label! {
    /// How a caller proves who they are.
    Login {
        Password = "password",
        Ldap = "ldap",
        Http = "http",
        IdToken = "id_token",
        Certificate = "certificate",
        Token = "token",
        Refresh = "refresh",
    }
}

impl Login {
    /// What the caller has sent.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Password | Self::Ldap | Self::Http => "password",
            _ => self.as_str(),
        }
    }

    /// Who has judged it.
    pub(crate) fn source(self) -> &'static str {
        match self {
            Self::Password => "htpasswd",
            Self::Ldap => "ldap",
            Self::Http => "http",
            Self::IdToken => "issuer",
            Self::Certificate => "certificate",
            Self::Token | Self::Refresh => "token",
        }
    }
}

label! {
    /// The outcome of a login.
    LoginResult {
        Ok = "ok",
        Wrong = "wrong",
        Throttled = "throttled",
        Busy = "busy",
        Unavailable = "unavailable",
    }
}

label! {
    /// What a token was given for.
    Grant {
        Password = "password",
        IdToken = "id_token",
        Refresh = "refresh",
        Certificate = "certificate",
        Anonymous = "anonymous",
    }
}

label! {
    /// What a reload was made for.
    ReloadCause {
        Signal = "signal",
        File = "file",
        Certificate = "certificate",
        Retry = "retry",
        Handover = "handover",
    }
}

label! {
    /// What replicas ask the engine for.
    Asked {
        Secrets = "secrets",
        TagLocks = "tag_locks",
        Throttle = "throttle",
        Revocations = "revocations",
        Acme = "acme",
    }
}

label! {
    /// Why a TLS handshake failed.
    HandshakeFault {
        Timeout = "timeout",
        Protocol = "protocol",
        Certificate = "certificate",
        Closed = "closed",
        ProxyHeader = "proxy_header",
    }
}

label! {
    /// The TLS version of a session, and whether the handshake was shortened by a ticket.
    TlsSession {
        Tls12Full = "1.2",
        Tls12Resumed = "1.2",
        Tls13Full = "1.3",
        Tls13Resumed = "1.3",
    }
}

impl TlsSession {
    pub(crate) fn is_resumed(self) -> bool {
        matches!(self, Self::Tls12Resumed | Self::Tls13Resumed)
    }
}

/// The statuses that tidegate or a registry sends. Others count for their class.
pub(super) const CODES: usize = 31;

/// The values of the label `code`, by [`code::index`].
pub(crate) mod code {
    use super::CODES;

    const KNOWN: [u16; 26] = [
        200, 201, 202, 204, 206, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 413, 416, 429,
        431, 499, 500, 502, 503, 504,
    ];

    pub(crate) const NAMES: [&str; CODES] = [
        "200", "201", "202", "204", "206", "301", "302", "304", "307", "308", "400", "401", "403", "404",
        "405", "408", "409", "413", "416", "429", "431", "499", "500", "502", "503", "504", "1xx", "2xx",
        "3xx", "4xx", "5xx",
    ];

    /// The position of `status` or of its class. A status below 200 or above 599 is not sent.
    pub(crate) fn index(status: u16) -> usize {
        KNOWN.binary_search(&status).unwrap_or_else(|_| {
            let class = (status / 100).clamp(1, 5);
            KNOWN.len() + usize::from(class) - 1
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn every_status_has_a_value() {
            for (status, name) in [
                (200, "200"),
                (203, "2xx"),
                (418, "4xx"),
                (504, "504"),
                (599, "5xx"),
                (101, "1xx"),
                (999, "5xx"),
            ] {
                assert_eq!(NAMES[index(status)], name);
            }
            for (known, name) in KNOWN.iter().zip(NAMES) {
                assert_eq!(known.to_string(), name);
            }
        }
    }
}
