//! The floor, which has no settings.

use std::process::Command;

use super::Site;
use crate::floor::{CLASSIC, CLOSED, COMMAND, GO, OPEN};

pub fn prepare(site: &Site) -> Command {
    let mut command = Command::new(&site.program);
    command.args([COMMAND, &site.port.to_string(), &site.upstream.to_string()]);
    command.arg(&site.certificate).arg(&site.key);
    command.arg(if site.post_quantum { GO } else { CLASSIC });
    command.arg(if site.htpasswd.is_some() { CLOSED } else { OPEN });
    command
}
