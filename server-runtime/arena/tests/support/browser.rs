//! A headless Chromium driven over WebDriver: HTTP with JSON, so a socket and a few lines are enough.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const HINT: &str = "the live view's test needs a browser: apt-get install chromium chromium-driver \
                    (or run scripts/test, which does it)";

/// A browser with one page. Closed, with every process it started, when dropped.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts chromedriver on a free port, and through it a Chromium with a fresh profile.
    pub(crate) fn start(width: u32, height: u32) -> Self {
        for program in ["/usr/bin/chromium", "/usr/bin/chromedriver"] {
            assert!(Path::new(program).exists(), "{program} is missing; {HINT}");
        }
        let mut driver = Command::new("/usr/bin/chromedriver")
            .args(["--port=0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver does not start: {error}; {HINT}"));
        let port = port_of(&mut driver);
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let size = format!("--window-size={width},{height}");
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            &profile,
            &size,
        ];
        let options = json!({"binary": "/usr/bin/chromium", "args": args});
        let wanted = json!({"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}});
        let wanted = json!({"capabilities": {"alwaysMatch": wanted}});
        let started = browser.call("POST", "/session", &wanted);
        browser.session = started["sessionId"].as_str().expect("a session has an id").to_owned();
        browser
    }

    pub(crate) fn open(&self, url: &str) {
        self.in_session("POST", "/url", &json!({ "url": url }));
    }

    /// Runs a script's `return …` in the page.
    pub(crate) fn script(&self, script: &str) -> Value {
        self.in_session("POST", "/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Asks again and again until the script returns true.
    pub(crate) fn wait_until(&self, what: &str, script: &str, longest: Duration) {
        let deadline = Instant::now() + longest;
        while self.script(script) != Value::Bool(true) {
            let state = || self.script("return JSON.stringify(document.body.dataset)");
            assert!(
                Instant::now() < deadline,
                "the page never showed {what}: {} {:?}",
                state(),
                self.complaints()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the page wrote on the console as errors.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.in_session("POST", "/se/log", &json!({"type": "browser"}));
        let severe = |entry: &&Value| entry["level"] == "SEVERE";
        log.as_array()
            .into_iter()
            .flatten()
            .filter(severe)
            .map(|entry| entry["message"].to_string())
            .collect()
    }

    /// The window as PNG.
    pub(crate) fn screenshot(&self) -> Vec<u8> {
        let text = self.in_session("GET", "/screenshot", &Value::Null);
        data_encoding::BASE64
            .decode(text.as_str().expect("a picture is text").as_bytes())
            .expect("in base 64")
    }

    fn in_session(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("/session/{}{path}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let reply = self.exchange(method, path, body).expect("chromedriver answers");
        let mut reply: Value = serde_json::from_slice(&reply).expect("in JSON");
        let value = reply["value"].take();
        assert!(value.get("error").is_none(), "{method} {path}: {value}");
        value
    }

    fn exchange(&self, method: &str, path: &str, body: &Value) -> io::Result<Vec<u8>> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut line = TcpStream::connect(("127.0.0.1", self.port))?;
        line.set_read_timeout(Some(Duration::from_secs(60)))?;
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n");
        write!(line, "{head}Content-Type: application/json\r\nConnection: close\r\n\r\n{body}")?;
        body_of(line)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ending the session ends Chromium; failing that, at least the driver goes.
        let _ = self.exchange("DELETE", &format!("/session/{}", self.session), &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// chromedriver says on standard output which free port it took.
fn port_of(driver: &mut Child) -> u16 {
    let output = driver.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("successfully on port")).expect("chromedriver says its port");
    // Somebody must go on reading, or it blocks on a full pipe.
    std::thread::spawn(move || lines.count());
    line.rsplit(' ').next().and_then(|port| port.trim_end_matches('.').parse().ok()).expect("a number")
}

/// The body of an HTTP reply with a length.
fn body_of(line: TcpStream) -> io::Result<Vec<u8>> {
    let mut reader = BufReader::new(line);
    let mut body = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim().to_ascii_lowercase();
        if let Some(length) = header.strip_prefix("content-length:") {
            body.resize(length.trim().parse().map_err(io::Error::other)?, 0);
        }
        if header.is_empty() {
            reader.read_exact(&mut body)?;
            return Ok(body);
        }
    }
}
