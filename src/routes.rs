//! Which registry a request is for: that of `[upstream]`, or that of a `[[route]]`.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use arc_swap::ArcSwapOption;

use crate::config::{self, Config, UpstreamAuthorization};
use crate::header::authority::Host;
use crate::pki::SystemRoots;
use crate::problem::Problems;
use crate::registry::pattern::Pattern;
use crate::registry::renaming::Renaming;
use crate::upstream::{Registry, Server};

/// The registries, and what each is for.
pub(crate) struct Routes {
    /// Those of `[[route]]`. The first that a request fits gets it.
    routes: Vec<Route>,
    /// That of `[upstream]`, for everything else.
    usual: Route,
}

/// A registry, and what it is for.
pub(crate) struct Route {
    /// Empty means any.
    hosts: Vec<String>,
    /// Empty means every repository.
    repositories: Vec<Pattern>,
    /// Whether it is a `[[route]]`.
    is_special: bool,
    /// How its names of repositories differ from those that clients use.
    pub renaming: Renaming,
    pub registry: Arc<Registry>,
    token_path: Option<String>,
    /// Where the registry last said that its own token service is.
    named_token_path: ArcSwapOption<String>,
    order: AtomicU8,
}

/// The order of a registry's catalog, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Unknown,
    /// That of distribution, in the names read so far.
    Usual,
    Other,
}

impl Routes {
    /// Reads the files that the settings of the registries name. The registries take over from the
    /// routes `before` what they keep over a reload.
    ///
    /// # Errors
    /// Those of [`Registry::build`], for every registry.
    pub(crate) fn build(
        config: &Config,
        system: &SystemRoots,
        before: Option<&Routes>,
        workers: usize,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut known = before.map(Routes::servers).unwrap_or_default();
        let mut build = |section, settings| {
            let route = problems.take(Route::build(section, settings, system, before, &known, workers))?;
            known.extend(route.registry.servers.iter().cloned());
            Some(route)
        };
        let usual = build("upstream", &config.upstream);
        let special = config.routes.iter().filter_map(|settings| {
            let route = build("route", &settings.upstream)?;
            Some(Route {
                hosts: settings.hosts.clone(),
                repositories: settings.repositories.clone(),
                is_special: true,
                renaming: Renaming::stripping(&settings.strip),
                ..route
            })
        });
        let routes = special.collect();
        match usual.filter(|_| problems.0.is_empty()) {
            Some(usual) => Ok(Self { routes, usual }),
            None => Err(problems),
        }
    }

    /// The route of a request to `host` that concerns `repository`, or no repository.
    pub(crate) fn find(&self, host: Host<'_>, repository: Option<&str>) -> &Route {
        let fits = |route: &&Route| route.is_for(host) && route.has(repository);
        self.routes.iter().find(fits).unwrap_or(&self.usual)
    }

    /// The routes that a request to `host` may take, in the order of the settings.
    pub(crate) fn of_host(&self, host: Host<'_>) -> Vec<&Route> {
        let mut found = Vec::new();
        for route in self.routes.iter().chain([&self.usual]).filter(|route| route.is_for(host)) {
            found.push(route);
            if route.has_everything() {
                break;
            }
        }
        found
    }

    /// Whether there is any registry beside that of `[upstream]`.
    pub(crate) fn has_several(&self) -> bool {
        !self.routes.is_empty()
    }

    /// The route of `[upstream]`.
    pub(crate) fn usual(&self) -> &Route {
        &self.usual
    }

    /// The servers of all registries, each once.
    pub(crate) fn servers(&self) -> Vec<Arc<Server>> {
        let mut servers: Vec<Arc<Server>> = Vec::new();
        for server in self.all().flat_map(|route| &route.registry.servers) {
            if !servers.iter().any(|one| Arc::ptr_eq(one, server)) {
                servers.push(server.clone());
            }
        }
        servers
    }

    /// A registry that has `server`; `None` if none has it any more.
    pub(crate) fn registry_of(&self, server: &Arc<Server>) -> Option<&Arc<Registry>> {
        let has = |registry: &&Arc<Registry>| registry.servers.iter().any(|one| Arc::ptr_eq(one, server));
        self.all().map(|route| &route.registry).find(has)
    }

    /// Every route, that of `[upstream]` first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Route> {
        [&self.usual].into_iter().chain(&self.routes)
    }
}

impl Route {
    fn build(
        section: &'static str,
        settings: &config::Upstream,
        system: &SystemRoots,
        before: Option<&Routes>,
        known: &[Arc<Server>],
        workers: usize,
    ) -> Result<Self, Problems> {
        let registry = Registry::build(section, settings, system, known, workers)?;
        let is_same = |one: &&Route| one.registry.name == registry.name && one.registry.path == registry.path;
        let before = before.and_then(|before| before.all().find(is_same));
        let named = before.and_then(|before| before.named_token_path.load_full());
        Ok(Self {
            hosts: Vec::new(),
            repositories: Vec::new(),
            is_special: false,
            renaming: Renaming::default(),
            registry: Arc::new(registry),
            token_path: settings.token_path.clone(),
            named_token_path: ArcSwapOption::new(named),
            order: AtomicU8::new(Order::Unknown as u8),
        })
    }

    /// Whether this is the same route as `other`.
    pub(crate) fn is(&self, other: &Route) -> bool {
        ptr::eq(self, other)
    }

    /// The registry, as far as a place that it gives has to be its own: none for that of
    /// `[upstream]`.
    pub(crate) fn owner(&self) -> Option<String> {
        self.is_special.then(|| format!("{}{}", self.registry.name, self.registry.path))
    }

    /// Whether it is a `[[route]]`.
    pub(crate) fn is_special(&self) -> bool {
        self.is_special
    }

    /// Whether `path` is that of the registry's token service: a usual one, the configured one, or
    /// the one that the registry named last. Only a registry that gets the logins of the clients
    /// has one.
    pub(crate) fn has_token_service_at(&self, path: &str) -> bool {
        let is_named = || self.named_token_path.load().as_ref().is_some_and(|named| **named == path);
        self.registry.authorization == UpstreamAuthorization::Pass
            && (matches!(path, "/v2/token" | "/v2/auth")
                || self.token_path.as_deref() == Some(path)
                || is_named())
    }

    /// Records where the registry says that its token service is.
    pub(crate) fn learn_token_path(&self, path: &str) {
        self.named_token_path.store(Some(Arc::new(path.to_owned())));
    }

    /// The order of the registry's catalog.
    pub(crate) fn order(&self) -> Order {
        let order = self.order.load(Ordering::Relaxed);
        [Order::Usual, Order::Other].into_iter().find(|known| *known as u8 == order).unwrap_or(Order::Unknown)
    }

    /// Records the order that was found.
    pub(crate) fn found(&self, order: Order) {
        self.order.store(order as u8, Ordering::Relaxed);
    }

    fn is_for(&self, host: Host<'_>) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|name| host.is(name))
    }

    fn has(&self, repository: Option<&str>) -> bool {
        let Some(repository) = repository else { return self.repositories.is_empty() };
        self.renaming.inner(repository).is_some()
            && (self.repositories.is_empty()
                || self.repositories.iter().any(|pattern| pattern.fits(repository, None)))
    }

    fn has_everything(&self) -> bool {
        let has_all = self.repositories.is_empty() || self.repositories.iter().any(Pattern::is_everything);
        has_all && !self.renaming.is_needed()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn routes(text: &str) -> Routes {
        let text =
            format!("[tls]\ncertificate = 'c'\nkey = 'k'\n[upstream]\nservers = ['http://usual']\n{text}");
        let config = Config::parse(Path::new("proxy.toml"), &text, &[]).unwrap();
        Routes::build(&config, &SystemRoots::default(), None, 1).unwrap()
    }

    fn found(routes: &Routes, host: &str, repository: Option<&str>) -> String {
        routes.find(Host::bare(host), repository).registry.name.to_string()
    }

    #[test]
    fn the_first_route_that_fits_gets_a_request() {
        let routes = routes(
            "[[route]]\nrepositories = ['hub/**', 'hub']\nservers = ['http://exact']\nhosts = ['b.test']\n\
             [[route]]\nrepositories = ['hub/**']\nstrip = 'hub/'\nservers = ['http://mirror']\n\
             [[route]]\nhosts = ['B.test']\nservers = ['http://b']\n",
        );
        for (host, repository, expected) in [
            ("a.test", Some("hub/app"), "http://mirror"),
            ("a.test", Some("hub"), "http://usual"),
            ("a.test", Some("hubs/app"), "http://usual"),
            ("a.test", None, "http://usual"),
            ("b.test", Some("hub/app"), "http://exact"),
            ("B.TEST.", Some("hub"), "http://exact"),
            ("b.test", Some("team/app"), "http://b"),
            ("b.test", None, "http://b"),
        ] {
            assert_eq!(found(&routes, host, repository), expected, "{host} {repository:?}");
        }
        let of_host = |host: &str| {
            let of_host = routes.of_host(Host::bare(host));
            of_host.iter().map(|route| route.registry.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of_host("a.test"), ["http://mirror", "http://usual"]);
        assert_eq!(of_host("b.test"), ["http://exact", "http://mirror", "http://b"]);
    }

    #[test]
    fn without_routes_there_is_one_registry() {
        let routes = routes("");
        assert_eq!(found(&routes, "a.test", Some("hub/app")), "http://usual");
        assert_eq!(routes.of_host(Host::bare("a.test")).len(), 1);
        assert_eq!(routes.usual().owner(), None);
    }

    #[test]
    fn only_a_registry_that_gets_the_logins_has_a_token_service() {
        let routes = routes(
            "[[route]]\nrepositories = ['hub/**']\nservers = ['http://mirror']\nauthorization = 'pass'\n",
        );
        let mirror = routes.find(Host::bare("a.test"), Some("hub/app"));
        assert!(mirror.has_token_service_at("/v2/token") && !mirror.has_token_service_at("/t"));
        mirror.learn_token_path("/t");
        assert!(mirror.has_token_service_at("/t"));
        assert!(!routes.usual().has_token_service_at("/v2/token"));
    }
}
