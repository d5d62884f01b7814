//! The admin address of a running gateway: where it is, who may ask, and what a refusal means.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gateway::config;
use gateway::config::plan::Admin;
use gateway::kit::clock::Clock;
use gateway::reload::environment;

use crate::cli::client::{Answer, Place, Question, Trouble, ask};
use crate::cli::{Fault, args, configuration, terminal, token_in};

/// A gateway that can be asked.
pub struct Desk {
    place: Place,
    token: Option<String>,
}

impl Desk {
    /// Finds the address and the token by the words, the environment and the configuration, in this order.
    pub fn find(config: Option<PathBuf>, words: &args::Desk) -> Result<Self, Fault> {
        let (place, admin) = match &words.admin {
            Some(text) => {
                let place = Place::parse(text).ok_or_else(|| {
                    let help = "write \"127.0.0.1:9900\" or \"unix:/run/sluice/admin.sock\"";
                    Fault::usage(format!("\"{text}\" is not an admin address"), help)
                })?;
                // The token of a configuration nobody has named is for nobody but its own gateway.
                let admin = config.and_then(|path| config::admin_of(&path, &environment).ok().flatten());
                (place, admin)
            }
            None => {
                let path = configuration(config)?;
                let admin = admin_in(&path)?;
                let place = Place::of(&admin.address).ok_or_else(|| {
                    let message = format!("{} lets the system choose the admin port", path.display());
                    Fault::usage(message, "name the one `sluice run` has printed: --admin ADDRESS")
                })?;
                (place, Some(admin))
            }
        };
        let token = token(words, admin.as_ref())?;
        Ok(Self { place, token })
    }

    /// Asks, and sees to refusals of the asking itself.
    pub fn ask(&self, method: &'static str, path: &str, body: &str) -> Result<Answer, Fault> {
        self.ask_for(method, path, body, false)
    }

    /// The same for something that starts a process.
    pub fn ask_patiently(&self, method: &'static str, path: &str, body: &str) -> Result<Answer, Fault> {
        self.ask_for(method, path, body, true)
    }

    fn ask_for(&self, method: &'static str, path: &str, body: &str, is_slow: bool) -> Result<Answer, Fault> {
        let question = Question {
            method,
            path,
            token: self.token.as_deref(),
            body,
            is_slow,
        };
        let answer = ask(&self.place, &question, &Clock::system()).map_err(|t| self.unanswered(&t))?;
        if answer.status == 401 {
            let message = format!("{} refuses: the admin token is missing or wrong", self.place);
            let help = "name its file: --token-file FILE, or -c FILE of the running gateway; or set SLUICE_ADMIN_TOKEN";
            return Err(Fault::failed(message, help));
        }
        Ok(answer)
    }

    /// What an answer means that no command has a use for.
    pub fn unexpected(&self, answer: &Answer) -> Fault {
        let json: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
        let detail = json.as_ref().and_then(|v| v["detail"].as_str());
        let detail = detail.unwrap_or("it does not say why; is it a gateway of this version?");
        let message = format!("{} answers {}: {detail}", self.place, answer.status);
        Fault::failed(message, "")
    }

    fn unanswered(&self, trouble: &Trouble) -> Fault {
        let message = format!("{}: {trouble}", self.place);
        let help = match trouble {
            Trouble::Connect(error) => match error.kind() {
                ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
                    "is the gateway running? `sluice run` starts it and prints its admin address; name another: --admin ADDRESS"
                }
                ErrorKind::PermissionDenied => "run as the gateway's user, or as a member of its group",
                _ => "can this machine reach the address? name another: --admin ADDRESS",
            },
            Trouble::Broken(_) | Trouble::Cut => "has the gateway just stopped? its last lines on stderr say",
            Trouble::Slow(_) => {
                "is the machine overloaded? try again, and see what the gateway tells on stderr"
            }
            Trouble::Nonsense(_) => "compare it with [admin] address of the running gateway's configuration",
        };
        Fault::failed(message, help)
    }
}

/// The section of a configuration that need not be usable: the gateway may run by an older text.
fn admin_in(path: &Path) -> Result<Admin, Fault> {
    let file = path.display();
    match config::admin_of(path, &environment) {
        Ok(Some(admin)) => Ok(admin),
        Ok(None) => Err(Fault::usage(
            format!("{file} has no [admin] section, so its gateway cannot be asked"),
            "add the section and restart; or use signals: kill -HUP reloads, -USR1 reopens the log, -USR2 upgrades, -TERM stops",
        )),
        Err(problems) => {
            terminal::tell(&problems.render(terminal::stderr_has_colour()));
            let message = format!("{file} does not tell the admin address");
            Err(Fault::usage(message, "name it: --admin ADDRESS"))
        }
    }
}

fn token(words: &args::Desk, admin: Option<&Admin>) -> Result<Option<String>, Fault> {
    let in_environment = environment("SLUICE_ADMIN_TOKEN").filter(|token| !token.is_empty());
    let token = match (&words.token_file, in_environment) {
        (Some(file), _) => Some(token_in(file)?),
        (None, Some(token)) => Some(token.trim().to_owned()),
        (None, None) => {
            let file = admin.and_then(|a| a.token_file.as_deref());
            file.map(token_in).transpose()?
        }
    };
    // Anything else would end the field it is sent in.
    if token
        .as_ref()
        .is_some_and(|t| t.is_empty() || !t.bytes().all(|b| b.is_ascii_graphic()))
    {
        let help = "an admin token is one word of printable characters";
        return Err(Fault::usage("the admin token is empty or no single word", help));
    }
    Ok(token)
}
