//! The stand-in for `docker.io/library/nginx:1.27-alpine`: Debian's nginx with the libraries it needs, laid out and
//! configured like the official image. It does not know what is built on it.

use serde_json::{Value, json};

use super::CREATED;
use crate::harness::Result;
use crate::harness::image::{Entry, Layer, Tree};
use crate::harness::tools::Tools;

/// Where daemons find it: the mirror path of the official name.
pub const NGINX: &str = "docker.io/library/nginx:1.27-alpine";

const NGINX_CONF: &str = r#"user  nginx;
worker_processes  auto;
error_log  /var/log/nginx/error.log notice;
pid        /run/nginx.pid;
events {
    worker_connections  1024;
}
http {
    include       /etc/nginx/mime.types;
    default_type  application/octet-stream;
    log_format  main  '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent';
    access_log  /var/log/nginx/access.log  main;
    sendfile        on;
    keepalive_timeout  65;
    include /etc/nginx/conf.d/*.conf;
}
"#;

const DEFAULT_CONF: &str = "server {
    listen       80;
    listen  [::]:80;
    server_name  localhost;
    location / {
        root   /usr/share/nginx/html;
        index  index.html index.htm;
    }
}
";

const ENTRYPOINT: &str = "#!/bin/sh\nset -e\nexec \"$@\"\n";

/// The layers, lowest first.
pub(super) fn layers(tools: &Tools) -> Result<[Layer; 3]> {
    let mut system = super::system(&[&tools.path("nginx").join("usr/sbin/nginx")])?;
    system.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnginx:x:101:101:nginx:/nonexistent:/bin/false\n");
    system.text("etc/group", "root:x:0:\nnginx:x:101:\n");
    Ok([Layer::of(&system)?, Layer::of(&server(tools)?)?, Layer::of(&settings())?])
}

/// nginx itself.
fn server(tools: &Tools) -> Result<Tree> {
    let unpacked = tools.path("nginx");
    let mut tree = Tree::default();
    tree.copy(&unpacked.join("usr/sbin/nginx"), "usr/sbin/nginx")?;
    tree.copy(&unpacked.join("etc/nginx/mime.types"), "etc/nginx/mime.types")?;
    for folder in ["var/cache/nginx", "var/lib/nginx"] {
        tree.add(folder, Entry::Folder);
    }
    tree.add("var/log/nginx/access.log", Entry::Link("/dev/stdout".into()));
    tree.add("var/log/nginx/error.log", Entry::Link("/dev/stderr".into()));
    Ok(tree)
}

/// What the official image adds around it.
fn settings() -> Tree {
    let mut tree = Tree::default();
    tree.text("etc/nginx/nginx.conf", NGINX_CONF);
    tree.text("etc/nginx/conf.d/default.conf", DEFAULT_CONF);
    tree.text("usr/share/nginx/html/index.html", "<!DOCTYPE html>\n<title>Welcome to nginx!</title>\n");
    tree.text("usr/share/nginx/html/50x.html", "<!DOCTYPE html>\n<title>Error</title>\n");
    tree.add("docker-entrypoint.sh", Entry::File(0o755, ENTRYPOINT.into()));
    tree.add("docker-entrypoint.d", Entry::Folder);
    tree
}

pub(super) fn config() -> Value {
    json!({
        "created": CREATED,
        "config": {
            "ExposedPorts": { "80/tcp": {} },
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "NGINX_VERSION=1.27.5"],
            "Entrypoint": ["/docker-entrypoint.sh"],
            "Cmd": ["nginx", "-g", "daemon off;"],
            "WorkingDir": "/",
            "Labels": { "maintainer": "NGINX Docker Maintainers <docker-maint@nginx.com>" },
            "StopSignal": "SIGQUIT",
        },
        "history": [
            { "created": CREATED, "created_by": "ADD rootfs.tar.gz /" },
            { "created": CREATED, "created_by": "ENV NGINX_VERSION=1.27.5", "empty_layer": true },
            { "created": CREATED, "created_by": "RUN apk add nginx" },
            { "created": CREATED, "created_by": "COPY docker-entrypoint.sh / # buildkit" },
            { "created": CREATED, "created_by": "CMD [\"nginx\" \"-g\" \"daemon off;\"]", "empty_layer": true },
        ],
    })
}
