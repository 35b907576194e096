//! A running proxy.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use crate::failure::Outcome;
use crate::http1::{Http1, Request};
use crate::peers::{Installed, Site};
use crate::process::Process;
use crate::scratch::{Scratch, Users};
use crate::target::{Groups, Reads, Target};

const LOOK_AGAIN: Duration = Duration::from_millis(2);

pub struct Front {
    pub process: Process,
    pub target: Target,
    /// The time from the start of the process to the first 200.
    pub start_up: Duration,
    /// The group that it agreed on keys with.
    pub group: Option<String>,
}

impl Front {
    /// Starts a peer in front of `upstream` and waits until the user can sign in, but no longer
    /// than `patience`.
    pub async fn start(
        peer: &Installed,
        scratch: &mut Scratch,
        upstream: SocketAddr,
        users: Option<Users>,
        groups: Groups,
        patience: Duration,
    ) -> Outcome<Front> {
        let site = Site {
            program: peer.program.clone(),
            version: peer.version.clone(),
            folder: scratch.folder(peer.peer.name())?,
            port: free_port()?,
            certificate: scratch.certificate.clone(),
            key: scratch.key.clone(),
            upstream,
            htpasswd: users.map(|users| scratch.htpasswd(users)).transpose()?,
            post_quantum: groups == Groups::Go,
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, site.port));
        let target = Target::new(address, &scratch.certificate_der, users.is_some(), groups)?;
        let (command, end) = peer.peer.prepare(&site)?;
        let began = Instant::now();
        let mut process = Process::start(&command, &site.folder, end)?;
        let request = Request::new("GET", "/v2/", &target);
        loop {
            let answer = async {
                let mut client = Http1::connect(&target, Reads::Small).await?;
                client.expect(&request, 200).await?;
                Outcome::Ok(client.connection().get_ref().1.negotiated_key_exchange_group())
            };
            match answer.await {
                Ok(group) => {
                    let group = group.map(|group| format!("{:?}", group.name()));
                    return Ok(Front { process, target, start_up: began.elapsed(), group });
                }
                Err(_) if process.has_ended() => {
                    return Err(format!("it does not start: {}", process.last_words()).into());
                }
                Err(failure) if began.elapsed() > patience => {
                    return Err(format!("it does not serve after {} s: {failure}", patience.as_secs()).into());
                }
                Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
