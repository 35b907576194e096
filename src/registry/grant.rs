//! Requests to the token endpoint: distribution's "Token Authentication Specification" and "Oauth2
//! Token Authentication".

use std::cmp::Reverse;
use std::collections::HashMap;

use form_urlencoded::parse;

use super::scope::{Resource, Scope};
use crate::header::credentials::Basic;
use crate::secret::Secret;

/// The token endpoint. Distribution's `autoredirect` sends clients here too.
pub(crate) const PATH: &str = "/auth/token";
/// The methods of the token endpoint, as in `Allow`.
pub(crate) const METHODS: &str = "GET, POST";

/// A request for a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TokenRequest {
    /// What proves the identity of the client.
    pub proof: Proof,
    /// The registry that the token is for, if the request names one.
    pub service: Option<String>,
    /// The requested scopes.
    pub asked: AskedScopes,
    /// Whether an identity token is requested too.
    pub offline: bool,
}

/// Requested scopes, without unknown ones, each repository once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AskedScopes {
    /// In the order in which they were first requested.
    pub scopes: Vec<Scope>,
    /// Their indexes, the one that was requested last first.
    pub newest: Vec<usize>,
}

/// What proves the identity of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The `Authorization` field of the request, if there is one.
    Header,
    /// `grant_type=password`
    Password(Basic),
    /// `grant_type=refresh_token`
    Identity(Secret),
}

/// Why a request cannot be answered, for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadTokenRequest(pub &'static str);

/// Reads the query of a GET.
pub(crate) fn query(query: &str) -> Result<TokenRequest, BadTokenRequest> {
    let fields = Fields::read(query.as_bytes())?;
    Ok(TokenRequest {
        proof: Proof::Header,
        offline: fields.one("offline_token")?.is_some_and(|value| value == "true"),
        service: fields.service()?,
        asked: fields.scopes(),
    })
}

/// Reads the form of a POST.
pub(crate) fn form(form: &[u8]) -> Result<TokenRequest, BadTokenRequest> {
    let fields = Fields::read(form)?;
    let proof = match fields.one("grant_type")? {
        Some("password") => {
            let user = fields.needed("username", "grant_type=password needs a username")?;
            let password = fields.secret("password", "grant_type=password needs a password")?;
            let basic = Basic::new(user.into(), password);
            Proof::Password(
                basic.ok_or(BadTokenRequest(
                    "username or password is too long, or holds a control character",
                ))?,
            )
        }
        Some("refresh_token") => {
            Proof::Identity(fields.secret("refresh_token", "grant_type=refresh_token needs a refresh_token")?)
        }
        Some(_) => return Err(BadTokenRequest("grant_type must be password or refresh_token")),
        None => {
            return Err(BadTokenRequest("the form has no grant_type; it must be password or refresh_token"));
        }
    };
    Ok(TokenRequest {
        proof,
        offline: fields.one("access_type")?.is_some_and(|value| value == "offline"),
        service: fields.service()?,
        asked: fields.scopes(),
    })
}

/// Names and values in their order.
struct Fields(Vec<(String, String)>);

impl Fields {
    /// The library replaces bytes that are not UTF-8, so a password with such bytes would be lost.
    fn read(text: &[u8]) -> Result<Fields, BadTokenRequest> {
        let fields: Vec<(String, String)> = parse(text).into_owned().collect();
        if fields.iter().any(|(name, value)| name.contains('\u{fffd}') || value.contains('\u{fffd}')) {
            return Err(BadTokenRequest("a field is not UTF-8"));
        }
        Ok(Fields(fields))
    }

    fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The value of a field that may occur once.
    fn one(&self, name: &'static str) -> Result<Option<&str>, BadTokenRequest> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(BadTokenRequest("a field occurs twice that may occur once")),
        }
    }

    fn needed(&self, name: &'static str, otherwise: &'static str) -> Result<&str, BadTokenRequest> {
        self.one(name)?.ok_or(BadTokenRequest(otherwise))
    }

    fn secret(&self, name: &'static str, otherwise: &'static str) -> Result<Secret, BadTokenRequest> {
        self.needed(name, otherwise).map(|value| Secret::new(value.as_bytes()))
    }

    fn service(&self) -> Result<Option<String>, BadTokenRequest> {
        Ok(self.one("service")?.filter(|service| !service.is_empty()).map(str::to_owned))
    }

    /// Clients repeat the field, or separate scopes by spaces.
    fn scopes(&self) -> AskedScopes {
        let mut known: HashMap<Resource, usize> = HashMap::new();
        let mut scopes: Vec<(Scope, usize)> = Vec::new();
        let texts = self.all("scope").flat_map(str::split_ascii_whitespace);
        for (asked, scope) in texts.filter_map(Scope::parse).enumerate() {
            match known.get(&scope.resource).and_then(|index| scopes.get_mut(*index)) {
                Some((known, last)) => (known.rights, *last) = (known.rights | scope.rights, asked),
                None => {
                    known.insert(scope.resource.clone(), scopes.len());
                    scopes.push((scope, asked));
                }
            }
        }
        let (scopes, last_asked): (Vec<_>, Vec<_>) = scopes.into_iter().unzip();
        let mut newest: Vec<usize> = (0..scopes.len()).collect();
        newest.sort_unstable_by_key(|index| Reverse(last_asked.get(*index)));
        AskedScopes { scopes, newest }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::registry::rights::Rights;

    fn repository(name: &str, rights: Rights) -> Scope {
        Scope::repository(name, rights)
    }

    #[test]
    fn what_docker_asks() {
        let asked = query(
            "account=alice&client_id=docker&offline_token=true&scope=repository%3Ateam%2Fapp%3Apush%2Cpull&service=reg",
        );
        let asked = asked.unwrap();
        assert_eq!(asked.service.as_deref(), Some("reg"));
        assert_eq!(asked.asked.scopes, [repository("team/app", Rights::PULL | Rights::PUSH)]);
        assert!(asked.offline && asked.proof == Proof::Header);
        let asked = query("").unwrap();
        assert!(!asked.offline && asked.asked.scopes.is_empty() && asked.service.is_none());
    }

    #[test]
    fn what_containerd_posts() {
        let asked = form(
            b"client_id=containerd-client&grant_type=password&password=a%2Bb+c%26&scope=repository%3Ax%3Apull&service=s&username=al%C3%AF",
        );
        let basic =
            Basic { user: "al\u{ef}".as_bytes().to_vec(), password: Secret::new(b"a+b c&".as_slice()) };
        assert_eq!(asked.unwrap().proof, Proof::Password(basic));
        let asked =
            form(b"grant_type=refresh_token&refresh_token=a.b.c&access_type=offline&service=").unwrap();
        assert_eq!(asked.proof, Proof::Identity(Secret::new(b"a.b.c".as_slice())));
        assert!(asked.offline && asked.service.is_none());
    }

    #[test]
    fn scopes_are_joined_and_what_is_unknown_is_left_out() {
        let asked = query(
            "scope=repository:a:pull%20registry:catalog:*&scope=repository(plugin):b:push&scope=&scope=x:y:z\
             &scope=repository:a:push,fly&scope=repository:h:5000/a:pull",
        );
        let expected = [
            repository("a", Rights::PULL | Rights::PUSH),
            Scope { resource: Resource::Catalog, rights: Rights::CATALOG },
            repository("b", Rights::PUSH),
        ];
        let asked = asked.unwrap().asked;
        assert_eq!((asked.scopes.as_slice(), asked.newest), (&expected[..], vec![0, 2, 1]));
    }

    #[test]
    fn what_cannot_be_understood() {
        for text in [
            "",
            "grant_type=",
            "grant_type=authorization_code",
            "grant_type=password",
            "grant_type=password&username=a",
            "grant_type=password&password=a",
            "grant_type=refresh_token",
            "grant_type=password&username=a&username=b&password=c",
            "grant_type=password&grant_type=password&username=a&password=c",
            "grant_type=password&username=a&password=%ff",
            "grant_type=password&username=a&password=%00",
            "grant_type=password&username=%00a&password=b",
            "grant_type=password&username=a&password=b&service=c&service=c",
            "{\"grant_type\":\"password\"}",
        ] {
            assert!(form(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_scope_may_be_repeated_any_number_of_times() {
        let many = vec!["repository:a:pull"; 1000].join("+");
        assert_eq!(query(&format!("scope={many}")).unwrap().asked.scopes, [repository("a", Rights::PULL)]);
        let many: Vec<_> = (0..1000).map(|number| format!("scope=repository:a{number}:pull")).collect();
        assert_eq!(query(&many.join("&")).unwrap().asked.scopes.len(), 1000);
    }

    proptest! {
        #[test]
        fn never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = form(&text);
        }

        #[test]
        fn any_password_comes_back(user in "\\PC{0,20}", password in "\\PC{0,20}") {
            prop_assume!(!user.contains('\u{fffd}') && !password.contains('\u{fffd}'));
            let text = form_urlencoded::Serializer::new(String::new())
                .append_pair("grant_type", "password")
                .append_pair("username", &user)
                .append_pair("password", &password)
                .finish();
            let basic = Basic { user: user.into(), password: Secret::new(password.into_bytes()) };
            prop_assert_eq!(form(text.as_bytes()).unwrap().proof, Proof::Password(basic));
        }
    }
}
