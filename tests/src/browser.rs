//! A real browser without a window, spoken to by WebDriver.
//!
//! Everything here is JSON over plain HTTP to `chromedriver`, which starts the browser and ends it with its session.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::patience::wait_for;
use crate::process::Process;

/// A browser takes its time to start on a loaded machine.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// No window, no network but what the play asks for. Inside a container there is no sandbox to be had.
const FLAGS: [&str; 5] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--window-size=1360,1000",
];

/// The name of an element in answers, fixed by the WebDriver standard.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A running browser with one empty page. Dropping it ends it.
pub struct Browser {
    driver: Process,
    address: SocketAddr,
    session: String,
}

impl Browser {
    /// Starts a browser.
    ///
    /// # Panics
    /// If there is none: says what to install.
    #[track_caller]
    pub fn start() -> Self {
        for program in ["chromium", "chromedriver"] {
            let found = Command::new(program).arg("--version").output();
            assert!(
                found.is_ok_and(|out| out.status.success()),
                "{program} is missing; run: deploy/tools.sh chromium chromedriver=chromium-driver"
            );
        }
        let mut command = Command::new("chromedriver");
        command.arg("--port=0");
        let mut driver = Process::start(command);
        let said = driver.wait_said("ChromeDriver was started successfully on port ");
        let port = said
            .trim_end_matches('.')
            .parse()
            .expect("chromedriver names its port");
        let mut browser = Self {
            driver,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            session: String::new(),
        };
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": FLAGS },
        } } });
        let made = browser.call("POST", "/session", &wanted);
        browser.session = text(&made["sessionId"]);
        browser
    }

    /// Goes to an address and waits until the page is loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.ask("/url", &json!({ "url": url }));
    }

    /// Runs a script in the page, which gets the arguments as `arguments`; what it returns.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.ask("/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// The text of the first such element as a person sees it; None if there is none to be seen.
    #[track_caller]
    pub fn text(&self, css: &str) -> Option<String> {
        let look = "const found = document.querySelector(arguments[0]); \
                    return found?.checkVisibility() ? found.innerText : null";
        self.run(look, &[css.into()]).as_str().map(str::to_owned)
    }

    /// Waits until the first such element says something of which this is true.
    #[track_caller]
    pub fn wait_text(&self, css: &str, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        wait_for(&format!("{css} says {what}"), || {
            self.text(css).filter(|t| is_so(t))
        })
    }

    /// Clicks with the mouse on the first such element, as soon as it can be clicked.
    #[track_caller]
    pub fn click(&self, css: &str) {
        let element = self.element(css);
        wait_for(&format!("{css} can be clicked"), || {
            self.try_ask(&format!("/element/{element}/click"), &json!({}))
                .ok()
        });
    }

    /// Types into the first such element, as on a keyboard.
    #[track_caller]
    pub fn type_into(&self, css: &str, words: &str) {
        let element = self.element(css);
        self.ask(&format!("/element/{element}/value"), &json!({ "text": words }));
    }

    /// What the browser has complained about since this was asked last: errors and warnings of scripts, of the
    /// network, and of the page's policy.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let log = self.ask("/se/log", &json!({ "type": "browser" }));
        let entries = log.as_array().expect("a log is a list").iter();
        let is_bad = |entry: &&Value| entry["level"] == "SEVERE" || entry["level"] == "WARNING";
        entries
            .filter(is_bad)
            .map(|entry| text(&entry["message"]))
            .collect()
    }

    /// Fails unless there was nothing to complain about.
    #[track_caller]
    pub fn expect_no_complaint(&self) {
        let complaints = self.complaints();
        assert!(
            complaints.is_empty(),
            "the browser complains:\n{}",
            complaints.join("\n")
        );
    }

    #[track_caller]
    fn element(&self, css: &str) -> String {
        let by = json!({ "using": "css selector", "value": css });
        let found = wait_for(&format!("there is {css}"), || self.try_ask("/element", &by).ok());
        text(&found[ELEMENT])
    }

    #[track_caller]
    fn ask(&self, path: &str, body: &Value) -> Value {
        self.try_ask(path, body)
            .unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    fn try_ask(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.try_call("POST", &format!("/session/{}{path}", self.session), body)
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_call(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let answer = exchange(self.address, method, path, body).map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_str(&answer).map_err(|e| format!("{e} in {answer:?}"))?;
        let value = answer["value"].take();
        match value.get("error").and_then(Value::as_str) {
            Some(error) => Err(format!("{error}: {}", text(&value["message"]))),
            None => Ok(value),
        }
    }
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a browser by process {}", self.driver.id())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.try_ask("/se/log", &json!({ "type": "browser" }));
            eprintln!("--- the browser's console\n{log:#?}\n---");
        }
        // The driver's end would leave the browser running.
        let _gone = self.try_call("DELETE", &format!("/session/{}", self.session), &json!({}));
    }
}

/// One request on a connection of its own; the body of the answer. Chromedriver tells the length of each.
fn exchange(to: SocketAddr, method: &str, path: &str, body: &Value) -> std::io::Result<String> {
    let body = body.to_string();
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut got = Vec::new();
    let mut space = [0; 16 * 1024];
    loop {
        if let Some(whole) = body_of(&got) {
            return Ok(whole);
        }
        match stream.read(&mut space)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => got.extend_from_slice(&space[..n]),
        }
    }
}

/// The body, once all of it is there.
fn body_of(got: &[u8]) -> Option<String> {
    let end = got.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&got[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:"))?;
    let body = got.get(end..end + length.trim().parse::<usize>().ok()?)?;
    Some(String::from_utf8_lossy(body).into_owned())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_taken_when_all_of_it_is_there() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd";
        assert_eq!(body_of(whole).as_deref(), Some("abcd"));
        assert_eq!(body_of(&whole[..whole.len() - 1]), None);
        assert_eq!(body_of(&whole[..20]), None);
    }
}
