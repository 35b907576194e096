//! envoy, with the settings it needs to do what the recipe does, except for passwords: it knows no
//! bcrypt. Where the others check one, it only wants the field `Authorization`.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::Site;
use crate::failure::Outcome;

const TYPES: &str = "type.googleapis.com/envoy.extensions";

pub fn prepare(site: &Site) -> Outcome<Command> {
    let registry = json!({
        "match": { "prefix": "/v2/" },
        // No limit to the time of a transfer.
        "route": { "cluster": "registry", "timeout": "0s" },
    });
    let unauthorized = json!({
        "match": {
            "prefix": "/v2/",
            "headers": [{ "name": "authorization", "present_match": true, "invert_match": true }],
        },
        "direct_response": { "status": 401 },
        "response_headers_to_add": [header("www-authenticate", "Basic realm=\"Registry\"")],
    });
    let routes = if site.htpasswd.is_some() { vec![unauthorized, registry] } else { vec![registry] };
    let http = json!({
        "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "door",
        // Writes X-Forwarded-For and X-Forwarded-Proto.
        "use_remote_address": true,
        "stream_idle_timeout": "900s",
        "access_log": [{
            "name": "file",
            "typed_config": {
                "@type": format!("{TYPES}.access_loggers.file.v3.FileAccessLog"),
                "path": site.folder.join("access.log"),
            },
        }],
        "route_config": {
            "request_headers_to_add": [header("x-real-ip", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%")],
            "virtual_hosts": [{ "name": "registry", "domains": ["*"], "routes": routes }],
        },
        "http_filters": [{
            "name": "router",
            "typed_config": { "@type": format!("{TYPES}.filters.http.router.v3.Router") },
        }],
    });
    let tls = json!({
        "@type": format!("{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext"),
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_2",
                "tls_maximum_protocol_version": "TLSv1_3",
                "ecdh_curves": site.groups("X25519MLKEM768 X25519", "X25519").split(' ').collect::<Vec<_>>(),
            },
            "tls_certificates": [{
                "certificate_chain": { "filename": site.certificate },
                "private_key": { "filename": site.key },
            }],
        },
    });
    let settings = json!({
        "static_resources": {
            "listeners": [{
                "address": address("127.0.0.1", site.port),
                "filter_chains": [{
                    "transport_socket": { "name": "tls", "typed_config": tls },
                    "filters": [{ "name": "http", "typed_config": http }],
                }],
            }],
            "clusters": [{
                "name": "registry",
                "type": "STATIC",
                "load_assignment": {
                    "cluster_name": "registry",
                    "endpoints": [{
                        "lb_endpoints": [{
                            "endpoint": { "address": address(&site.upstream.ip().to_string(), site.upstream.port()) },
                        }],
                    }],
                },
            }],
        },
    });
    let file = site.folder.join("envoy.json");
    fs::write(&file, settings.to_string())?;
    let mut command = Command::new(&site.program);
    command.args(["--disable-hot-restart", "--log-level", "error", "--config-path"]).arg(file);
    Ok(command)
}

fn header(key: &str, value: &str) -> Value {
    json!({ "header": { "key": key, "value": value } })
}

fn address(host: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": host, "port_value": port } })
}
