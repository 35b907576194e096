//! A route that the settings gain in the middle of pushes.

use rustix::process::Signal;

use super::{AUTH, ask};
use crate::harness::http1::{self, Client, Response};
use crate::harness::image::{push_tiny, sha256};
use crate::harness::registry::Registry;
use crate::harness::tidegate::{Settings, Tidegate};

const BLOB: &[u8] = b"first half, second half";
const HALF: usize = BLOB.len() / 2;

/// Begins an upload and sends the first half of its only part.
fn begin(tidegate: &Tidegate, repository: &str) -> Client {
    let begun = ask(tidegate, &format!("POST /v2/{repository}/blobs/uploads/"));
    assert_eq!(begun.status, 202, "{}", begun.text());
    let mut client = Client::connect(tidegate);
    let line = format!("PATCH {}", place(&begun));
    client.send(http1::head(&line, &[AUTH, &format!("Content-Length: {}", BLOB.len())]));
    client.send(&BLOB[..HALF]);
    client
}

/// Sends the second half, and completes the upload at the place that the answer names.
fn complete(tidegate: &Tidegate, client: &mut Client) -> Response {
    client.send(&BLOB[HALF..]);
    let patched = client.response(false).unwrap();
    assert_eq!(patched.status, 202, "{}", patched.text());
    ask(tidegate, &format!("PUT {}&digest=sha256:{}", place(&patched), sha256(BLOB)))
}

/// Where an upload goes on.
fn place(answer: &Response) -> &str {
    let location = answer.all("location")[0];
    &location[location.find("/v2/").unwrap()..]
}

fn pull(tidegate: &Tidegate, repository: &str) -> Response {
    ask(tidegate, &format!("GET /v2/{repository}/blobs/sha256:{}", sha256(BLOB)))
}

#[test]
fn a_push_elsewhere_never_notices_a_new_route_and_one_that_moves_begins_again() {
    let (usual, other) = (Registry::start(), Registry::start());
    let tidegate = Tidegate::start(Settings::for_upstream(&usual.url()));
    let (mut stays, mut moves) = (begin(&tidegate, "team/app"), begin(&tidegate, "hub/app"));

    let route = format!("\n[[route]]\nrepositories = [\"hub/**\"]\nservers = [{:?}]\n", other.url());
    std::fs::write(tidegate.settings.file(), tidegate.settings.toml() + &route).unwrap();
    tidegate.signal(Signal::HUP);
    tidegate.log.wait_for("the reload", |line| line.contains("reloaded"));

    let stayed = complete(&tidegate, &mut stays);
    assert_eq!(stayed.status, 201, "{}", stayed.text());
    assert_eq!(pull(&tidegate, "team/app").body, BLOB);
    // The other registry has never heard of the upload, and clients begin again when told so.
    let moved = complete(&tidegate, &mut moves);
    assert_eq!((moved.status, moved.error_code().as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
    assert_eq!(pull(&tidegate, "hub/app").status, 404);
    push_tiny(&mut Client::connect(&tidegate), AUTH, "hub/app", "one");
    for (registry, status) in [(&usual, 404), (&other, 200)] {
        let alone = Tidegate::start(Settings::for_upstream(&registry.url()));
        assert_eq!(ask(&alone, "GET /v2/hub/app/manifests/one").status, status);
    }
}
