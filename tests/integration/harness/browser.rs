//! Debian's Chromium without a window, over the pipes of its DevTools protocol.
//! <https://chromedevtools.github.io/devtools-protocol/>

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{DEADLINE, child};

/// Reads commands from descriptor 3 and writes to 4, which the shell connects to ours. It refuses
/// its sandbox to root.
const START: &str = "exec chromium-headless-shell --remote-debugging-pipe --no-sandbox --disable-gpu \
    --no-first-run --disable-background-networking --user-data-dir=\"$0\" about:blank 3<&0 4>&1 </dev/null >/dev/null 2>&1";

/// Records what the content security policy has refused.
const WATCH_POLICY: &str = "window.refused = []; addEventListener('securitypolicyviolation', \
    event => refused.push(event.violatedDirective + ' ' + event.blockedURI));";

pub struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    last: u64,
    session: Value,
    /// Errors and warnings of the console, and exceptions of scripts.
    pub complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser with one empty page.
    pub fn start() -> Browser {
        let profile = TempDir::new().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", START]).arg(profile.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child::spawn(command).unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in output.split(0).map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else { return };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let commands = child.stdin.take().unwrap();
        let mut browser = Browser {
            child,
            commands,
            messages,
            last: 0,
            session: Value::Null,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].take();
        let attach = json!({"targetId": target, "flatten": true});
        browser.session = browser.call("Target.attachToTarget", attach)["sessionId"].take();
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": WATCH_POLICY}));
        browser
    }

    /// The width of the page in CSS pixels, and the color scheme that the user prefers.
    pub fn view(&mut self, width: u32, scheme: &str) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    pub fn open(&mut self, url: &str) {
        let opened = self.call("Page.navigate", json!({"url": url}));
        assert!(opened.get("errorText").is_none(), "{url}: {opened}");
        self.wait_for("document.readyState === 'complete'");
    }

    /// The value of an expression, or of its promise.
    pub fn value(&mut self, expression: &str) -> Value {
        let script = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", script);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits in the page until the expression is true, and returns its value.
    pub fn wait_for(&mut self, expression: &str) -> Value {
        let limit = DEADLINE.as_millis();
        let value = self.value(&format!(
            "new Promise((done, failed) => {{ const until = Date.now() + {limit}; const look = () => {{ \
             const value = {expression}; if (value) done(value); \
             else if (Date.now() > until) done(null); else setTimeout(look, 50); }}; look(); }})"
        ));
        if value.is_null() {
            let shown = self.value("document.body.innerText");
            panic!("not within {limit} ms: {expression}\n{}", shown.as_str().unwrap_or_default());
        }
        value
    }

    /// Writes a PNG of the page from its top, at most `height` pixels high.
    pub fn screenshot(&mut self, file: &Path, height: u32) -> usize {
        let width = self.value("innerWidth");
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let picture = json!({"format": "png", "clip": clip, "captureBeyondViewport": true});
        let answer = self.call("Page.captureScreenshot", picture);
        let png = BASE64_STANDARD.decode(answer["data"].as_str().unwrap()).unwrap();
        fs::write(file, &png).unwrap();
        png.len()
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method, "params": parameters});
        if self.session.is_string() {
            command["sessionId"] = self.session.clone();
        }
        let bytes = [command.to_string().as_bytes(), b"\0"].concat();
        self.commands.write_all(&bytes).expect("chromium-headless-shell runs: tests/run.sh installs it");
        loop {
            let mut message =
                self.messages.recv_timeout(DEADLINE * 2).unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == self.last {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    fn note(&mut self, message: &Value) {
        let is_complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => message["params"]["type"] == "error",
            Some("Log.entryAdded") => message["params"]["entry"]["level"] == "error",
            _ => false,
        };
        if is_complaint {
            self.complaints.push(message["params"].to_string());
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
