//! Where the registry's `Location` fields send a client.

use crate::harness::fake::Fake;
use crate::harness::http1::{self, authorized};
use crate::harness::http2;
use crate::harness::registry::Registry;
use crate::harness::tidegate::{Settings, Tidegate};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";

/// The Location of a new upload, over both protocols.
fn upload_locations(tidegate: &Tidegate) -> [String; 2] {
    let host = tidegate.host();
    let first = http1::Client::connect(tidegate)
        .exchange("POST /v2/team/app/blobs/uploads/", &[&format!("Host: {host}"), AUTH, "Content-Length: 0"]);
    assert_eq!(first.status, 202, "{}", first.text());
    let request = http2::request("POST", &host, "/v2/team/app/blobs/uploads/", &[AUTH, "content-length: 0"]);
    let second = http2::Client::connect(tidegate).exchange(request);
    assert_eq!(second.status(), 202);
    [first.all("Location")[0].to_owned(), second.all("Location")[0].to_owned()]
}

#[test]
fn an_upload_continues_at_the_host_and_port_the_client_used() {
    let registry = Registry::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let wanted = format!("https://{}/v2/team/app/blobs/uploads/", tidegate.host());
    for location in upload_locations(&tidegate) {
        assert!(location.starts_with(&wanted), "{location}");
        assert!(location.contains("_state="), "the query is kept: {location}");
    }
}

#[test]
fn an_upload_continues_there_even_if_the_registry_reports_another_host() {
    for http in ["  host: http://registry.internal:5000\n", "  host: https://other.example/behind/\n"] {
        let registry = Registry::start_with(http);
        let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
        let wanted = format!("https://{}/v2/team/app/blobs/uploads/", tidegate.host());
        for location in upload_locations(&tidegate) {
            assert!(location.starts_with(&wanted), "{location} with {http}");
        }
    }
}

#[test]
fn a_redirect_to_object_storage_passes_untouched() {
    let storage = "https://bucket.storage.example/v2/blobs/sha256/ab?X-Signature=a%2Fb";
    let registry = Fake::location_teller("307 Temporary Redirect", storage);
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let response = http1::Client::connect(&tidegate)
        .exchange(&format!("GET /v2/a/blobs/sha256:{}", "a".repeat(64)), &[&authorized()]);
    assert_eq!((response.status, response.all("Location")), (307, vec![storage]));
}

#[test]
fn a_redirect_to_the_registry_itself_becomes_one_to_tidegate() {
    let path = format!("/v2/a/blobs/sha256:{}", "a".repeat(64));
    for absolute in [true, false] {
        let target = path.clone();
        let registry = Fake::start(move |conversation| {
            let own = if absolute { format!("http://{}", conversation.address()) } else { String::new() };
            let answer = format!("HTTP/1.1 307 T\r\nLocation: {own}{target}\r\nContent-Length: 0\r\n\r\n");
            while conversation.read_head().is_some() {
                conversation.write(answer.as_bytes());
            }
        });
        let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
        let host = format!("Host: {}", tidegate.host());
        let response = http1::Client::connect(&tidegate).exchange(&format!("GET {path}"), &[&host, AUTH]);
        assert_eq!(response.all("Location"), [format!("https://{}{path}", tidegate.host())]);
    }
}
