//! A real Prometheus: Debian's, on a free port. It scrapes twice a second, evaluates its rules four
//! times a second, and tells the test about every alert that fires.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use serde::Deserialize;
use tempfile::TempDir;

use super::fake::{Conversation, Fake};
use super::lines::Lines;
use super::{DEADLINE, child};

pub struct Prometheus {
    address: String,
    fired: Fired,
    child: Child,
    _alertmanager: Fake,
    _folder: TempDir,
}

/// One series at one time.
#[derive(Debug, Clone)]
pub struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// An alert as Alertmanager receives it.
#[derive(Debug, Clone, Deserialize)]
pub struct Alert {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

type Fired = Arc<(Mutex<Vec<Alert>>, Condvar)>;

impl Alert {
    pub fn name(&self) -> &str {
        &self.labels["alertname"]
    }
}

impl Prometheus {
    /// Scrapes /metrics at `target` as the job tidegate, and evaluates a file of rules.
    pub fn start(target: SocketAddr, rules: &str) -> Prometheus {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("rules.yml"), rules).unwrap();
        let fired = Fired::default();
        let alertmanager = Fake::start({
            let fired = Arc::clone(&fired);
            move |conversation| receive(conversation, &fired)
        });
        let settings = serde_json::json!({
            "global": { "scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "250ms" },
            "rule_files": ["rules.yml"],
            "alerting": { "alertmanagers": [
                { "static_configs": [{ "targets": [alertmanager.address.to_string()] }] }
            ] },
            "scrape_configs": [
                { "job_name": "tidegate", "static_configs": [{ "targets": [target.to_string()] }] }
            ],
        });
        // JSON is YAML.
        fs::write(folder.path().join("prometheus.yml"), settings.to_string()).unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", at("prometheus.yml")));
        command.arg(format!("--storage.tsdb.path={}", at("data")));
        command.arg("--web.listen-address=127.0.0.1:0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = child::spawn(command).expect("prometheus is installed: tests/run.sh does it");
        let log = Lines::follow(child.stderr.take().unwrap());
        let listening = log.wait_for("Prometheus' address", |line| line.contains("\"Listening on\""));
        let address = listening.split("address=").nth(1).unwrap().to_owned();
        log.wait_for("Prometheus to be ready", |line| line.contains("ready to receive web requests"));
        Prometheus { address, fired, child, _alertmanager: alertmanager, _folder: folder }
    }

    /// The series of an expression now.
    pub fn query(&self, expression: &str) -> Vec<Sample> {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("query", expression).finish();
        let answer = self.get(&format!("/api/v1/query?{query}"));
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let result = answer["data"]["result"].as_array().unwrap().iter();
        result
            .map(|series| Sample {
                labels: serde_json::from_value(series["metric"].clone()).unwrap(),
                value: series["value"][1].as_str().unwrap().parse().unwrap(),
            })
            .collect()
    }

    /// The JSON at a path of its API.
    pub fn get(&self, path: &str) -> serde_json::Value {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let body = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        serde_json::from_slice(&answer[body..]).unwrap_or_else(|error| {
            panic!("{error} in the answer to {path}: {}", String::from_utf8_lossy(&answer))
        })
    }

    /// Waits until the series of an expression are as wanted. Prometheus tells nobody about new
    /// samples, so it is asked again and again.
    pub fn wait_for(&self, expression: &str, wanted: impl Fn(&[Sample]) -> bool) -> Vec<Sample> {
        let pid = rustix::process::Pid::from_child(&self.child);
        let handle = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        let deadline = Instant::now() + DEADLINE;
        loop {
            let series = self.query(expression);
            if wanted(&series) {
                return series;
            }
            if Instant::now() > deadline {
                let targets = self.get("/api/v1/targets");
                panic!("{expression} was never as wanted: {series:#?}\n{targets:#}");
            }
            let mut end = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
            let step = rustix::event::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            assert_eq!(rustix::event::poll(&mut end, Some(&step)), Ok(0), "Prometheus has ended");
        }
    }

    /// Waits until an alert fires that is as wanted.
    pub fn wait_for_alert(&self, what: &str, wanted: impl Fn(&Alert) -> bool) -> Alert {
        let (fired, changed) = &*self.fired;
        let none = |fired: &mut Vec<Alert>| !fired.iter().any(&wanted);
        let fired = changed.wait_timeout_while(fired.lock().unwrap(), DEADLINE, none).unwrap().0;
        let found = fired.iter().find(|alert| wanted(alert)).cloned();
        let all = fired.clone();
        drop(fired);
        found.unwrap_or_else(|| panic!("{what} never fired, but {all:#?}\n{}", self.get("/api/v1/alerts")))
    }

    /// The names of the alerts that have fired so far.
    pub fn fired(&self) -> BTreeSet<String> {
        self.fired.0.lock().unwrap().iter().map(|alert| alert.name().to_owned()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What Alertmanager does with POST /api/v2/alerts.
fn receive(conversation: &mut Conversation, fired: &Fired) {
    while let Some(head) = conversation.read_head() {
        let length = head.iter().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        let length: usize = length.parse().unwrap();
        let mut body = Vec::new();
        while body.len() < length {
            let Some(piece) = conversation.read_some() else { return };
            body.extend(piece);
        }
        let alerts: Vec<Alert> = serde_json::from_slice(&body).unwrap();
        fired.0.lock().unwrap().extend(alerts);
        fired.1.notify_all();
        conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
}
