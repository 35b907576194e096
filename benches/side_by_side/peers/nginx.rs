//! nginx in two versions: as in the registry's documentation, and as an expert would configure it
//! for a registry.
//!
//! Both differ from the recipe where a fair comparison requires it: TLS 1.3 with one cipher,
//! HTTP/2, more than 1024 connections, and no limit of 1000 requests per kept-alive
//! connection.

use std::fs;
use std::process::Command;

use super::Site;
use crate::failure::Outcome;

pub struct Variant {
    http: &'static str,
    upstream: &'static str,
    location: &'static str,
}

pub const RECIPE: Variant = Variant { http: "", upstream: "", location: "" };

pub const TUNED: Variant = Variant {
    http: "sendfile on; tcp_nopush on; ssl_buffer_size 64k;",
    upstream: "keepalive 64; keepalive_requests 1000000;",
    location: "proxy_http_version 1.1;
      proxy_set_header Connection '';
      proxy_request_buffering off;
      proxy_buffer_size 64k;
      proxy_buffers 16 64k;
      proxy_busy_buffers_size 256k;
      proxy_max_temp_file_size 0;
      client_body_buffer_size 256k;",
};

pub fn prepare(site: &Site, variant: &Variant) -> Outcome<Command> {
    let auth = site.htpasswd.as_ref().map_or(String::new(), |file| {
        format!("auth_basic 'Registry realm'; auth_basic_user_file {};", file.display())
    });
    // The older way is deprecated since 1.25.1.
    let (http2, listen) =
        if site.version.is_at_least(1, 26) { ("http2 on;", "ssl") } else { ("", "ssl http2") };
    let settings = format!(
        r#"daemon off;
user root;
worker_processes auto;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log access.log;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  {http}
  upstream docker-registry {{ server {upstream}; {keep} }}
  map $upstream_http_docker_distribution_api_version $docker_distribution_api_version {{
    '' 'registry/2.0';
  }}
  server {{
    listen 127.0.0.1:{port} {listen};
    {http2}
    server_name localhost;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    ssl_ecdh_curve {curves};
    ssl_prefer_server_ciphers on;
    ssl_session_cache shared:SSL:10m;
    keepalive_requests 1000000;
    client_max_body_size 0;
    chunked_transfer_encoding on;
    location /v2/ {{
      if ($http_user_agent ~ "^(docker\/1\.(3|4|5(?!\.[0-9]-dev))|Go ).*$" ) {{ return 404; }}
      {auth}
      add_header 'Docker-Distribution-Api-Version' $docker_distribution_api_version always;
      proxy_pass http://docker-registry;
      proxy_set_header Host $http_host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_read_timeout 900;
      {location}
    }}
  }}
}}
"#,
        http = variant.http,
        upstream = site.upstream,
        keep = variant.upstream,
        port = site.port,
        curves = site.groups("X25519MLKEM768:X25519", "X25519"),
        certificate = site.certificate.display(),
        key = site.key.display(),
        location = variant.location,
    );
    let file = site.folder.join("nginx.conf");
    fs::write(&file, settings)?;
    let mut command = Command::new(&site.program);
    command.arg("-p").arg(&site.folder).arg("-c").arg(file).args(["-e", "error.log"]);
    Ok(command)
}
