//! Debian's `docker-registry`: a real registry behind the proxies.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::failure::Outcome;
use crate::front::free_port;
use crate::process::{End, Process};
use crate::scratch::Scratch;

const START: Duration = Duration::from_secs(15);

pub struct Registry {
    pub address: SocketAddr,
    _process: Process,
}

impl Registry {
    pub async fn start(scratch: &mut Scratch) -> Outcome<Registry> {
        let folder = scratch.folder("registry")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let file = folder.join("config.yml");
        let settings = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage:\n  filesystem: {{rootdirectory: {}}}\nhttp: {{addr: '{address}', secret: one}}\n",
            folder.join("data").display()
        );
        fs::write(&file, settings)?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(file);
        let mut process = Process::start(&command, &folder, End::Kill)?;
        let began = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            if process.has_ended() || began.elapsed() > START {
                return Err(format!("docker-registry does not start: {}", process.last_words()).into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Registry { address, _process: process })
    }
}
