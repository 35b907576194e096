//! The page of a running tidegate, while a real registry is pulled from and pushed to.

use serde_json::Value;
use socket2::SockRef;

use super::look;
use crate::harness::browser::Browser;
use crate::harness::http1::{self, Client};
use crate::harness::image::{noise, sha256};
use crate::harness::registry::Registry;
use crate::harness::tidegate::Tidegate;
use crate::harness::{PASSWORD, USER, admin, basic};

const MEGABYTE: usize = 1_000_000;
/// A layer that is far larger than what sockets hold.
const LAYER: usize = 64 * MEGABYTE;

/// A user whom an administrator may name like this.
const HOSTILE: &str = "<img src=x onerror=alert(1)>";

fn chunk(client: &mut Client, data: &[u8]) {
    client.send(format!("{:x}\r\n", data.len()));
    client.send(data);
    client.send("\r\n");
}

/// An upload that has begun, and the client that sends it.
struct Push {
    client: Client,
    login: String,
}

impl Push {
    fn begin(tidegate: &Tidegate, user: &str) -> Push {
        let login = format!("Authorization: {}", basic(user, PASSWORD));
        let mut client = Client::connect(tidegate);
        let fields = [login.as_str(), "Content-Length: 0"];
        let started = client.exchange("POST /v2/team/app/blobs/uploads/", &fields);
        assert_eq!(started.status, 202, "{}", started.text());
        let place = path(started.all("location")[0]);
        client.send(http1::head(&format!("PATCH {place}"), &[&login, "Transfer-Encoding: chunked"]));
        Push { client, login }
    }

    fn finish(mut self, layer: &[u8]) -> Client {
        self.client.send("0\r\n\r\n");
        let sent = self.client.response(false).unwrap();
        assert_eq!(sent.status, 202, "{}", sent.text());
        let place = path(sent.all("location")[0]);
        let line = format!("PUT {place}&digest=sha256:{}", sha256(layer));
        assert_eq!(self.client.exchange(&line, &[&self.login, "Content-Length: 0"]).status, 201);
        self.client
    }
}

fn path(location: &str) -> String {
    location.find("/v2/").map(|start| location[start..].to_owned()).unwrap()
}

/// The per cent of the only pull, once it is more than `before`.
fn percent_after(browser: &mut Browser, before: u64) -> u64 {
    let now = "parseInt(document.querySelector('.pull .big')?.textContent)";
    let shown = browser.wait_for(&format!("{now} > {before} && document.querySelector('.pull').innerText"));
    let bar = browser.value("+document.querySelector('.pull .bar').getAttribute('aria-valuenow')");
    assert!(shown.as_str().unwrap().contains(" of 64.0\u{a0}MB"), "{shown}");
    bar.as_u64().unwrap()
}

#[test]
fn the_page_shows_a_pull_and_a_push_while_they_run_and_nothing_that_a_client_sends_is_more_than_text() {
    let registry = Registry::start();
    let settings = admin::settings(&registry.url());
    settings.write_users(&[(USER, PASSWORD), (HOSTILE, PASSWORD)]);
    let tidegate = Tidegate::start(settings);
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", admin::address(&tidegate)));
    browser.wait_for("document.getElementById('state').textContent === 'Ready'");
    browser.wait_for("!document.getElementById('calm').hidden");

    // A push of unknown size: bytes, rate and age, and no per cent.
    let layer = noise(LAYER);
    let mut push = Push::begin(&tidegate, HOSTILE);
    chunk(&mut push.client, &layer[..3 * MEGABYTE]);
    let shown = browser.wait_for("document.querySelector('.push .big')?.textContent === '3.00\u{a0}MB' && document.querySelector('.push').innerText");
    let shown = shown.as_str().unwrap();
    assert!(shown.contains("team/app") && shown.contains(HOSTILE) && shown.contains("/s · "), "{shown}");
    assert!(!shown.contains('%'), "{shown}");
    let indefinite = "document.querySelector('.push .bar').hasAttribute('aria-valuenow')";
    assert_eq!(browser.value(indefinite), false);
    chunk(&mut push.client, &layer[3 * MEGABYTE..5 * MEGABYTE]);
    browser.wait_for("document.querySelector('.push .big').textContent === '5.00\u{a0}MB'");
    for piece in layer[5 * MEGABYTE..].chunks(MEGABYTE) {
        chunk(&mut push.client, piece);
    }
    drop(push.finish(&layer));

    // A pull by a client that reads slowly: its per cent moves.
    let mut puller = Client::connect(&tidegate);
    // The system could otherwise take all of it before it is read.
    SockRef::from(puller.tls.socket()).set_recv_buffer_size(MEGABYTE).unwrap();
    let login = format!("Authorization: {}", basic(USER, PASSWORD));
    let digest = sha256(&layer);
    puller.send(http1::head(&format!("GET /v2/team/app/blobs/sha256:{digest}"), &[&login]));
    assert_eq!(puller.head_only().unwrap().0, 200);
    puller.exactly(8 * MEGABYTE);
    let first = percent_after(&mut browser, 11);
    puller.exactly(32 * MEGABYTE);
    let second = percent_after(&mut browser, first.max(59));
    assert!(second < 100, "{second}");

    // Names and agents of clients are text.
    let agent = format!("<script>document.title = 'owned'</script>{}", "<b>x</b>".repeat(500));
    let wrong = format!("Authorization: {}", basic(HOSTILE, "wrong"));
    let fields = [wrong.as_str(), &format!("User-Agent: {agent}")];
    let mut stranger = Client::connect(&tidegate);
    assert_eq!(stranger.exchange("GET /v2/team/app/manifests/1", &fields).status, 401);
    let line = "GET /v2/%3Cimg%20src=x%20onerror=alert(1)%3E/manifests/1";
    assert!(stranger.exchange(line, &[&login, &format!("User-Agent: {agent}")]).status >= 400);
    let agents = "[...document.querySelectorAll('#refusals .agent')].map(agent => agent.textContent)";
    let agents = browser.wait_for(&format!("{agents}.length > 0 && {agents}"));
    assert!(
        agents[0].as_str().unwrap().starts_with("<script>document.title = 'owned'</script><b>"),
        "{agents}"
    );

    let mut push = Push::begin(&tidegate, USER);
    chunk(&mut push.client, &layer[..MEGABYTE]);
    browser.wait_for("document.querySelectorAll('.push:not(.ended), .pull:not(.ended)').length === 2");
    look(&mut browser, "traffic");
    browser.view(1280, "light");
    assert_eq!(browser.value("document.title"), "2 running · tidegate");
    assert_eq!(browser.value("document.querySelectorAll('main img, main script, main b b').length"), 0);
    assert_eq!(browser.value("refused"), Value::Array(Vec::new()));
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);

    // Everything ends, and the sums are those of the access log and of the metrics.
    puller.exactly(24 * MEGABYTE);
    drop(push.finish(&layer[..MEGABYTE]));
    browser.wait_for("!document.getElementById('calm').hidden");
    sums_agree(&tidegate, &mut browser);

    // What would be injected is not run.
    let inject = "(() => { const script = document.createElement('script'); script.textContent = 'owned = 1'; \
        document.body.append(script); document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"owned = 2\">'); })()";
    browser.value(inject);
    browser.wait_for("['script-src-elem', 'script-src-attr', 'img-src'].every(kind => refused.some(one => one.startsWith(kind)))");
    assert_eq!(browser.value("typeof owned"), "undefined");
}

fn sums_agree(tidegate: &Tidegate, browser: &mut Browser) {
    let exposition = admin::ask(tidegate, "GET /metrics", &[]).body;
    let total = |name: &str| {
        let lines = exposition.lines().filter(|line| line.starts_with(&format!("tidegate_{name}_total{{")));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>() as u64
    };
    let requests = total("requests");
    let logged = || -> Vec<Value> {
        tidegate.access.so_far().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let last = usize::try_from(requests).unwrap();
    tidegate.access.wait_after(last - 1, "the line of every request", |_| true);
    let records = logged();
    let sum = |field: &str| records.iter().map(|record| record[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("bytes_out"), sum("bytes_in")), (total("sent_bytes"), total("received_bytes")));
    assert_eq!(records.len() as u64, requests);
    for (label, bytes) in [("Sent", sum("bytes_out")), ("Received", sum("bytes_in"))] {
        browser.wait_for(&format!(
            "[...document.querySelectorAll('#totals .line')].some(line => line.firstChild.textContent === '{label}' \
             && line.lastChild.title.replace(/\\D/g, '') === '{bytes}')"
        ));
    }
}
