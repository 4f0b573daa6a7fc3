//! nginx, HAProxy and Envoy as plain proxies with two threads or workers, and nginx as the upstream.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::model::ANSWER;
use crate::process::{Server, free_port};

/// A server and where it listens.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
}

/// What every nginx here has in common. Bodies of up to 64 KiB stay in memory, and connections are
/// never closed for their age. Root's nginx would give its workers another user, who cannot read
/// the folder.
fn nginx(
    name: &str,
    workers: usize,
    folder: &Path,
    address: SocketAddr,
    http: &str,
) -> Result<Listening, String> {
    let user = match rustix::process::getuid().is_root() {
        true => "user root;",
        false => "",
    };
    let at = folder.display();
    let text = format!(
        "daemon off; {user} worker_processes {workers}; pid {at}/{name}.pid; error_log stderr error;\n\
         events {{ worker_connections 8192; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;\n\
         client_body_buffer_size 64k; client_body_temp_path {at}/{name}-bodies;\n\
         proxy_temp_path {at}/{name}-proxy; fastcgi_temp_path {at}/{name}-fastcgi;\n\
         uwsgi_temp_path {at}/{name}-uwsgi; scgi_temp_path {at}/{name}-scgi;\n{http}\n}}\n"
    );
    let path = folder.join(format!("{name}.conf"));
    write(&path, &text)?;
    let mut command = Command::new("nginx");
    command.arg("-e").arg("stderr").arg("-p").arg(folder);
    command.arg("-c").arg(&path);
    let server = Server::start(name, command, folder, address)?;
    Ok(Listening { server, address })
}

/// The model server: answers every post at once.
pub(crate) fn upstream(folder: &Path) -> Result<Listening, String> {
    let address = free_port()?;
    let http = format!(
        "server {{ listen {address}; default_type application/json; location / {{ return 200 '{ANSWER}'; }} }}"
    );
    nginx("upstream", 1, folder, address, &http)
}

/// nginx with connections to the upstream kept.
pub(crate) fn nginx_proxy(folder: &Path, upstream: SocketAddr) -> Result<Listening, String> {
    let address = free_port()?;
    let http = format!(
        "upstream model {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}\n\
         server {{ listen {address}; location / {{ proxy_pass http://model; proxy_http_version 1.1; \
         proxy_set_header Connection \"\"; }} }}"
    );
    nginx("nginx", 2, folder, address, &http)
}

pub(crate) fn haproxy(folder: &Path, upstream: SocketAddr) -> Result<Listening, String> {
    let address = free_port()?;
    let text = format!(
        "global\n  nbthread 2\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n\
         frontend clients\n  bind {address}\n  default_backend model\n\
         backend model\n  server model {upstream}\n"
    );
    let path = folder.join("haproxy.cfg");
    write(&path, &text)?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&path);
    let server = Server::start("haproxy", command, folder, address)?;
    Ok(Listening { server, address })
}

pub(crate) fn envoy(
    program: &Path,
    folder: &Path,
    upstream: SocketAddr,
) -> Result<Listening, String> {
    let address = free_port()?;
    let at = |address: SocketAddr| json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } });
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let manager = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let text = json!({ "static_resources": {
        "listeners": [{ "name": "clients", "address": at(address), "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": manager,
                "stat_prefix": "clients",
                "codec_type": "HTTP1",
                "route_config": { "virtual_hosts": [{
                    "name": "model",
                    "domains": ["*"],
                    "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "model" } }],
                }] },
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": { "@type": router },
                }],
            },
        }] }] }],
        "clusters": [{ "name": "model", "type": "STATIC", "load_assignment": {
            "cluster_name": "model",
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": at(upstream) } }] }],
        } }],
    } });
    let path = folder.join("envoy.json");
    write(&path, &text.to_string())?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&path);
    command.args(["--concurrency", "2", "--log-level", "error"]);
    command.arg("--disable-hot-restart");
    let server = Server::start("envoy", command, folder, address)?;
    Ok(Listening { server, address })
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
