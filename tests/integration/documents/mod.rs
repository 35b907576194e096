//! The documents are true: settings load, commands run, links lead somewhere, and every key is
//! explained.

mod command;
mod ignored;
mod links;
mod man_pages;
mod markdown;
mod output;
mod reference;
mod settings;
mod story;
mod yaml;

use std::fs;
use std::path::PathBuf;

use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools;
use markdown::Page;

/// The documents beside those in docs/.
const ROOTS: [&str; 5] =
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "benches/README.md"];

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn page(name: &str) -> Page {
    Page::parse(name, &read(name))
}

fn pages() -> Vec<Page> {
    let files = fs::read_dir(repository().join("docs")).unwrap();
    let files = files.map(|file| format!("docs/{}", file.unwrap().file_name().to_str().unwrap()));
    let mut names: Vec<String> = files.filter(|name| name.ends_with(".md")).collect();
    names.sort();
    ROOTS.map(str::to_owned).into_iter().chain(names).map(|name| page(&name)).collect()
}

/// The first settings of the README: the smallest file that is useful.
fn smallest() -> String {
    let page = page("README.md");
    page.blocks.into_iter().find(|block| block.language == "toml").unwrap().text
}

fn act_out(page: &Page) -> Vec<String> {
    story::act_out(page, &smallest(), &repository())
}

fn expect_none(problems: Vec<String>) {
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_block_is_true() {
    let pages = pages();
    let problems = std::thread::scope(|scope| {
        let acts: Vec<_> = pages.iter().map(|page| scope.spawn(|| act_out(page))).collect();
        acts.into_iter().flat_map(|act| act.join().unwrap()).collect()
    });
    expect_none(problems);
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    expect_none(pages.iter().flat_map(|page| links::dead(page, &pages, &repository())).collect());
}

#[test]
fn every_page_is_in_the_index() {
    let index = page("docs/README.md");
    let targets: Vec<String> = index.links().into_iter().map(|(_, target)| target).collect();
    for page in pages() {
        let name = page.name.strip_prefix("docs/").filter(|name| *name != "README.md");
        assert!(name.is_none_or(|name| targets.iter().any(|target| target == name)), "{}", page.name);
    }
}

#[test]
fn the_readme_is_short() {
    assert!(read("README.md").lines().count() <= 250);
}

#[test]
fn every_key_is_explained_with_its_default() {
    let keys = reference::example(&read("proxy.toml.example"));
    assert!(keys.len() > 60, "{keys:?}");
    expect_none(reference::differences(&page("docs/configuration.md"), &keys));
}

#[test]
fn only_keys_and_commands_that_exist_are_mentioned() {
    let keys = reference::example(&read("proxy.toml.example"));
    let pages = pages();
    let mut problems: Vec<String> =
        pages.iter().flat_map(|page| reference::unknown_keys(page, &keys)).collect();
    for page in &pages {
        for (line, span) in page.spans().into_iter().filter(|(_, span)| span.starts_with("tidegate ")) {
            let found = command::mentioned(&span);
            problems.extend(found.into_iter().map(|problem| format!("{}:{line}: {problem}", page.name)));
        }
    }
    expect_none(problems);
}

/// `TIDEGATE_X=y`, wherever it is mentioned, is a variable that the program takes.
#[test]
fn every_variable_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    settings::lay_out(&smallest(), folder.path());
    fs::write(folder.path().join("proxy.toml"), smallest()).unwrap();
    let spans = pages().into_iter().flat_map(|page| page.spans());
    let is_setting = |span: &str| span.starts_with("TIDEGATE_") && span.contains('=');
    let variables: Vec<String> = spans.map(|(_, span)| span).filter(|span| is_setting(span)).collect();
    assert!(variables.len() > 5, "{variables:?}");
    for variable in variables {
        let ended = command::run(&format!("{variable} tidegate check"), folder.path());
        assert!(ended.success, "{variable}: {}", ended.stderr);
    }
    let ended = command::run("TIDEGATE_SERVER_NAME=x tidegate check", folder.path());
    assert!(!ended.success);
}

/// Changes each key that the reference marks with `restart`; the reload must name it.
#[test]
fn what_needs_a_restart_says_so() {
    let running = Tidegate::start(Settings::for_upstream("http://127.0.0.1:1"));
    let rows = reference::rows(&page("docs/configuration.md"));
    let (mut settings, mut names) = (Settings::for_upstream("http://127.0.0.1:1"), Vec::new());
    for row in rows.iter().filter(|row| row.applies == "restart") {
        let value = match (row.key.as_str(), row.default.as_str()) {
            ("listen" | "plain" | "admin", _) => r#"["127.0.0.1:0", "127.0.0.1:0"]"#,
            ("level", _) => r#""warn""#,
            ("format", _) => r#""json""#,
            ("access", _) => r#""off""#,
            ("access_format", _) => r#""combined""#,
            ("url", _) => r#""redis://valkey""#,
            ("password_file" | "ca" | "secret_file", _) => r#""server.key""#,
            (_, default) if default.starts_with('"') => r#""77s""#,
            _ => "77",
        };
        let name = format!("{}.{}", row.section, row.key);
        settings = settings.set(&name, value);
        names.push(name);
    }
    assert!(names.len() > 9, "{names:?}");
    for file in ["server.crt", "server.key", "htpasswd"] {
        fs::copy(settings.path().join(file), running.settings.path().join(file)).unwrap();
    }
    fs::write(running.settings.file(), settings.toml()).unwrap();
    for name in names {
        running.log.wait_for(&format!("{name} waits for a restart"), |line| {
            line.contains("takes effect at the next start") && line.contains(&format!("\"{name}\""))
        });
    }
}

#[test]
fn every_command_and_exit_code_is_in_the_page_about_operation() {
    let page = page("docs/operation.md");
    let spans = page.spans();
    let mut missing = Vec::new();
    let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(command) = waiting.pop() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let inner = command::commands_of(&words);
        // `tidegate token` is a command and has one.
        if inner.is_empty() || words == ["token"] {
            let wanted = format!("tidegate {} ", words.join(" "));
            if !spans.iter().any(|(_, span)| span.starts_with(&wanted)) {
                missing.push(wanted);
            }
        }
        waiting.extend(inner.into_iter().map(|name| [&command[..], &[name]].concat()));
    }
    let rows: Vec<&str> = page.paragraphs.iter().map(|(_, text)| text.as_str()).collect();
    for code in reference::exit_codes(&repository().join("src")) {
        if !rows.iter().any(|row| row.starts_with(&format!("| {code} |"))) {
            missing.push(format!("exit code {code}"));
        }
    }
    expect_none(missing);
}

#[test]
fn every_message_in_the_page_about_trouble_is_printed() {
    let page = page("docs/troubleshooting.md");
    expect_none(reference::unknown_messages(&page, &repository().join("src")));
}

#[test]
fn compose_accepts_the_compose_file() {
    let folder = tempfile::tempdir().unwrap();
    expect_none(yaml::problems(&read("deploy/compose/compose.yaml"), folder.path()));
    let file = repository().join("deploy/compose/compose.yaml");
    tools::succeed("docker-compose", &["--file", file.to_str().unwrap(), "config", "--quiet"]);
}

/// A user removes the first # of lines.
#[test]
fn the_settings_of_the_package_set_nothing_and_name_keys_that_exist() {
    let text = read("deploy/debian/proxy.toml");
    assert_eq!(text.parse::<toml::Table>().unwrap(), toml::Table::new());
    let (_, keys) = text.split_once("\n\n").unwrap();
    let keys = keys.replace("# ", "");
    assert!(keys.starts_with("[server]\n"), "{keys}");
    expect_none(act_out(&Page::parse("deploy/debian/proxy.toml", &format!("```toml\n{keys}```\n"))));
}

#[test]
fn the_manifests_are_yaml_and_their_settings_load() {
    let folder = tempfile::tempdir().unwrap();
    let mut manifests = 0;
    for part in ["base", "sidecar", "tier", "examples"] {
        for entry in fs::read_dir(repository().join("deploy/kubernetes").join(part)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(repository()).unwrap().to_str().unwrap();
            if name.ends_with(".yaml") {
                manifests += 1;
                expect_none(yaml::problems(&read(name), folder.path()));
            }
            if name.ends_with(".toml") {
                expect_none(act_out(&Page::parse(name, &format!("```toml\n{}```\n", read(name)))));
            }
        }
    }
    assert!(manifests > 10, "{manifests}");
}

/// Keys, certificates and users must not be committed, or end in the layers of an image.
#[test]
fn what_the_manual_makes_in_the_checkout_is_ignored() {
    let made = [
        "acme/account.json",
        "auth/htpasswd",
        "auth/token.key",
        "auth/token.key.revoked",
        "build1/client.cert",
        "build1/client.key",
        "build1/ca.crt",
        "ca/ca.key",
        "certs/domain.key",
        "certs/tickets",
        "deploy/acme/account.json",
        "deploy/acme/certificate.pem",
        "deploy/acme/order.json",
        "deploy/auth/htpasswd",
        "deploy/auth/token.key",
        "deploy/ca/ca.key",
        "deploy/certs/domain.crt",
        "deploy/certs/domain.key",
        "deploy/token.key",
        "conf/htpasswd",
        "conf/state/account.json",
        "conf/state/certificate.pem",
        "conf/state/order.json",
        "elsewhere/auth/password",
        "proxy.toml",
        "quickstart-data/auth/password",
        "quickstart-data/ca/ca.key",
        "target/release/tidegate",
        "token.key",
    ];
    assert_eq!(ignored::committable(&made), [""; 0]);
    let sources = ["src/auth/htpasswd/tests.rs", "deploy/debian/proxy.toml", "proxy.toml.example"];
    assert_eq!(ignored::committable(&sources), sources);
}

#[test]
fn the_image_is_built_without_what_git_ignores() {
    let patterns = |name: &str| {
        let text = read(name);
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let docker = patterns(".dockerignore");
    for pattern in patterns(".gitignore") {
        // Without a slash, git means every folder; docker means the first one.
        let wanted = match pattern.strip_prefix('/') {
            Some(rooted) => rooted.to_owned(),
            None => format!("**/{pattern}"),
        };
        assert!(docker.contains(&wanted), "{wanted} is not in .dockerignore");
    }
}

/// The script makes a release build, so only its help and the settings that it writes are checked.
#[test]
fn the_quickstart_has_its_help_and_settings_that_load() {
    let script = repository().join("deploy/quickstart.sh");
    let help = tools::succeed("bash", &[script.to_str().unwrap(), "--help"]);
    for option in
        ["--check", "TIDEGATE_PORT", "TIDEGATE_REGISTRY_PORT", "TIDEGATE_ADMIN_PORT", "TIDEGATE_HOME"]
    {
        assert!(help.contains(option), "{option} in {help}");
    }
    let text = read("deploy/quickstart.sh");
    let (_, settings) = text.split_once("proxy.toml\" <<END\n").expect("it writes proxy.toml");
    let (settings, _) = settings.split_once("END\n").unwrap();
    let settings =
        settings.replace("$registry_port", "5044").replace("$admin_port", "5045").replace("$port", "5043");
    expect_none(act_out(&Page::parse("deploy/quickstart.sh", &format!("```toml\n{settings}```\n"))));
}

/// What the checks themselves must find.
mod what_is_wrong_is_found {
    use super::*;

    fn problems_of(language: &str, block: &str) -> String {
        act_out(&Page::parse("page.md", &format!("# A\n\n```{language}\n{block}\n```\n"))).join("\n")
    }

    #[test]
    fn settings() {
        assert_eq!(problems_of("toml", "[policy]\nread_only = true"), "");
        for (block, complaint) in [
            ("[server]\nlisten = [", "page.md:3:"),
            ("[limits]\nconnectoins = 5", "connections"),
            ("[policy]\ncatalog = \"on\"", "filtered"),
            ("[auth]\nmode = \"off\"\nclient_certificate = \"both\"", "both"),
            ("[groups]\nnobody = [\"x\"]", "no entry of [[access]]"),
        ] {
            let found = problems_of("toml", block);
            assert!(found.contains(complaint), "{block}: {found}");
        }
    }

    #[test]
    fn commands() {
        assert_eq!(problems_of("sh", "mkdir -p auth\ntidegate htpasswd add auth/users alice"), "");
        assert_eq!(problems_of("sh", "tidegate serve --config proxy.toml"), "");
        for (block, complaint) in [
            ("frobnicate --all", "unknown command \"frobnicate\""),
            ("mkdir a && frobnicate", "unknown command \"frobnicate\""),
            ("tidegate certificate", "failed"),
            ("tidegate htpasswd add nowhere/users alice", "failed"),
            ("docker build -f deploy/image/Dockerfiel .", "there is no file deploy/image/Dockerfiel"),
            ("deploy/quickstart.hs", "unknown command"),
            ("cargo bench --bench fast", "cargo has no target fast"),
        ] {
            let found = problems_of("sh", block);
            assert!(found.contains(complaint), "{block}: {found}");
        }
    }

    #[test]
    fn sessions_and_outputs() {
        let rule = "[[access]]\nusers = [\"alice\"]\nrepositories = [\"a\"]\nactions = [\"pull\"]";
        let session = |output: &str| {
            let text =
                format!("```toml\n{rule}\n```\n\n```console\n$ tidegate check --as alice a\n{output}\n```\n");
            act_out(&Page::parse("page.md", &text)).join("\n")
        };
        let right = "pull    by the rule at proxy.toml:1:1\npush    not allowed\ndelete  not allowed";
        assert_eq!(session(right), "");
        assert!(session("pull    not allowed").contains("by the rule at"));
        assert_eq!(problems_of("text", "Then log in and push:"), "");
        assert!(problems_of("text", "Then log in and pull:").contains("no script prints"));
    }

    #[test]
    fn other_blocks() {
        assert!(problems_of("", "anything").contains("unknown kind \"\""));
        assert!(problems_of("sh", "# nothing").contains("without a command"));
        assert!(problems_of("python", "anything").contains("unknown kind"));
        assert!(problems_of("json", "{\"a\":1").contains("EOF"));
        assert!(problems_of("yaml", "version: 0.1\nstorage: {").contains("configuration error"));
        assert!(problems_of("yaml", "services: [").contains("syntax error"));
    }

    #[test]
    fn links() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("docs")).unwrap();
        for name in ["docs/page.md", "docs/other.md", "LICENSE"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let other = [Page::parse("docs/other.md", "# A title: with `code`\n\n## Again\n\n## Again\n")];
        let dead = |link: &str| {
            let page = Page::parse("docs/page.md", &format!("# Here\n\nSee [this]({link}).\n"));
            links::dead(&page, &other, folder.path()).join("\n")
        };
        for good in
            ["other.md", "other.md#again-1", "other.md#a-title-with-code", "#here", "../LICENSE", "https://x"]
        {
            assert_eq!(dead(good), "", "{good}");
        }
        for bad in ["missing.md", "other.md#nothing", "#nowhere", "LICENSE", "../LICENSE#x"] {
            assert!(dead(bad).starts_with("docs/page.md:3: "), "{bad}");
        }
    }

    #[test]
    fn keys() {
        let keys =
            reference::example("[server]\n# listen = [\"0.0.0.0:443\"]   # addresses\n# threads = 0\n");
        let table = |rows: &str| {
            let text = format!("## [server]\n\n`TIDEGATE_SERVER_<KEY>`\n\n| key | type |\n|---|---|\n{rows}");
            reference::differences(&Page::parse("page.md", &text), &keys).join("\n")
        };
        let listen = "| `listen` | list | `[\"0.0.0.0:443\"]` | restart | Addresses. |\n";
        let threads = "| `threads` | number | `0` | restart | Threads. |\n";
        assert_eq!(table(&format!("{listen}{threads}")), "");
        assert_eq!(table(listen), "server.threads is missing");
        assert!(
            table(&format!("{listen}{}", threads.replace('0', "1"))).contains("has the default 0, not 1")
        );
        assert!(
            table(&format!("{listen}{threads}{}", threads.replace("threads", "thread"))).contains("no key")
        );

        let mentioned = |text: &str| reference::unknown_keys(&Page::parse("page.md", text), &keys).len();
        assert_eq!(mentioned("`server.listen`, `server.threads = 2`, `other.key`\n"), 0);
        assert_eq!(mentioned("`server.thread`\n"), 1);
        assert_eq!(mentioned("`server.threads = many`\n"), 1);
    }

    #[test]
    fn messages() {
        let unknown = |text: &str| {
            reference::unknown_messages(&Page::parse("page.md", text), &repository().join("src")).len()
        };
        assert_eq!(unknown("**405 `this registry is read-only`.** Why.\n"), 0);
        assert_eq!(unknown("**405 `this registry is red-only`.** Why.\n"), 1);
    }

    #[test]
    fn mentioned_commands() {
        for good in [
            "tidegate cert revoke --ca DIR CERTIFICATE…",
            "tidegate token FILE",
            "tidegate check --as alice a",
        ] {
            assert_eq!(command::mentioned(good), Vec::<String>::new());
        }
        for bad in [
            "tidegate cert sever --ca DIR",
            "tidegate sever",
            "tidegate check --dmup",
            "tidegate token --ras",
        ] {
            assert_eq!(command::mentioned(bad).len(), 1, "{bad}");
        }
    }
}
