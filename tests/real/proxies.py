"""The proxies driftd is compared with, each before the same applications and with its defaults."""

import json
import socket
import sys
from pathlib import Path

from processes import Process, free_port, wait_until


def reachable(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Proxy(Process):
    """A proxy with one port of its own for each upstream."""

    def __init__(self, directory, upstreams):
        directory.mkdir(parents=True, exist_ok=True)
        self.ports = {name: free_port() for name in upstreams}
        routes = [(self.ports[name], url.removeprefix("http://"))
                  for name, url in upstreams.items()]
        super().__init__(self.command_line(directory, routes), directory)
        for port in self.ports.values():
            wait_until(lambda port=port: reachable(port) or not self.running(), 30, self.name)
        assert self.running(), self.describe()

    def address(self, name):
        return "127.0.0.1", self.ports[name]


class Nginx(Proxy):
    """As its documentation has it for a proxy: HTTP/1.1 to the upstream, the Host passed on."""

    def command_line(self, directory, routes):
        servers = "\n".join(
            f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{upstream};"
            ' proxy_http_version 1.1; proxy_set_header Host $host;'
            ' proxy_set_header Connection ""; } }'
            for port, upstream in routes)
        paths = "\n".join(f"{kind}_temp_path {directory}/{kind};"
                          for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        config = directory / "nginx.conf"
        config.write_text(
            f"daemon off; master_process off; pid {directory}/nginx.pid; events {{}}\n"
            f"http {{ access_log off;\n{paths}\n{servers}\n}}\n", encoding="utf-8")
        return ["nginx", "-p", directory, "-e", "stderr", "-c", config]


class Haproxy(Proxy):
    """HTTP mode with timeouts that no test waits for."""

    def command_line(self, directory, routes):
        parts = ["defaults", " mode http", " timeout connect 5s", " timeout client 30s",
                 " timeout server 30s"]
        for number, (port, upstream) in enumerate(routes):
            parts += [f"frontend f{number}", f" bind 127.0.0.1:{port}",
                      f" default_backend b{number}",
                      f"backend b{number}", f" server s {upstream}"]
        config = directory / "haproxy.cfg"
        config.write_text("\n".join(parts) + "\n", encoding="utf-8")
        return ["haproxy", "-db", "-f", config]


class Envoy(Proxy):
    """The connection manager and router with what they need and nothing else."""

    def command_line(self, directory, routes):
        listeners, clusters = [], []
        for number, (port, upstream) in enumerate(routes):
            host, upstream_port = upstream.split(":")
            cluster = f"c{number}"
            manager = {
                "@type": "type.googleapis.com/envoy.extensions.filters.network."
                         "http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": cluster,
                "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                    {"match": {"prefix": "/"}, "route": {"cluster": cluster}}]}]},
                "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                }}],
            }
            listeners.append({"address": at("127.0.0.1", port), "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
            }]}]})
            clusters.append({"name": cluster, "load_assignment": {
                "cluster_name": cluster, "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": at(host, int(upstream_port))}}]}]}})
        config = directory / "envoy.json"
        config.write_text(json.dumps({"static_resources": {
            "listeners": listeners, "clusters": clusters}}), encoding="utf-8")
        # The package keeps the program beside the interpreter's.
        program = Path(sys.executable).with_name("envoy")
        return [program, "-c", config, "--disable-hot-restart", "--concurrency", "1",
                "--log-level", "error"]


def at(host, port):
    return {"socket_address": {"address": host, "port_value": port}}
