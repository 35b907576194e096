//! `tidegate top`: the status page in a terminal.

mod chart;
mod error;
mod events;
mod facts;
mod figures;
mod frame;
mod line;
mod problems;
mod screen;
mod size;
mod tables;
mod watch;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use http::{HeaderValue, StatusCode};
use serde_json::Value;
use tokio::runtime::Builder;

use self::error::TopError;
use self::frame::{Speed, View, frame};
use self::line::Look;
use self::size::Size;
use super::admin_client::{Client, address_option, nearest};
use super::exit;
use super::htpasswd::password;
use super::settings_file::SettingsFile;
use crate::config::{AdminAddress, Config};

const PATH: &str = "/api/status";

/// Watch who pushes and pulls what right now, in a terminal
///
/// Shows running transfers, the last hour, recent refusals, and what needs attention, as the status
/// page does. Asks a running tidegate at its address in server.admin. `q` or Ctrl-C ends it. Exits
/// with 69 if tidegate does not answer, or does not show its status to this machine.
#[derive(Args)]
pub(super) struct Top {
    #[command(flatten)]
    settings: SettingsFile,
    /// Ask this address instead of one of the settings: IP:PORT or unix:/path
    #[arg(long, value_name = "ADDRESS", value_parser = address_option, conflicts_with_all = ["config", "file"])]
    admin: Option<AdminAddress>,
    /// Log in as this user of admin.htpasswd
    ///
    /// Asks for the password, or reads it from standard input if that is not a terminal.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Print one frame, and exit
    #[arg(long)]
    once: bool,
    /// Print the status as JSON, and exit
    #[arg(long)]
    json: bool,
}

impl Top {
    pub(super) fn run(self) -> ExitCode {
        exit::finish(self.shown(), TopError::exit_code)
    }

    /// Returns what is left to print.
    fn shown(self) -> Result<String, TopError> {
        let (once, json) = (self.once || !io::stdout().is_terminal(), self.json);
        let client = self.client()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            if json {
                Ok(format!("{:#}\n", status(&client).await?))
            } else if once {
                Ok(one_frame(&status(&client).await?))
            } else {
                watch::watch(&client, look()).await?;
                Ok(String::new())
            }
        })
    }

    fn client(self) -> Result<Client, TopError> {
        let address = match self.admin {
            Some(address) => address,
            None => {
                let path = self.settings.path();
                let addresses = Config::admin_addresses(&path).map_err(TopError::Settings)?;
                nearest(&addresses).cloned().ok_or(TopError::NoAddress(path))?
            }
        };
        let login = self.user.map(|user| {
            let password = password::read(&user, false)?;
            credentials(&user, password.expose())
        });
        Ok(Client::new(address, login.transpose()?))
    }
}

fn credentials(user: &str, password: &[u8]) -> Result<HeaderValue, TopError> {
    let pair = [user.as_bytes(), b":", password].concat();
    let value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair)));
    let mut value = value.map_err(io::Error::other)?;
    value.set_sensitive(true);
    Ok(value)
}

fn look() -> Look {
    // https://no-color.org
    let is_colored = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if is_colored { Look::Color } else { Look::Plain }
}

async fn status(client: &Client) -> Result<Value, TopError> {
    let answer = client.get(PATH).await?;
    if answer.status() != StatusCode::OK {
        return Err(TopError::refused(client, answer.status()));
    }
    serde_json::from_slice(answer.body())
        .map_err(|error| TopError::Unreadable(client.address().clone(), error))
}

fn one_frame(status: &Value) -> String {
    let look = if io::stdout().is_terminal() { look() } else { Look::Text };
    let size = Size::unbounded();
    let none = Value::Null;
    let chart = status.get("chart").unwrap_or(&none);
    let lines = frame(&View { status, speed: Speed::of_last_slot(chart), chart, lost: None }, size);
    lines.iter().map(|line| line.render(size.width, look) + "\n").collect()
}
