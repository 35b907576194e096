//! Servers that come and go with the settings, and sockets among them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use crate::harness::fake::Fake;
use crate::harness::http1::{Client, head};
use crate::harness::tidegate::{Settings, Tidegate};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";

#[test]
fn a_server_that_the_settings_lose_completes_its_transfers_and_gets_no_more() {
    let (go_on, may_go_on) = channel::<()>();
    let (may_go_on, asked) = (Mutex::new(may_go_on), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    let old = Fake::start(move |conversation| {
        while conversation.read_head().is_some() {
            count.fetch_add(1, Ordering::SeqCst);
            conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nold");
            may_go_on.lock().unwrap().recv().unwrap();
            conversation.write(b"old");
        }
    });
    let new = Fake::scripted("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew", false);
    let settings = Settings::for_upstream(&old.url());
    let tidegate = Tidegate::start(settings);
    let (mut running, mut later) = (Client::connect(&tidegate), Client::connect(&tidegate));
    running.send(head("GET /v2/a/tags/list", &[AUTH]));
    let response = running
        .response_in_parts(false, || {
            let text = tidegate.settings.toml().replace(&old.url(), &new.url());
            std::fs::write(tidegate.settings.file(), text).unwrap();
            tidegate.signal(Signal::HUP);
            tidegate.log.wait_for("the reload", |line| line.contains("reloaded"));
            for _ in 0..3 {
                assert_eq!(later.exchange("GET /v2/a/tags/list", &[AUTH]).text(), "new");
            }
            go_on.send(()).unwrap();
        })
        .unwrap();
    assert_eq!(response.text(), "oldold");
    assert_eq!(running.exchange("GET /v2/a/tags/list", &[AUTH]).text(), "new");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// A registry on a socket in the file system, which counts the requests of clients.
fn on_a_socket(path: &Path) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(path).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let requests = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let requests = Arc::clone(&requests);
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                let (mut line, mut is_check) = (String::new(), false);
                while stream.read_line(&mut line).is_ok_and(|read| read > 0) {
                    is_check |= line.to_ascii_lowercase().starts_with("user-agent: tidegate/");
                    if line == "\r\n" {
                        requests.fetch_add(usize::from(!is_check), Ordering::SeqCst);
                        stream
                            .get_mut()
                            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                            .unwrap();
                        is_check = false;
                    }
                    line.clear();
                }
            });
        }
    });
    count
}

#[test]
fn sockets_share_the_work_and_one_that_is_missing_is_left_out() {
    let folder = tempfile::TempDir::new().unwrap();
    let paths = ["one", "two", "none"].map(|name| folder.path().join(name));
    let counts = [&paths[0], &paths[1]].map(|path| on_a_socket(path));
    let all = paths.map(|path| format!("unix:{}", path.display()));
    let tidegate = Tidegate::start(
        Settings::for_upstream(&all[0])
            .set("upstream.servers", &format!("{all:?}"))
            .set("upstream.shared_storage", "true")
            .set("upstream.balance", r#""round-robin""#)
            .set("server.threads", "1"),
    );
    let mut client = Client::connect(&tidegate);
    for _ in 0..30 {
        assert_eq!(client.exchange("GET /v2/a/tags/list", &[AUTH]).status, 200);
    }
    let counts = counts.map(|count| count.load(Ordering::SeqCst));
    assert_eq!(counts.iter().sum::<usize>(), 30);
    assert!(counts.iter().all(|count| *count >= 10), "{counts:?}");
}
