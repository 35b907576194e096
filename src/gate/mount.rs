//! A mount takes a blob from another repository:
//! `POST …/blobs/uploads/?mount=<digest>&from=<repository>`.

use std::borrow::Cow;

use super::context::RequestContext;
use super::refusal::Refusal;
use crate::access::Permit;
use crate::header::authority::Authority;
use crate::registry::name;
use crate::registry::rights::Rights;
use crate::registry::scope::Scope;
use crate::registry::target::Operation;
use crate::routes::Route;
use crate::state::State;

/// What becomes of the mount in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mount {
    /// The request asks for none.
    Absent,
    /// The registry is asked to take the blob from this repository, which the caller may pull.
    Kept(String),
    /// The mount was removed from the query.
    Dropped,
}

/// The repository from which `query` asks to mount a blob; `None` where a mount could not be kept,
/// whatever the caller's rights are.
pub(super) fn source(operation: Operation, query: Option<&str>) -> Option<String> {
    let query = query.filter(|_| operation == Operation::UploadStart)?;
    match allowed(query, |_| true) {
        Ok((Mount::Kept(source), _)) => Some(source),
        _ => None,
    }
}

/// Decides about the mount in `query`, and returns the query that goes to the registry. It differs
/// from the client's only where a mount was dropped: the registry then starts an upload, and the
/// client goes on with that.
///
/// # Errors
/// The caller may pull from the source, but the token does not say so.
pub(super) fn settle<'q>(
    context: &RequestContext<'_>,
    permit: &Permit,
    query: Option<&'q str>,
) -> Result<(Mount, Option<Cow<'q, str>>), Refusal> {
    let Some(query) = query.filter(|_| context.target.operation == Operation::UploadStart) else {
        return Ok((Mount::Absent, query.map(Cow::Borrowed)));
    };
    let may_pull = |repository: &str| {
        is_at_same_registry(context.state, context.authority, context.route, repository)
            && permit.extends(&context.state.rules, repository, Rights::PULL)
    };
    let (mount, query) = allowed(query, may_pull)?;
    if let Mount::Kept(source) = &mount {
        context.log.trail().mounted_from(source);
    }
    if mount == Mount::Dropped {
        // A client that learns which scope is missing gets a better token and mounts after all.
        if let Some(source) = &context.mount_source
            && permit.sees(&context.state.rules, source)
        {
            return Err(context.insufficient(Scope::repository(source, Rights::PULL), permit.identity()));
        }
        context.log.reason("the mount was left out, the client uploads instead");
    }
    let query = match &mount {
        Mount::Kept(source) => {
            let inner = context.route.renaming.inner(source).unwrap_or(source);
            from(query, inner)
        }
        Mount::Absent | Mount::Dropped => query,
    };
    Ok((mount, Some(query)))
}

/// Whether `repository` is at the registry of `route`. Only then can a blob be mounted from it.
pub(super) fn is_at_same_registry(
    state: &State,
    authority: &Authority,
    route: &Route,
    repository: &str,
) -> bool {
    route.is(state.routes.find(authority.host(), Some(repository)))
}

/// The query of a mount from the repository that the registry calls `inner`.
fn from<'q>(query: Cow<'q, str>, inner: &str) -> Cow<'q, str> {
    let is_source = |parameter: &str| {
        let pair = form_urlencoded::parse(parameter.as_bytes()).next();
        pair.is_some_and(|(key, source)| key == "from" && source != inner)
    };
    if !query.split('&').any(is_source) {
        return query;
    }
    let parameters = query.split('&').map(|parameter| {
        if is_source(parameter) { Cow::Owned(format!("from={inner}")) } else { Cow::Borrowed(parameter) }
    });
    Cow::Owned(parameters.collect::<Vec<_>>().join("&"))
}

/// Keeps a mount that can be read in one way only, from a repository that the caller `may_pull`.
/// Any other is dropped, also one that names no repository, for which some registries search all of
/// them. The other parameters stay as they were written.
///
/// # Errors
/// There is a semicolon: registries built with Go before 1.17 take it for a separator.
fn allowed(query: &str, may_pull: impl Fn(&str) -> bool) -> Result<(Mount, Cow<'_, str>), Refusal> {
    if query.contains(';') {
        return Err(Refusal::Path);
    }
    let (mut mounts, mut sources) = (Vec::new(), Vec::new());
    let mut rest = Vec::new();
    for parameter in query.split('&') {
        match form_urlencoded::parse(parameter.as_bytes()).next() {
            Some((key, digest)) if key == "mount" => mounts.push(digest),
            Some((key, repository)) if key == "from" => sources.push(repository),
            _ => rest.push(parameter),
        }
    }
    match (&*mounts, &*sources) {
        ([], []) => Ok((Mount::Absent, Cow::Borrowed(query))),
        ([digest], [source])
            if name::is_digest(digest) && name::is_repository(source) && may_pull(source) =>
        {
            Ok((Mount::Kept(source.to_string()), Cow::Borrowed(query)))
        }
        _ => Ok((Mount::Dropped, Cow::Owned(rest.join("&")))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn settled(query: &str) -> String {
        settled_mount(query).1
    }

    fn settled_mount(query: &str) -> (Mount, String) {
        let (mount, query) = allowed(query, |repository| repository == "team/base").unwrap();
        (mount, query.into_owned())
    }

    #[test]
    fn a_mount_that_is_allowed_stays_as_it_was_written() {
        for query in [
            format!("mount={DIGEST}&from=team/base"),
            format!("from=team%2Fbase&mount={}", DIGEST.replace(':', "%3A")),
            format!("%6Dount={DIGEST}&&x=%41+b&fro%6d=team%2fbase&x"),
            "digest=sha256%3Aab&x=a+b&y".to_owned(),
            "mounts=1&From=2&from%20=3&mount+=4".to_owned(),
            String::new(),
        ] {
            assert_eq!(settled(&query), query);
        }
    }

    #[test]
    fn any_other_is_left_out_and_nothing_else() {
        for query in [
            format!("mount={DIGEST}&from=team/other"),
            format!("mount={DIGEST}"),
            format!("mount={DIGEST}&from="),
            format!("mount={DIGEST}&from"),
            "from=team/base".to_owned(),
            "mount&from=team/base".to_owned(),
            "mount=sha256:00&from=team/base".to_owned(),
            format!("mount={DIGEST}&from=team/base/"),
            format!("mount={DIGEST}&from=/team/base"),
            format!("mount={DIGEST}&from=team%252Fbase"),
            format!("mount={DIGEST}&from=team/base&from=team/base"),
            format!("mount={DIGEST}&%66rom=team/other&from=team/base"),
            format!("mount={DIGEST}&mount={DIGEST}&from=team/base"),
            format!("mount={DIGEST}&from=team/base%00"),
            format!("mount={DIGEST}&from=team/base+"),
        ] {
            assert_eq!(settled(&query), "", "{query}");
            assert_eq!(settled(&format!("a=%41+&{query}&&b")), "a=%41+&&b", "{query}");
        }
    }

    #[test]
    fn a_mount_is_absent_or_kept_or_dropped() {
        let kept = settled_mount(&format!("mount={DIGEST}&fr%6fm=team%2fbase")).0;
        assert_eq!(kept, Mount::Kept("team/base".to_owned()));
        assert_eq!(settled_mount("digest=x").0, Mount::Absent);
        assert_eq!(settled_mount(&format!("mount={DIGEST}&from=team/other")).0, Mount::Dropped);
        assert_eq!(settled_mount("from=team/base").0, Mount::Dropped);
    }

    #[test]
    fn the_source_of_a_mount_is_that_of_one_that_could_be_kept() {
        let mount = format!("mount={DIGEST}&from=team%2Fother");
        assert_eq!(source(Operation::UploadStart, Some(&mount)).as_deref(), Some("team/other"));
        for (operation, query) in [
            (Operation::ManifestPut, Some(&*mount)),
            (Operation::UploadStart, Some(&*format!("{mount}&from=a"))),
            (Operation::UploadStart, Some(&*format!("{mount};"))),
            (Operation::UploadStart, Some("from=team/other")),
            (Operation::UploadStart, None),
        ] {
            assert_eq!(source(operation, query), None, "{query:?}");
        }
    }

    #[test]
    fn the_registry_is_told_its_own_name_of_the_source() {
        let onward = |query: &'static str| from(Cow::Borrowed(query), "team/base").into_owned();
        assert_eq!(onward("mount=a&fr%6fm=hub%2Fteam%2Fbase&&x=%41"), "mount=a&from=team/base&&x=%41");
        assert_eq!(onward("mount=a&fr%6fm=team%2Fbase"), "mount=a&fr%6fm=team%2Fbase");
    }

    #[test]
    fn a_semicolon_is_read_in_two_ways() {
        for query in ["a;b", "x=1;from=team/base", ";"] {
            assert!(matches!(allowed(query, |_| true), Err(Refusal::Path)), "{query}");
        }
        assert_eq!(settled("a=%3Bb"), "a=%3Bb");
    }

    proptest! {
        /// Whatever the query: what goes on names a mount once and from the one repository, or not
        /// at all.
        #[test]
        fn no_other_repository_goes_on(
            parts in prop::collection::vec("(mount|%6dount|from|fr%6Fm|from%00|m)(=(team/base|team%2fbase|team/other|sha256:00|a{0,2}))?", 0..5),
            digest in any::<bool>(),
        ) {
            let mut query = parts.join("&");
            if digest {
                query.push_str(&format!("&mount={DIGEST}"));
            }
            let onward = settled(&query);
            let values = |wanted: &str| {
                let pairs = form_urlencoded::parse(onward.as_bytes());
                pairs.filter(|(key, _)| key == wanted).map(|(_, value)| value.into_owned()).collect::<Vec<_>>()
            };
            let (mounts, sources) = (values("mount"), values("from"));
            prop_assert!(mounts.is_empty() && sources.is_empty() || mounts == [DIGEST] && sources == ["team/base"]);
        }
    }
}
